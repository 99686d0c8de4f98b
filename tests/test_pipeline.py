"""The whole way, on real parts: a file in, a tested warehouse and an export out."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from ecom_analytics import Ingestor, MartBuilder, Pipeline, Settings, Stager, Warehouse
from ecom_analytics.errors import (
    BusyError,
    ConfigError,
    EcomError,
    EmptyFileError,
    MissingFileError,
    RestageError,
    StorageFullError,
    UnknownFormatError,
)
from ecom_analytics.generate import generate
from ecom_analytics.progress import Progress
from ecom_analytics.staging import rejected, snapshot

pytest_plugins = ["s3_server"]

HEADER = "timestamp,visitorid,event,itemid,transactionid\n"

REJECTED_BY = {
    "bad_timestamps": {"bad_timestamp"},
    "missing_ids": {"missing_visitor_id"},
    "ragged_lines": {"too_few_fields", "too_many_fields"},
    "bad_bytes": {"bad_encoding", "nul_byte"},
    "unknown_events": {"unknown_event_type"},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """A warehouse of a small shop with faults, and its events file."""
    home = tmp_path_factory.mktemp("shop")
    events = home / "events.csv"
    kinds = (*REJECTED_BY, "blank_lines", "duplicate_rows", "duplicated_transactions", "late_events")
    generate(events, like="shop", events=6_000, days=10, faults=dict.fromkeys(kinds, 3))
    settings = Settings(home=home / "data")
    Pipeline(settings).run(events)
    return settings, events


def served(settings: Settings) -> dict[str, bytes]:
    """All that a reader of the warehouse sees."""
    return {
        path.name: path.read_bytes() for path in settings.warehouse.iterdir() if path.is_file() and path.name != ".lock"
    }


def in_lake(settings: Settings) -> list[Path]:
    """All in the lake but the history, which keeps what failed as well."""
    lake = Path(settings.lake)
    return sorted(path for path in lake.rglob("*") if path.relative_to(lake).parts[0] != "ops")


def test_the_real_sample_has_its_known_counts(shared_data: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "data")
    report = Pipeline(settings).run(shared_data / "retailrocket_real_sample" / "events.csv")
    assert (report.stage.records, report.stage.staged, report.stage.rejected) == (549, 549, 0)
    sums = ", ".join(f"sum({name})::INT AS {name}" for name in ("views", "add_to_carts", "transactions"))
    (totals,) = Warehouse(settings).sql(f"SELECT {sums} FROM daily").to_pylist()
    assert totals == {"views": 536, "add_to_carts": 12, "transactions": 1}
    assert Warehouse(settings).sql("SELECT transaction_id FROM transactions").to_pylist() == [
        {"transaction_id": "14418"}
    ]


def test_every_fault_of_the_ledger_is_found_at_its_line(shop: tuple[Settings, Path]) -> None:
    settings, events = shop
    *ledger, _ = [json.loads(line) for line in Path(f"{events}.faults.jsonl").read_text().splitlines()]
    total, rows = rejected(settings, limit=1_000)
    found = {row["source_line"]: (row["rule"], row["raw_text"], row["name"]) for row in rows}
    wanted = {e["line"]: e for e in ledger if e["kind"] in REJECTED_BY}
    assert total == len(wanted) == 15
    assert set(found) == set(wanted)
    for line, entry in wanted.items():
        rule, text, name = found[line]
        assert rule in REJECTED_BY[entry["kind"]]
        assert text == entry["text"].replace("\x00", "\\x00")
        assert name == "events.csv"
    account = snapshot(settings).account
    assert account.adds_up
    assert (account.duplicates, account.blank) == (3, 3)
    duplicates = {e["line"] for e in ledger if e["kind"] == "duplicate_rows"}
    assert duplicates == set(_duplicates(settings))
    conflicts = Warehouse(settings).sql("SELECT DISTINCT transaction_id, line FROM conflicts WHERE file = 'events.csv'")
    reused = {(e["transaction_id"], e["line"]) for e in ledger if e["kind"] == "duplicated_transactions"}
    assert reused <= {(row["transaction_id"], row["line"]) for row in conflicts.to_pylist()}


def _duplicates(settings: Settings) -> list[int]:
    files = str(Path(settings.lake) / "staged" / "duplicates" / "*" / "*.parquet")
    return [line for (line,) in duckdb.sql(f"SELECT source_line FROM '{files}'").fetchall()]


def test_a_second_run_without_a_new_file_does_no_work(shop: tuple[Settings, Path]) -> None:
    settings, events = shop
    before = served(settings)
    seen: list[Progress] = []
    report = Pipeline(settings, watch=seen.append).run(events)
    assert not report.changed
    assert report.ingest is not None
    assert (report.ingest.new, report.stage.new_batches, report.build.built) == (0, 0, False)
    assert report.export is not None
    assert not report.export.exported
    assert served(settings) == before
    assert not any(progress.unit == "models" and progress.total for progress in seen), "dbt was started"


def test_the_report_adds_up_and_the_export_holds_the_marts(shop: tuple[Settings, Path]) -> None:
    settings, _ = shop
    report = Pipeline(settings).run(export=False)
    stage = report.to_dict()["stage"]
    assert stage["records"] == stage["staged"] + stage["duplicates"] + stage["rejected"] + stage["blank"]
    build = report.build
    exported = Path(settings.exports)
    latest = json.loads((exported / "latest.json").read_text())
    assert latest["build_id"] == build.build_id
    tables = {table["table"]: table for table in json.loads((exported / latest["manifest"]).read_text())["tables"]}
    assert set(tables) == set(build.rows)
    for mart, rows in build.rows.items():
        assert sum(pq.read_metadata(exported / file["file"]).num_rows for file in tables[mart]["files"]) == rows


def test_pieces_on_several_days_end_like_the_whole_at_once(tmp_path: Path) -> None:
    """Incremental equals full: one run on the whole file, against one run for each of its days, newest first."""
    events = tmp_path / "events.csv"
    generate(events, events=3_000, days=4, seed=5)
    whole, pieces = Settings(home=tmp_path / "whole"), Settings(home=tmp_path / "pieces")
    Pipeline(whole).run(events, export=False)
    lines = events.read_bytes().splitlines(keepends=True)
    for number in (2, 1, 0):
        part = tmp_path / f"part-{number}.csv"
        part.write_bytes(b"".join([lines[0], *lines[1 + number :: 3]]))
        Ingestor(pieces).ingest(part)
        Stager(pieces).stage()
    MartBuilder(pieces).build()
    for mart in sorted(set(Warehouse(whole).public_marts()) - {"batches"}):
        columns = "* EXCLUDE (batch_id, source_line)" if mart == "transaction_lines" else "*"
        query = f"SELECT {columns} FROM {mart} ORDER BY ALL"
        assert Warehouse(pieces).sql(query).equals(Warehouse(whole).sql(query)), mart


def test_a_daily_drop_a_night_keeps_the_account(tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    generate(events, events=2_000, days=3)
    settings = Settings(home=tmp_path / "data")
    report = Pipeline(settings).run(events, daily=True, export=False)
    assert report.stage.batches == 3
    assert report.stage.records == 2_000


def test_a_gzip_file_gives_the_same_as_the_plain_one(tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    generate(events, events=500, days=3)
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(events.read_bytes()))
    reports = []
    for path in (events, packed):
        settings = Settings(home=tmp_path / path.name.replace(".", "-"))
        Ingestor(settings).ingest(path)
        reports.append(Stager(settings).stage())
    assert reports[0].staged == reports[1].staged == 500


def bad_inputs(folder: Path) -> dict[str, tuple[Path, type[EcomError]]]:
    files = {
        "empty.csv": (b"", EmptyFileError),
        "header.csv": (HEADER.encode(), EmptyFileError),
        "unknown.csv": (b"colour,shape\nred,round\n", UnknownFormatError),
        "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(100), UnknownFormatError),
    }
    wanted: dict[str, tuple[Path, type[EcomError]]] = {"missing": (folder / "none.csv", MissingFileError)}
    for name, (content, error) in files.items():
        (folder / name).write_bytes(content)
        wanted[name] = (folder / name, error)
    (folder / "nothing").mkdir()
    wanted["folder"] = (folder / "nothing", MissingFileError)
    return wanted


@pytest.mark.parametrize("case", ["missing", "empty.csv", "header.csv", "unknown.csv", "picture.png", "folder"])
def test_bad_input_is_one_clear_sentence_and_changes_nothing(
    case: str, shop: tuple[Settings, Path], tmp_path: Path
) -> None:
    settings, _ = shop
    path, kind = bad_inputs(tmp_path)[case]
    before, lake = served(settings), in_lake(settings)
    with pytest.raises(kind) as caught:
        Pipeline(settings).run(path)
    assert path.name in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert served(settings) == before
    assert in_lake(settings) == lake


def test_a_warehouse_that_another_run_holds_is_busy(shop: tuple[Settings, Path]) -> None:
    settings, events = shop
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with MartBuilder(settings).lock():
            inside.set()
            go_on.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert inside.wait(30)
        with pytest.raises(BusyError, match=str(settings.warehouse)):
            Pipeline(settings).run(events)
    finally:
        go_on.set()
        holder.join()
    assert not Pipeline(settings).run(events).changed


def test_a_changed_session_rule_is_refused_with_the_way_out(shop: tuple[Settings, Path]) -> None:
    settings, events = shop
    other = Settings(home=settings.home, session_timeout_minutes=20)
    with pytest.raises(RestageError, match="sessionTimeoutMinutes = 30, and now it is 20") as caught:
        Pipeline(other).run(events)
    assert "stage again" in caught.value.hint


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
def test_a_lake_on_s3_gives_the_marts_of_a_local_one(
    shop: tuple[Settings, Path], s3_bucket: str, s3_endpoint: str, tmp_path: Path
) -> None:
    """By the command, from another machine's point of view: nothing is shared but the bucket."""
    local, events = shop
    records = snapshot(local).account.records
    environment = {
        **os.environ,
        "ECOM_ANALYTICS_LAKE": f"s3://{s3_bucket}/lake",
        "ECOM_ANALYTICS_S3_ENDPOINT_URL": s3_endpoint,
    }

    def call(machine: str, *arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "ecom_analytics", *arguments, "--home", machine, "--json"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=180, check=False, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    report = call("one", "run", str(events), "--no-export")
    assert (report["stage"]["records"], report["build"]["built"]) == (records, True)
    assert not call("one", "run", str(events), "--no-export")["changed"]
    built = call("two", "build")
    assert built["built"]
    status = call("two", "status")
    assert (status["batches"], status["batches_to_stage"], status["account"]["records"]) == (1, 0, records)
    for mart in set(Warehouse(local).public_marts()) - {"runs", "checks"}:  # other runs
        query = f"SELECT * FROM {mart} ORDER BY ALL"
        wanted = Warehouse(local).sql(query)
        for machine in ("one", "two"):
            assert Warehouse(Settings(home=tmp_path / machine)).sql(query).equals(wanted), (machine, mart)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="timezon") as caught:
        Settings(timezon="UTC")  # type: ignore[call-arg]
    assert "did you mean 'timezone'" in caught.value.hint


