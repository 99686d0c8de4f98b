"""What ran, how it ended and how that compares: kept in the lake, and told by status, runs and rollback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from ecom_analytics import MartBuilder, Pipeline, Settings, Warehouse
from ecom_analytics.errors import BuildError, EcomError, MissingFileError, NotBuiltError, TestsFailedError
from ecom_analytics.history import History, Recording, anomalies, recording, tables
from ecom_analytics.history.anomalies import FEWEST, WEEKS
from ecom_analytics.plan import plan
from ecom_analytics.status import status

pytest_plugins = ["s3_server"]

HEADER = "timestamp,visitorid,event,itemid,transactionid\n"
DAY = 86_400_000
START = 1_433_222_532_117


def lines(days: range, visitor: int = 1) -> str:
    return HEADER + "".join(f"{START + day * DAY},{visitor},view,{day},\n" for day in days)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two good runs, and one whose test fails, in this order."""
    home = tmp_path_factory.mktemp("history")
    settings = Settings(home=home / "data", keep_builds=3)
    for number, days in enumerate((range(3), range(3, 5))):
        file = home / f"{number}.csv"
        file.write_text(lines(days))
        Pipeline(settings).run(file, export=False)
    models = home / "models"
    models.mkdir()
    (models / "wrong.sql").write_text("select 1 as answer")
    test = {"accepted_values": {"arguments": {"values": [42]}}}
    column = {"name": "answer", "data_tests": [test]}
    (models / "wrong.yml").write_text(json.dumps({"models": [{"name": "wrong", "columns": [column]}]}))
    with pytest.raises(TestsFailedError):
        Pipeline(settings.model_copy(update={"models": models})).build()
    return settings


def test_a_run_is_kept_with_its_stages_models_and_all_test_results(shop: Settings) -> None:
    _, second, first = History(shop).runs()
    assert (first.name, first.status, first.message) == ("run", "success", None)
    assert first.run_id < second.run_id
    assert first.settings_hash == second.settings_hash
    told = History(shop).run(second.run_id)
    assert {**told.to_dict(), "steps": [], "checks": []} == second.to_dict()
    stages = {step.name: step for step in told.steps if step.kind == "stage"}
    assert list(stages) == ["ingest", "stage", "build"]
    assert stages["ingest"].counts["new"] == 1
    assert stages["stage"].counts["records"] == 5
    assert sum(stage.seconds for stage in stages.values()) <= told.seconds
    build = Warehouse(shop).current()
    assert told.build_id == build.build_id
    assert told.as_of is not None
    assert told.as_of.isoformat() == build.info["as_of"]
    assert told.staged_version == build.info["staged_version"] == 2
    models = {step.name: step for step in told.steps if step.kind == "model"}
    assert models["daily"].row_count == 5
    assert models.keys() >= set(build.info["marts"])
    assert len(told.checks) == len(build.info["checks"])
    assert {check.status for check in told.checks} == {"pass"}
    assert told.peak_memory_bytes > 50 * 2**20
    assert told.versions["duckdb"] == duckdb.__version__


def test_a_failed_build_is_kept_with_all_its_results(shop: Settings) -> None:
    failed = History(shop).run("latest")
    assert (failed.name, failed.status) == ("build", "failed")
    assert failed.message is not None
    assert failed.message.startswith("TestsFailedError: 1 of the tests failed")
    results = {check.status for check in failed.checks}
    assert results == {"pass", "fail"}
    [wrong] = [check for check in failed.checks if check.status == "fail"]
    assert (wrong.model, wrong.column_name, wrong.failures) == ("wrong", "answer", 1)
    assert failed.checks[0] == wrong, "what did not pass comes first"
    assert "wrong" in {step.name for step in failed.steps if step.kind == "model"}
    assert failed.build_id is None


def test_the_history_is_two_delta_tables_of_the_lake(shop: Settings) -> None:
    assert tables.COLUMNS.keys() == {"runs", "checks"}
    for name, columns in tables.COLUMNS.items():
        table = DeltaTable(f"{shop.lake}/ops/{name}")
        assert [field.name for field in table.schema().fields] == list(columns)


