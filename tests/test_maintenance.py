"""Housekeeping takes what nobody needs, and nothing else."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import settings as hypothesis_settings

from ecom_analytics import Exporter, Ingestor, MartBuilder, Pipeline, Settings, Stager, Warehouse
from ecom_analytics.errors import BusyError
from ecom_analytics.generate import generate
from ecom_analytics.history import History, Recording
from ecom_analytics.maintenance import is_due, maintain
from ecom_analytics.staging import snapshot
from ecom_analytics.status import status

pytest_plugins = ["s3_server"]

HEADER = "timestamp,visitorid,event,itemid,transactionid\n"
DAY = 86_400_000
START = 1_433_222_532_117
NIGHTLY = hypothesis_settings.default.max_examples >= 5_000


def drop(settings: Settings, folder: Path, days: range, visitor: int = 1) -> None:
    """Ingest and stage a file."""
    file = folder / f"{days.start}-{visitor}.csv"
    rows = (f"{START + day * DAY + minute * 60_000},{visitor},view,{minute},\n" for day in days for minute in range(5))
    file.write_text(HEADER + "".join(rows))
    Ingestor(settings).ingest(file)
    Stager(settings).stage()


def files(settings: Settings, table: str = "events") -> set[str]:
    folder = Path(settings.lake, "staged", table)
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}


def held(settings: Settings, table: str = "events") -> set[str]:
    root = f"{settings.lake}/staged/{table}/"
    return {uri.removeprefix(root) for uri in DeltaTable(root).file_uris()}


def test_replaced_files_go_and_those_that_count_stay(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", retention_hours=0)
    for visitor in (1, 2, 3):
        drop(settings, tmp_path, range(2), visitor)
    before, rows = held(settings), snapshot(settings).account
    assert files(settings) > before
    report = maintain(settings)
    assert files(settings) == before == held(settings)
    assert report.files_deleted >= 4
    assert report.bytes_before is not None
    assert report.bytes_after is not None
    assert report.bytes_after < report.bytes_before
    assert snapshot(settings).account == rows
    drop(settings, tmp_path, range(1), 4)
    assert snapshot(settings).account.staged == rows.staged + 5
    assert maintain(settings).files_deleted > 0
    assert maintain(settings).files_deleted == 0


def test_what_was_replaced_a_short_while_ago_stays(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    for visitor in (1, 2):
        drop(settings, tmp_path, range(2), visitor)
    before = files(settings)
    assert maintain(settings).files_deleted == 0
    assert files(settings) == before


def test_what_a_kept_build_starts_from_stays(tmp_path: Path) -> None:
    """The next build compares the files that went with those that came: it needs both."""
    settings = Settings(home=tmp_path / "home", retention_hours=0)
    drop(settings, tmp_path, range(10))
    MartBuilder(settings).build()
    made_of = files(settings)
    drop(settings, tmp_path, range(9, 10), 2)
    replaced = made_of - held(settings)
    assert replaced
    maintain(settings)
    assert replaced <= files(settings)
    assert MartBuilder(settings).build().started_from is not None, "it could start from the build before"
    settings = settings.model_copy(update={"keep_builds": 1})
    maintain(settings)
    assert files(settings) == held(settings)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, [4, 3, 2]),
        ({"keep_builds": 2}, [4, 3]),
        ({"keep_builds_days": 2.5}, [4, 3, 2]),
        ({"keep_builds_days": 1.5}, [4, 3]),
        ({"keep_builds_days": 0.1}, [4]),
        ({"keep_builds_size": "1KB"}, [4]),
    ],
)
def test_old_builds_go_by_number_age_and_size_but_never_the_served_one(
    tmp_path: Path, change: dict[str, Any], kept: list[int]
) -> None:
    import json

    from exporting import publish

    settings = Settings(home=tmp_path / "home", **change)
    for number in (1, 2, 3, 4):
        name = f"2026010{number}T000000Z-000000"
        publish(settings, name)
        path = settings.warehouse / f"warehouse-{name}.json"
        info = json.loads(path.read_text())
        info["built_at"] = (datetime.now(UTC) - timedelta(days=4 - number + 0.2)).isoformat()
        path.write_text(json.dumps(info))
        if number != 3:  # one without it is no less a build
            path.with_suffix(".state").touch()
    report = maintain(settings)
    assert [int(build.build_id[7]) for build in Warehouse(settings).builds()] == kept
    assert len(report.builds_deleted) == 4 - len(kept)
    assert len(list(settings.warehouse.glob("warehouse-*"))) == 3 * len(kept) - (3 in kept)
    Warehouse(settings).current()


def test_the_history_becomes_one_file_of_many(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", retention_hours=0)
    for _ in range(25):
        with Recording(settings, "work") as work, work.stage("part"):
            pass
    before = History(settings).runs(limit=None)
    report = maintain(settings)
    assert report.compacted == ("ops/runs",)
    assert report.checkpoints == ("ops/runs",)
    assert len(DeltaTable(f"{settings.lake}/ops/runs").file_uris()) == 1
    assert len(list(Path(settings.lake, "ops", "runs").glob("*.parquet"))) == 1
    assert History(settings).runs(limit=None) == before


def test_it_is_done_after_a_run_when_it_is_due(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    file = tmp_path / "events.csv"
    file.write_text(f"{HEADER}{START},1,view,1,\n")
    assert is_due(settings)
    Pipeline(settings).run(file, export=False)
    assert [step.name for step in History(settings).run("latest").steps if step.kind == "stage"][-1] == "maintain"
    assert not is_due(settings)
    Pipeline(settings).run(export=False)
    assert "maintain" not in {step.name for step in History(settings).run("latest").steps}
    yesterday = time.time() - 25 * 3600
    os.utime(settings.warehouse / ".maintained", (yesterday, yesterday))
    assert is_due(settings)
    assert not is_due(settings.model_copy(update={"maintenance_hours": 0}))


def test_a_run_that_holds_the_warehouse_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with MartBuilder(settings).lock(), pytest.raises(BusyError):
        import threading

        failed: list[BusyError] = []

        def call() -> None:
            try:
                maintain(settings)
            except BusyError as error:
                failed.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        raise failed[0]


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
def test_a_lake_on_s3_is_kept_tidy(s3_bucket: str, s3_endpoint: str, tmp_path: Path) -> None:
    import boto3

    settings = Settings(
        home=tmp_path / "home", lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint, retention_hours=0
    )
    for visitor in (1, 2):
        drop(settings, tmp_path, range(2), visitor)
    rows = snapshot(settings).account
    report = maintain(settings)
    assert report.files_deleted >= 2
    assert report.bytes_after is None
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    found = client.list_objects_v2(Bucket=s3_bucket, Prefix="lake/staged/events/event_date")["Contents"]
    assert len(found) == len(snapshot(settings).files) == 2
    assert snapshot(settings).account == rows


def test_months_of_daily_runs_leave_little_more_than_one_full_load(tmp_path: Path) -> None:
    """A file a day, staged, kept in the history and tidied; 40 days, or a year with the nightly profile."""
    days = 366 if NIGHTLY else 40
    whole = tmp_path / "whole.csv"
    generate(whole, like="shop", events=days * 2_000, days=days, faults=True, seed=3)
    once = Settings(home=tmp_path / "once", retention_hours=0)
    Pipeline(once).ingest(whole, daily=True)
    Pipeline(once).stage()
    maintain(once)
    drops = tmp_path / "drops"
    drops.mkdir()
    for record in sorted(Path(once.lake, "raw/default/batches").glob("*.json")):
        import json

        batch = json.loads(record.read_text())
        shutil.copyfile(Path(once.lake, "raw/default/objects", batch["batch_id"]), drops / f"{batch['name']}.csv")
    daily = Settings(home=tmp_path / "daily", retention_hours=0)
    seconds = []
    for file in sorted(drops.iterdir()):
        Pipeline(daily).ingest(file)
        Pipeline(daily).stage()
        maintain(daily)
        _a_day_passes(daily)
        began = time.perf_counter()
        status(daily)
        seconds.append(time.perf_counter() - began)
    assert snapshot(daily).account.staged == snapshot(once).account.staged
    sizes = {name: _size(Path(home.lake)) for name, home in (("once", once), ("daily", daily))}
    print(f"{sizes['daily'] / sizes['once']:.3f} of one load; status: {seconds[0]:.3f} s, then {seconds[-1]:.3f} s")
    assert sizes["daily"] <= 1.2 * sizes["once"], sizes
    assert len(History(daily).runs(limit=None)) == 2 * len(seconds)


def _a_day_passes(settings: Settings) -> None:
    """Whatever is in the lake is a day older."""
    for path in Path(settings.lake).rglob("*"):
        if path.is_file():
            changed = path.stat().st_mtime - 86_400
            os.utime(path, (changed, changed))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_old_exports_go(tmp_path: Path) -> None:
    from exporting import publish_numbered

    settings = Settings(home=tmp_path / "home", keep_exports=1, export_grace_minutes=0)
    for number in (1, 2):
        publish_numbered(settings, number)
        Exporter(settings.model_copy(update={"keep_exports": 5})).export(formats=["parquet"])
    for path in settings.warehouse.glob("*.duckdb"):
        path.with_suffix(".state").touch()
    assert maintain(settings).exports_deleted >= 2
    assert Exporter(settings).newest() is not None