@pytest.mark.parametrize("limit", [1, 6, 12, 18])
def test_a_full_disk_is_told_and_nothing_half_written_is_served(limit: int, tmp_path: Path) -> None:
    """A real one: the process may write no file beyond a size, at several points of the way."""
    events = tmp_path / "events.csv"
    generate(events, like="shop", events=20_000, days=5)
    code = (
        "import resource, sys\n"
        "from ecom_analytics import Pipeline, Settings\n"
        "from ecom_analytics.errors import EcomError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit} * 200_000, {limit} * 200_000))\n"
        "try:\n    Pipeline(Settings(home=sys.argv[2])).run(sys.argv[1])\n"
        "except EcomError as error:\n    print(type(error).__name__, error)\n"
        "else:\n    print('done')\n"
    )
    home = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-c", code, str(events), str(home)], capture_output=True, text=True, timeout=120, check=False
    )
    word = done.stdout.split(" ")[0].strip()
    assert word in {StorageFullError.__name__, "done"}, done.stdout + done.stderr
    assert limit > 1 or word != "done"
    settings = Settings(home=home)
    if word != "done":
        assert not (settings.warehouse / "CURRENT").exists()
        left = Counter(path.suffix for path in settings.warehouse.rglob("*") if path.is_file() and path.name != ".lock")
        assert not left
    report = Pipeline(settings).run(events, export=False)
    assert report.stage.staged == 20_000