def test_the_history_is_a_mart_up_to_the_run_before(shop: Settings) -> None:
    newer, older = Warehouse(shop).builds()
    with Warehouse(shop).connect(older) as connection:
        assert connection.execute("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM checks)").fetchone() == (
            0,
            0,
        )
    first = History(shop).runs()[-1]
    with Warehouse(shop).connect(newer) as connection:
        runs = connection.execute("SELECT run_id, name, as_of FROM runs WHERE kind = 'run'").fetchall()
        checks = connection.execute("SELECT DISTINCT run_id, status FROM checks").fetchall()
    assert runs == [(first.run_id, "run", first.as_of)]
    assert checks == [(first.run_id, "pass")]


def test_a_run_that_fails_before_it_built_says_where(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(MissingFileError):
        Pipeline(settings).run(tmp_path / "none.csv")
    run = History(settings).run("latest")
    assert run.status == "failed"
    assert run.message is not None
    assert "none.csv" in run.message
    assert [(step.name, step.status) for step in run.steps] == [("ingest", "failed")]


def test_stages_that_a_scheduler_runs_one_by_one_are_one_run(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    file = tmp_path / "a.csv"
    file.write_text(lines(range(1)))
    Pipeline(settings, run_id="airflow-1").ingest(file)
    Pipeline(settings, run_id="airflow-1").stage()
    [run] = History(settings).runs()
    assert (run.run_id, run.name, run.staged_version) == ("airflow-1", "ingest stage", 1)
    assert [step.name for step in History(settings).run("airflow").steps] == ["ingest", "stage"]


def test_an_unknown_run_is_named_with_what_there_is(shop: Settings) -> None:
    with pytest.raises(EcomError, match="no runs are known as 'x'") as error:
        History(shop).run("x")
    assert History(shop).runs(1)[0].run_id in error.value.hint
    with pytest.raises(EcomError, match="3 runs are known as '20'"):
        History(shop).run("20")


def test_a_history_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "ops").write_text("in the way")
    settings = Settings(home=tmp_path)
    file = tmp_path / "a.csv"
    file.write_text(lines(range(1)))
    with caplog.at_level("WARNING"):
        assert Pipeline(settings).ingest(file).new == 1
    assert "the run is not in the history" in caplog.text


def test_a_damaged_history_stops_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(home=tmp_path / "home")
    file = tmp_path / "a.csv"
    file.write_text(lines(range(1)))
    Pipeline(settings).ingest(file)
    for log in Path(settings.lake, "ops").rglob("*.json"):
        log.write_text("{")
    report = Pipeline(settings).run(export=False)
    assert report.build.built
    assert Warehouse(settings).sql("SELECT count(*) AS runs FROM runs").to_pylist() == [{"runs": 0}]
    for words in ("the marts runs and checks are empty", "housekeeping failed", "the run is not in the history"):
        assert words in caplog.text


def test_a_killed_run_is_recorded_by_the_next_one(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    file = tmp_path / "a.csv"
    file.write_text(lines(range(1)))
    code = (
        "import os, signal\nfrom ecom_analytics import Pipeline, Settings, Stager\n"
        "Stager.stage = lambda self: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Pipeline(Settings(home={str(settings.home)!r}), run_id='doomed').run({str(file)!r})"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert killed.returncode == -9
    assert History(settings).runs() == []
    Pipeline(settings).run(export=False)
    _, doomed = History(settings).runs()
    assert (doomed.run_id, doomed.name, doomed.status) == ("doomed", "run", "failed")
    assert doomed.message == recording.KILLED
    Pipeline(settings).run(export=False)
    assert len(History(settings).runs()) == 3


def test_many_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    failures: list[EcomError] = []

    def write() -> None:
        try:
            for _ in range(5):
                with Recording(settings, "work") as work, work.stage("part"):
                    pass
        except EcomError as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(History(settings).runs(limit=None)) == 20


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
def test_a_lake_on_s3_keeps_its_history_there(s3_bucket: str, s3_endpoint: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint)
    file = tmp_path / "a.csv"
    file.write_text(lines(range(1)))
    Pipeline(settings).ingest(file)
    assert [run.name for run in History(settings).runs()] == ["ingest"]
    assert not (tmp_path / "home" / "lake").exists()


def test_logs_tell_facts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ecom_analytics")
    with Recording(Settings(home=tmp_path), "work") as work, work.stage("part"):
        pass
    told = [(record.__dict__["event"], record.__dict__["facts"]["run_id"]) for record in caplog.records]
    assert told == [(event, work.run_id) for event in ("run started", "stage ended", "run ended")]


def test_nothing_of_a_secret_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(MissingFileError):
        Pipeline(settings).run(tmp_path / "none.csv")
    kept = b"".join(path.read_bytes() for path in Path(settings.lake).rglob("*") if path.is_file())
    assert b"hush-hush" not in kept


class TestAnomalies:
    """A figure is unusual if it is out of the range of the same weekday's recent ones."""

    @staticmethod
    def build(settings: Settings, events: dict[date, int]) -> datetime:
        """A served build with so many events a day; its newest event."""
        from exporting import publish

        rows = ", ".join(f"(DATE '{day}', {count}, NULL)" for day, count in events.items())
        publish(
            settings,
            "20260101T000000Z-000001",
            1,
            f"CREATE OR REPLACE TABLE daily AS SELECT * FROM (VALUES {rows}) AS t (date, events, transactions)",
        )
        return datetime.combine(max(events) + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=3)

    @staticmethod
    def days(*same_weekday: int) -> dict[date, int]:
        """The last whole day has the last figure, the same weekday of the weeks before the others; all else has 7."""
        last = date(2026, 11, 16)
        figures = {last - timedelta(days=days): 7 for days in range(7 * len(same_weekday))}
        return figures | {last - timedelta(weeks=weeks): figure for weeks, figure in enumerate(same_weekday[::-1])}

    @pytest.mark.parametrize(
        ("figures", "unusual"),
        [
            ((100, 110, 120, 130, 86), False),
            ((100, 110, 120, 130, 84), True),
            ((100, 110, 120, 130, 145), False),
            ((100, 110, 120, 130, 146), True),
            ((100, 100, 100, 100, 89), True),
            ((100, 100, 100, 100, 91), False),
            ((100, 100, 100, 1), False),
            ((1000, *[100] * WEEKS, 200), True),
        ],
    )
    def test_a_day_is_compared_with_the_same_weekday(
        self, settings: Settings, figures: tuple[int, ...], unusual: bool
    ) -> None:
        as_of = self.build(settings, self.days(*figures))
        found = anomalies(settings, as_of, as_of)
        assert [one.name for one in found] == (["anomaly_events"] if unusual else [])
        if unusual:
            before = figures[:-1][-WEEKS:]
            assert (found[0].value, found[0].low, found[0].high) == (figures[-1], min(before), max(before))
            assert f"Monday 2026-11-16 has {figures[-1]:,} events" in found[0].message
            assert f"{min(before):,} to {max(before):,}" in found[0].message

    def record(self, settings: Settings, ages: dict[datetime, float]) -> None:
        rows = [
            {
                "run_id": f"{started:%Y%m%d}",
                "kind": "run",
                "name": "run",
                "status": "success",
                "started_at": started,
                "as_of": started - timedelta(hours=hours),
                "seconds": 1.0,
                "peak_memory_bytes": 1,
                "package_version": "0",
                "versions": "{}",
                "settings_hash": "",
            }
            for started, hours in ages.items()
        ]
        tables.append(settings, "runs", rows)

    @pytest.mark.parametrize(
        ("weeks", "hours", "unusual"),
        [(4, 3, False), (4, 4.1, False), (4, 30, True), (FEWEST - 1, 30, False)],
    )
    def test_the_newest_event_is_as_old_as_it_was_on_this_weekday(
        self, settings: Settings, weeks: int, hours: float, unusual: bool
    ) -> None:
        now = datetime(2026, 11, 16, 4, tzinfo=UTC)
        self.build(settings, {date(2026, 11, 16): 7})
        self.record(settings, {now - timedelta(weeks=week): 3 + week / 10 for week in range(1, weeks + 1)})
        self.record(settings, {now - timedelta(days=day): 50 for day in (1, 2, 3)})
        found = anomalies(settings, now - timedelta(hours=hours), now)
        assert [one.name for one in found] == (["anomaly_freshness"] if unusual else [])
        if unusual:
            assert "is 30 hours old; in the last 4 runs on a Monday it was 3 to 3 hours old" in found[0].message

    def test_data_that_were_old_when_they_were_loaded_do_not_dry_up(self, settings: Settings) -> None:
        now = datetime(2026, 11, 16, 4, tzinfo=UTC)
        self.build(settings, {date(2015, 11, 16): 7})
        self.record(settings, {now - timedelta(weeks=week): 24 * (4000 - 7 * week) for week in range(1, 6)})
        assert anomalies(settings, now - timedelta(days=4000), now) == ()

    def test_they_are_kept_among_the_checks(self, settings: Settings) -> None:
        as_of = self.build(settings, self.days(100, 100, 100, 100, 5))
        with Recording(settings, "run") as run:
            run.anomalies = anomalies(settings, as_of, as_of)
        [check] = History(settings).run("latest").checks
        assert (check.name, check.model, check.status) == ("anomaly_events", "daily", "warn")


class TestRollback:
    """An older build is served again, until there is something else to build."""

    def test_the_older_build_is_served_and_what_was_rolled_back_is_not_built_again(
        self, shop: Settings, tmp_path: Path, own_copy: Callable[[Settings], Settings]
    ) -> None:
        settings = own_copy(shop)
        newer, older = Warehouse(settings).builds()
        assert Pipeline(settings).rollback().build_id == older.build_id
        assert Warehouse(settings).current() == older
        assert (settings.warehouse / "ecommerce.duckdb").resolve() == older.path.resolve()
        report = MartBuilder(settings).build()
        assert (report.built, report.rolled_back, report.build_id) == (False, True, older.build_id)
        assert (plan(settings).build, plan(settings).reason) == ("none", "a build of what is staged was rolled back")
        assert History(settings).runs(1)[0].build_id == older.build_id
        assert Pipeline(settings).rollback(newer.build_id).build_id == newer.build_id
        report = MartBuilder(settings).build()
        assert (report.built, report.rolled_back, report.build_id) == (False, False, newer.build_id)
        assert [run.name for run in History(settings).runs(2)] == ["rollback", "rollback"]

    @pytest.mark.parametrize("how", ["force", "data", "setting"])
    def test_something_else_is_built(
        self, shop: Settings, tmp_path: Path, own_copy: Callable[[Settings], Settings], how: str
    ) -> None:
        settings = own_copy(shop)
        older = Pipeline(settings).rollback()
        if how == "data":
            file = tmp_path / "new.csv"
            file.write_text(lines(range(7, 8)))
            Pipeline(settings).ingest(file)
            Pipeline(settings).stage()
        if how == "setting":
            settings = settings.model_copy(update={"cart_idle_days": 3})
        report = MartBuilder(settings).build(force=how == "force")
        assert report.built
        assert report.build_id > older.build_id
        assert Warehouse(settings).sql("SELECT count(*) AS days FROM daily").to_pylist() == [
            {"days": 8 if how == "data" else 5}
        ]
        assert not (settings.warehouse / "rolled-back.json").exists()

    def test_no_such_build_is_said_with_those_that_are_kept(self, shop: Settings, own_copy: Any) -> None:
        settings = own_copy(shop)
        served = Warehouse(settings).current()
        with pytest.raises(NotBuiltError, match="no kept builds are known as '1999'") as error:
            MartBuilder(settings).rollback("1999")
        assert served.build_id in error.value.hint
        MartBuilder(settings).rollback()
        with pytest.raises(NotBuiltError, match="no kept builds are older than the served one"):
            MartBuilder(settings).rollback()

    def test_a_damaged_build_is_refused_and_the_served_one_stays(self, shop: Settings, own_copy: Any) -> None:
        settings = own_copy(shop)
        served, older = Warehouse(settings).builds()
        with older.path.open("r+b") as file:
            file.truncate(file.seek(0, 2) // 2)
        with pytest.raises(BuildError, match=older.build_id):
            MartBuilder(settings).rollback()
        assert Warehouse(settings).current() == served


@pytest.fixture
def own_copy(tmp_path: Path) -> Callable[[Settings], Settings]:
    """A function that copies a home, for a test to change."""
    import shutil

    def copy(settings: Settings) -> Settings:
        shutil.copytree(settings.home, tmp_path / "copy", symlinks=True)
        return Settings(home=tmp_path / "copy")

    return copy


class TestStatus:
    """Status tells what is served, of what, and whether that is all."""

    def test_it_tells_what_is_served_and_how_fresh_it_is(self, shop: Settings) -> None:
        found = status(shop)
        build = Warehouse(shop).current()
        assert (found.batches, found.batches_to_stage, found.up_to_date) == (2, 0, True)
        assert found.build is not None
        assert found.build.build_id == build.build_id
        assert [batch["name"] for batch in found.build.batches["last"]] == ["1.csv", "0.csv"]
        assert found.build.batches["count"] == 2
        age = datetime.now(UTC) - datetime.fromtimestamp((START + 4 * DAY) / 1000, UTC)
        assert found.build.age_hours == pytest.approx(age / timedelta(hours=1), abs=0.2)
        assert [kept.build_id for kept in found.kept] == [one.build_id for one in Warehouse(shop).builds()]
        assert found.last_run is not None
        assert found.last_run.status == "failed"

    def test_what_is_ingested_or_staged_and_not_built_is_seen(
        self, shop: Settings, tmp_path: Path, own_copy: Callable[[Settings], Settings]
    ) -> None:
        settings = own_copy(shop)
        file = tmp_path / "new.csv"
        file.write_text(lines(range(7, 8)))
        Pipeline(settings).ingest(file)
        assert (status(settings).batches_to_stage, status(settings).up_to_date) == (1, False)
        Pipeline(settings).stage()
        found = status(settings)
        assert (found.batches_to_stage, found.up_to_date) == (0, False)


class TestCommands:
    """The commands, as a user calls them."""

    @staticmethod
    def call(*arguments: str, settings: Settings) -> tuple[int, list[dict[str, Any]], str]:
        done = subprocess.run(
            [sys.executable, "-m", "ecom_analytics", *arguments, "--home", str(settings.home)],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def test_runs_lists_and_shows(self, shop: Settings) -> None:
        code, [listed], _ = self.call("runs", "--limit", "2", settings=shop)
        assert code == 0
        assert [run["run_id"] for run in listed["runs"]] == [run.run_id for run in History(shop).runs(2)]
        first = History(shop).runs()[-1]
        code, [shown], _ = self.call("runs", "show", first.run_id[:18], settings=shop)
        assert code == 0
        assert shown["run_id"] == first.run_id
        assert len(shown["checks"]) == len(History(shop).run(first.run_id).checks) > 50

    def test_the_exit_code_says_what_kind_of_failure_it_was(
        self, shop: Settings, own_copy: Callable[[Settings], Settings]
    ) -> None:
        settings = own_copy(shop)
        models = str(shop.home.parent / "models")
        code, told, errors = self.call("--log-level", "info", "build", "--models", models, settings=settings)
        assert code == 3
        assert told[-1]["error"] == "TestsFailedError"
        logged = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
        assert [line["event"] for line in logged] == ["run started", "stage ended", "run failed"]
        assert logged[-1]["error"] == "TestsFailedError"
        with MartBuilder(settings).lock():
            assert self.call("build", settings=settings)[0] == 4
        assert self.call("rollback", "nothing-like-this", settings=settings)[0] == 1
        assert self.call("rollback", "--nothing-like-this", settings=settings)[0] == 2
        code, told, _ = self.call("rollback", settings=settings)
        assert code == 0
        assert told[-1]["build_id"] == Warehouse(settings).current().build_id


def test_a_settings_hash_tells_settings_apart(settings: Settings) -> None:
    other = settings.model_copy(update={"cart_idle_days": 3})
    assert recording.settings_hash(settings) == recording.settings_hash(settings.model_copy())
    assert recording.settings_hash(settings) != recording.settings_hash(other)
