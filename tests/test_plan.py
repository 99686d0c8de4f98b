"""What a run would do is said before it does it, and is what it does then; nothing is written by saying it."""

from __future__ import annotations

import gzip
import os
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecom_analytics import Exporter, Ingestor, MartBuilder, Pipeline, Settings, Stager, Warehouse
from ecom_analytics.errors import MissingFileError
from ecom_analytics.generate import generate
from ecom_analytics.ingest import foresee
from ecom_analytics.plan import plan

HEADER = "timestamp,visitorid,event,itemid,transactionid\n"
DAY = 86_400_000
START = 1_433_222_532_117
FIRST = date(2015, 6, 2)


def lines(days: range, visitor: int = 1) -> str:
    return HEADER + "".join(f"{START + day * DAY},{visitor},view,{day},\n" for day in days)


def tree(folder: Path) -> dict[str, tuple[int, bytes | bool]]:
    """Everything below a folder, with the times of the last changes."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.stat().st_ino,
            path.is_file() and path.read_bytes(),
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Ten days, built."""
    home = tmp_path_factory.mktemp("plan")
    file = home / "ten.csv"
    file.write_text(lines(range(10)))
    settings = Settings(home=home / "data")
    Pipeline(settings).run(file, export=False)
    return settings


def test_the_first_run_is_foreseen(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(lines(range(3)))
    settings = Settings(home=tmp_path / "home")
    found = plan(settings, file)
    assert not (tmp_path / "home").exists()
    assert (found.new_files, found.to_stage, found.records, found.records_are_exact) == (1, 1, 3, True)
    assert found.days == tuple(FIRST + timedelta(days=day) for day in range(3))
    assert (found.build, found.days_known, found.seconds_from) == ("full", 0, "defaults")
    report = Pipeline(settings).run(file, export=False)
    assert report.stage.records == found.records
    assert report.stage.days_touched == tuple(day.isoformat() for day in found.days)
    assert set(report.build.models) == set(found.models)


def test_nothing_is_written_and_nothing_is_to_do(shop: Settings) -> None:
    before = tree(shop.home.parent)
    found = plan(shop, shop.home.parent / "ten.csv")
    assert (found.files[0].known, found.new_files, found.to_stage, found.build) == (True, 0, 0, "none")
    assert (found.models, found.seconds) == ((), 0)
    assert tree(shop.home.parent) == before


def test_a_new_day_is_an_incremental_build_of_all_models(shop: Settings, tmp_path: Path) -> None:
    file = tmp_path / "next.csv"
    file.write_text(lines(range(9, 11), visitor=2))
    before = tree(shop.home)
    found = plan(shop, file)
    assert tree(shop.home) == before
    assert (found.build, found.records, found.days_known) == ("incremental", 2, 1)
    assert {"int_touched_users", "stg_changes", "users"} <= set(found.models)
    assert found.seconds_from == "history"
    assert 1 < found.seconds < 120


@pytest.mark.parametrize(("days", "kind"), [(3, "incremental"), (4, "incremental"), (8, "full")])
def test_many_new_days_are_a_full_build_as_it_is_then(shop: Settings, tmp_path: Path, days: int, kind: str) -> None:
    file = tmp_path / "next.csv"
    file.write_text(lines(range(10, 10 + days)))
    assert plan(shop, file).build == kind


def test_a_changed_setting_is_a_full_build(shop: Settings) -> None:
    assert plan(shop.model_copy(update={"cart_idle_days": 3})).build == "full"
    assert plan(shop).build == "none"


def test_what_waits_to_be_staged_counts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    file = tmp_path / "events.csv"
    file.write_text(lines(range(3)))
    Ingestor(settings).ingest(file)
    found = plan(settings)
    assert (found.to_stage, found.records_are_exact, found.build) == (1, False, "full")
    Stager(settings).stage()
    assert (plan(settings).to_stage, plan(settings).build) == (0, "full")


def test_a_file_that_cannot_be_used_is_said_now(shop: Settings, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        plan(shop, tmp_path / "none.csv")


class TestLargeFiles:
    """Of a large file some places are looked at."""

    @pytest.fixture
    def small_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(foresee, "WHOLE", 64 << 10)
        monkeypatch.setattr(foresee, "SPOT", 4 << 10)

    @pytest.mark.parametrize("kind", ["csv", "gz", "parquet"])
    @pytest.mark.usefixtures("small_looks")
    def test_records_are_estimated_and_days_are_between_those_seen(self, kind: str, tmp_path: Path) -> None:
        text = lines(range(100)) + "".join(
            f"{START + day * DAY + part},{part},view,{day},\n" for day in range(100) for part in range(400)
        )
        path = tmp_path / "events.csv"
        path.write_text(text)
        if kind == "gz":
            path = tmp_path / "events.csv.gz"
            path.write_bytes(gzip.compress(text.encode()))
        if kind == "parquet":
            names, *rows = (line.split(",") for line in text.splitlines())
            columns = {name: [row[place] or None for row in rows] for place, name in enumerate(names)}
            path = tmp_path / "events.parquet"
            pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)
        [found] = Ingestor(Settings(home=tmp_path / "home")).foresee(path)
        assert not found.exact
        assert found.records == pytest.approx(40_100, rel=0.1)
        assert found.days[0] == FIRST
        if kind == "csv":
            assert found.days[-1] == FIRST + timedelta(days=99)

    @pytest.mark.usefixtures("small_looks")
    def test_all_formats_of_generated_data_are_foreseen(self, tmp_path: Path) -> None:
        path = tmp_path / "events.csv"
        generate(path, like="shop", events=20_000, days=9, faults=True)
        settings = Settings(home=tmp_path / "home")
        found = plan(settings, path)
        report = Pipeline(settings).run(path, export=False)
        assert found.records == pytest.approx(report.stage.records, rel=0.1)
        assert report.build.rows == {mart["name"]: mart["rows"] for mart in _marts(settings)}


def _marts(settings: Settings) -> list[dict[str, object]]:
    return [{"name": name, **mart} for name, mart in Warehouse(settings).current().info["marts"].items()]


class TestAgain:
    """Raw files are read again: all of them, or those of some days of ingestion."""

    @pytest.fixture
    def two_days(self, tmp_path: Path) -> Settings:
        """Two files, ingested on different days."""
        settings = Settings(home=tmp_path / "home")
        for number, day in enumerate(("2026-01-01", "2026-01-05")):
            file = tmp_path / f"{number}.csv"
            file.write_text(lines(range(number * 3, number * 3 + 3)))
            [batch] = Ingestor(settings).ingest(file).batches
            record = Path(settings.lake, f"raw/default/batches/{batch.batch_id}.json")
            text = record.read_text()
            today = text.split('"ingested_at": "')[1][:10]
            record.write_text(text.replace(today, day))
        Stager(settings).stage()
        return settings

    @pytest.mark.parametrize(
        ("since", "until", "again"),
        [
            (None, None, 2),
            (date(2026, 1, 1), None, 2),
            (date(2026, 1, 2), None, 1),
            (None, date(2026, 1, 4), 1),
            (date(2026, 1, 5), date(2026, 1, 5), 1),
            (date(2026, 1, 2), date(2026, 1, 4), 0),
        ],
    )
    def test_those_of_the_days_are_read_again(
        self, two_days: Settings, since: date | None, until: date | None, again: int
    ) -> None:
        report = Stager(two_days).restage(since, until)
        assert (report.replayed_batches, report.records, report.staged) == (again, 6, 6)

    def test_days_in_the_wrong_order_are_refused(self, two_days: Settings) -> None:
        with pytest.raises(Exception, match="2026-01-05 is after 2026-01-04"):
            Stager(two_days).restage(date(2026, 1, 5), date(2026, 1, 4))

    def test_a_full_refresh_gives_the_same_tables(self, shop: Settings, tmp_path: Path) -> None:
        import shutil

        shutil.copytree(shop.home, tmp_path / "copy", symlinks=True)
        settings = Settings(home=tmp_path / "copy")
        before = {name: Warehouse(settings).sql(f"SELECT * FROM {name} ORDER BY ALL") for name in _names(settings)}
        report = Pipeline(settings).run(full_refresh=True, export=False)
        assert (report.stage.replayed_batches, report.build.built, report.build.started_from) == (1, True, None)
        for name, rows in before.items():
            assert Warehouse(settings).sql(f"SELECT * FROM {name} ORDER BY ALL").equals(rows), name


def _names(settings: Settings) -> set[str]:
    return set(Warehouse(settings).public_marts()) - {"runs", "checks"}


class TestResume:
    """A run that failed goes on where it failed when it is run once more."""

    @pytest.mark.parametrize("failing", ["stage", "build", "export"])
    def test_what_was_done_is_not_done_again(
        self, failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "events.csv"
        file.write_text(lines(range(3)))
        settings = Settings(home=tmp_path / "home")
        holder = {"stage": Stager, "build": MartBuilder, "export": Exporter}[failing]
        with monkeypatch.context() as patch:
            patch.setattr(holder, failing, lambda *_, **__: os.read(-1, 1))
            with pytest.raises(OSError, match="Bad file descriptor"):
                Pipeline(settings).run(file)
        report = Pipeline(settings).run(file)
        assert report.changed
        assert report.ingest is not None
        assert report.ingest.new == 0
        assert bool(report.stage.stage_id) == (failing == "stage")
        assert report.build.built == (failing != "export")
        assert report.export is not None
        assert report.export.exported
