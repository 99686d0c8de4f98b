"""Publication: all or nothing, one at a time, under the eyes of readers."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import Stage
from staged_events import START, complete, event

from ecom_analytics import MartBuilder, Settings, Warehouse
from ecom_analytics.errors import BuildError, BusyError, NotBuiltError, StorageFullError, TestsFailedError
from ecom_analytics.marts import child, publication
from ecom_analytics.progress import Progress
from ecom_analytics.reports import BuildReport

Build = Callable[..., BuildReport]


def contents(folder: Path) -> dict[str, str]:
    """Every file of the warehouse but the lock and what failed builds left, with its digest; where the link points."""
    return {
        path.name: os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name not in {".lock", "failed"} and not path.name.startswith("failed-")
    }


def views(settings: Settings) -> int:
    return int(Warehouse(settings).sql("SELECT sum(views) AS views FROM daily").to_pylist()[0]["views"] or 0)


def test_a_build_is_published_with_what_is_known_of_it(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event(0), event(5, "purchase", transaction_id="t")]))

    report = build()

    current = Warehouse(settings).current()
    assert report.built
    assert (report.build_id, report.path) == (current.build_id, current.path)
    assert report.as_of == START + timedelta(minutes=5)
    assert report.rows["sessions"] == current.info["marts"]["sessions"]["rows"] == 1
    assert current.info["marts"]["sessions"]["columns"]["visitor_id"]["type"] == "varchar"
    assert current.info["input"]["records"] == 2
    assert current.info["tests"] == {"pass": report.tests, "warn": 0}
    assert {check["model"] for check in current.info["checks"]} >= set(report.rows)
    assert current.info["metrics"]["aov"]["label"] == "Average order value"
    link = settings.warehouse / "ecommerce.duckdb"
    assert os.readlink(link) == current.path.name == (settings.warehouse / "CURRENT").read_text().strip()
    assert sorted(contents(settings.warehouse)) == sorted(
        [
            "CURRENT",
            "ecommerce.duckdb",
            *(current.path.with_suffix(f".{kind}").name for kind in ("duckdb", "json", "state")),
        ]
    )


def test_the_published_file_holds_the_marts_and_nothing_else(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event()]))
    build()
    with Warehouse(settings).connect() as connection:
        tables = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        inner = connection.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchone()
    assert sorted(tables) == Warehouse(settings).public_marts()
    assert inner == (0,)


def test_a_second_build_of_the_same_does_nothing(
    settings: Settings, stage: Stage, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(complete([event()]))
    first = build()
    before = contents(settings.warehouse)
    monkeypatch.setattr(child, "DbtProcess", None)  # starting dbt would fail

    second = build()

    assert not second.built
    assert (second.build_id, second.rows, second.tests) == (first.build_id, first.rows, first.tests)
    assert contents(settings.warehouse) == before


@pytest.mark.parametrize(
    "change", [{"timezone": "Europe/Berlin"}, {"conflict_window_minutes": 5}, {"bot_events_per_day": 100}]
)
def test_a_changed_setting_is_built_again(settings: Settings, stage: Stage, change: dict[str, object]) -> None:
    stage(complete([event()]))
    first = MartBuilder(settings).build()
    again = MartBuilder(settings.model_copy(update=change)).build()
    assert again.built
    assert again.build_id > first.build_id


def test_a_failing_test_publishes_nothing(
    settings: Settings, stage: Stage, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(complete([event()]))
    build()
    before = contents(settings.warehouse)
    bad = complete([event(), event(1, visitor_id="v2")])
    for row in bad:
        row["event_type"] = "teleport"
    stage(bad)

    with pytest.raises(TestsFailedError) as failed:
        build()

    assert "accepted_values_int_event_days_event_type" in failed.value.message
    assert "(1 failing rows)" in failed.value.message
    assert [check["failures"] for check in failed.value.facts["checks"]] == [1]
    assert contents(settings.warehouse) == before
    assert views(settings) == 1


def test_a_failing_model_publishes_nothing_and_says_why(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event()]))
    build()
    before = contents(settings.warehouse)
    snapshot = stage(complete([event(), event(1)]))
    Path(snapshot.files[0]).write_bytes(b"PAR1 this is no Parquet file")

    with pytest.raises(BuildError) as failed:
        build()

    assert "model stg_events failed" in failed.value.message
    assert Path(snapshot.files[0]).name in failed.value.message
    assert "Traceback" not in failed.value.message
    assert contents(settings.warehouse) == before


def test_a_reader_keeps_its_build_while_others_are_published_and_pruned(settings: Settings, stage: Stage) -> None:
    settings = settings.model_copy(update={"keep_builds": 1})
    stage(complete([event()]))
    MartBuilder(settings).build()
    warehouse = Warehouse(settings)
    reader = warehouse.connect()
    old = warehouse.current().path
    stage(complete([event(), event(1), event(2)]))

    MartBuilder(settings).build()

    assert reader.execute("SELECT sum(views) FROM daily").fetchone() == (1,)
    assert views(settings) == 3
    assert not old.exists()
    assert [build.build_id for build in warehouse.builds()] == [warehouse.current().build_id]


def test_no_read_fails_while_builds_are_published(settings: Settings, stage: Stage) -> None:
    settings = settings.model_copy(update={"keep_builds": 1})
    stage(complete([event()]))
    MartBuilder(settings).build()
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(views(settings))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for count in (2, 3):
            stage(complete([event(minute) for minute in range(count)]))
            MartBuilder(settings).build()
        seen.append(views(settings))
    finally:
        done.set()
        reader.join()

    assert seen == sorted(seen)
    assert set(seen) == {1, 2, 3}


def test_old_builds_are_kept_for_rollback_and_no_longer(settings: Settings, stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "warehouse"
    folder.mkdir()
    for number in range(5):
        (folder / f"warehouse-{number}.duckdb").touch()
        (folder / f"warehouse-{number}.json").touch()
    publication.prune(folder, "warehouse-1.duckdb", keep=3)
    assert sorted(path.stem for path in folder.glob("*.duckdb")) == ["warehouse-1", "warehouse-3", "warehouse-4"]
    assert sorted(path.stem for path in folder.glob("*.json")) == ["warehouse-1", "warehouse-3", "warehouse-4"]


HOLD = """
import sys
from ecom_analytics import MartBuilder, Settings
with MartBuilder(Settings(home=sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_only_one_run_at_a_time_and_a_dead_one_holds_nothing(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event()]))
    checkout = str(Path(__file__).parents[2])
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(settings.home)],
        env={**os.environ, "PYTHONPATH": checkout},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BusyError) as busy:
            build()
        with pytest.raises(BusyError):
            MartBuilder(settings).warm_up()
        other.kill()
    assert str(settings.warehouse) in busy.value.message
    assert busy.value.hint
    with pytest.raises(NotBuiltError):
        Warehouse(settings).current()
    assert build().built


def test_who_holds_the_warehouse_can_build(settings: Settings, stage: Stage) -> None:
    stage(complete([event()]))
    builder = MartBuilder(settings)
    with builder.lock(), builder:
        builder.warm_up()
        builder.warm_up()
        assert builder.build().built
        with pytest.raises(BusyError):
            MartBuilder(settings).build()
    assert not MartBuilder(settings).build().built


def test_a_warm_up_that_is_not_used_leaves_nothing(settings: Settings) -> None:
    with MartBuilder(settings) as builder:
        builder.warm_up()
        assert builder._dbt is not None
        pid = builder._dbt.pid
    assert not _alive(pid)
    assert contents(settings.warehouse) == {}
    with MartBuilder(settings).lock():
        pass


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_killed_dbt_is_an_error_and_publishes_nothing(
    settings: Settings, stage: Stage, build: Build, when: str
) -> None:
    stage(complete([event()]))
    build()
    before = contents(settings.warehouse)
    stage(complete([event(), event(1)]))

    def kill(progress: Progress) -> None:
        if when == "while" and "int_" in progress.message:
            assert builder._dbt is not None
            os.kill(builder._dbt.pid, signal.SIGKILL)

    builder = MartBuilder(settings, watch=kill)
    builder.warm_up()
    if when == "before":
        assert builder._dbt is not None
        os.kill(builder._dbt.pid, signal.SIGKILL)
    with pytest.raises(BuildError, match="was killed by signal 9"):
        builder.build()
    assert contents(settings.warehouse) == before
    assert views(settings) == 1


WARM = """
import os, sys
from ecom_analytics import MartBuilder, Settings
builder = MartBuilder(Settings(home=sys.argv[1]))
builder.warm_up()
print(builder._dbt.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_dead_parent_leaves_no_process_behind_and_the_next_build_cleans_up(
    settings: Settings, stage: Stage, build: Build
) -> None:
    stage(complete([event()]))
    checkout = str(Path(__file__).parents[2])
    parent = subprocess.run(
        [sys.executable, "-c", WARM, str(settings.home)],
        env={**os.environ, "PYTHONPATH": checkout},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert parent.returncode == -signal.SIGKILL
    [left] = settings.warehouse.glob("building-*")
    (settings.warehouse / ".new-CURRENT").write_text("half")

    assert build().built

    assert not left.exists()
    assert not (settings.warehouse / ".new-CURRENT").exists()
    _wait_until_gone(int(parent.stdout))


def test_a_full_disk_is_said_in_a_sentence(
    settings: Settings, stage: Stage, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(complete([event()]))
    build()
    before = contents(settings.warehouse)
    stage(complete([event(), event(1)]))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFullError) as error:
        build()
    assert str(settings.warehouse) in error.value.message
    assert contents(settings.warehouse) == before


def test_a_publication_that_fails_half_way_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "building").mkdir()
    side = tmp_path / "building" / "warehouse.duckdb"
    state = tmp_path / "building" / "state.duckdb"
    side.touch()
    state.touch()
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if target.name == "CURRENT":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        publication.publish(side, state, tmp_path, {"build_id": "1-a"})
    assert [path.name for path in tmp_path.iterdir()] == ["building"]


def test_progress_counts_every_model_and_test(settings: Settings, stage: Stage) -> None:
    stage(complete([event()]))
    told: list[Progress] = []
    MartBuilder(settings, watch=told.append).build()
    counted = [progress for progress in told if progress.total]
    assert [progress.done for progress in counted][-1] == counted[-1].total
    assert told[-1].message.startswith("published build ")


def test_no_telemetry_is_sent_and_no_dbt_variable_of_the_user_counts(
    settings: Settings, stage: Stage, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(complete([event()]))
    monkeypatch.setenv("DBT_TARGET_PATH", "/nowhere")
    monkeypatch.setenv("DBT_WARN_ERROR", "true")
    monkeypatch.delenv("DO_NOT_TRACK")
    environment = child._environment(settings)
    assert environment["DO_NOT_TRACK"] == "1"
    assert not any(name.startswith("DBT_") for name in environment)
    assert build().built


def test_what_is_known_of_a_build_is_json(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event()]))
    report = build()
    text = report.path.with_suffix(".json").read_text()
    assert json.loads(text) == Warehouse(settings).current().info
    assert json.loads(json.dumps(report.to_dict()))["build_id"] == report.build_id


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1]


def _wait_until_gone(pid: int) -> None:
    import time

    for _ in range(600):
        if not Path(f"/proc/{pid}").exists() or not _alive(pid):
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} is still there")


def test_parsed_projects_that_were_used_last_are_kept(tmp_path: Path) -> None:
    from ecom_analytics.marts import worker

    for number in range(worker.KEPT_PROJECTS + 3):
        folder = tmp_path / "cache" / f"{number:02}"
        folder.mkdir(parents=True)
        (folder / worker.PARSED).touch()
        os.utime(folder, (number, number))
    dbt = worker._Dbt.__new__(worker._Dbt)
    dbt._folder, dbt._cache = tmp_path / "building", tmp_path / "cache" / "10"
    dbt._forget_others()
    kept = sorted(int(path.name) for path in (tmp_path / "cache").iterdir())
    assert kept == list(range(3, worker.KEPT_PROJECTS + 3))
