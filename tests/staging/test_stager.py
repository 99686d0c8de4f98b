"""The Stager beyond exactness: its one commit point, its refusals, and what a crash may leave."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from staged_rows import staged_rows

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.errors import AccountingError, BusyError, InputError
from ecom_analytics.lake import STAGED
from ecom_analytics.progress import Progress
from ecom_analytics.staging import attempt, snapshot, stager, tables

SHOP = "event_ts,event_type,visitor_id,product_id,source_event_id\n"


def ingest(settings: Settings, *rows: str, name: str = "events.csv") -> str:
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SHOP + "".join(f"{row}\n" for row in rows))
    (batch,) = Ingestor(settings).ingest(path).batches
    return batch.batch_id


def row(minute: int, visitor: str = "v", event_id: str = "", day: str = "2026-01-05") -> str:
    return f"{day}T10:{minute:02d}:00Z,view,{visitor},p,{event_id}"


def root(settings: Settings) -> Path:
    return Path(settings.lake) / "staged"


def parquet_files(settings: Settings) -> set[Path]:
    return {path for path in root(settings).rglob("*.parquet") if "_delta_log" not in path.parts}


def test_other_readers_see_the_staged_tables_as_plain_delta(settings: Settings) -> None:
    ingest(settings, row(0), row(0), row(5), "nonsense,view,v,p,")
    Stager(settings).stage()
    tables_ = {name: DeltaTable(root(settings) / name) for name in STAGED if name not in CATALOGUE}
    assert {name: table.to_pyarrow_dataset().count_rows() for name, table in tables_.items()} == {
        "events": 2,
        "duplicates": 1,
        "rejected": 1,
        "batches": 1,
    }
    assert all(table.protocol().min_reader_version == 1 for table in tables_.values())
    assert tables_["events"].metadata().partition_columns == ["event_date"]
    (duplicate,) = tables_["duplicates"].to_pyarrow_table().to_pylist()
    assert (duplicate["source_line"], duplicate["kept_line"]) == (3, 2)
    (bad,) = tables_["rejected"].to_pyarrow_table().to_pylist()
    assert (bad["source_line"], bad["rule"], bad["raw_text"]) == (5, "bad_timestamp", "nonsense,view,v,p,")


def test_a_stage_without_a_new_batch_does_nothing(settings: Settings) -> None:
    ingest(settings, row(0))
    first = Stager(settings).stage()
    before = {path: path.stat().st_mtime_ns for path in root(settings).rglob("*")}
    again = Stager(settings).stage()
    assert (again.stage_id, again.new_batches, again.version) == (None, 0, first.version)
    assert {path: path.stat().st_mtime_ns for path in root(settings).rglob("*")} == before


def test_staging_an_empty_lake_gives_an_empty_report(settings: Settings) -> None:
    report = Stager(settings).stage()
    assert (report.records, report.staged, report.version) == (0, 0, 0)
    assert snapshot(settings).files == []


def test_a_batch_of_rejects_only_counts(settings: Settings) -> None:
    ingest(settings, "nonsense,view,v,p,")
    report = Stager(settings).stage()
    assert (report.records, report.staged, report.rejected, report.version) == (1, 0, 1, 1)
    assert Stager(settings).stage().stage_id is None


def test_only_the_days_that_a_batch_touches_are_written(settings: Settings) -> None:
    ingest(settings, *(row(0, day=f"2026-01-{day:02d}") for day in range(1, 11)))
    assert Stager(settings).stage().days == 10
    ingest(settings, row(30, visitor="w", day="2026-01-04"), name="late.csv")
    assert Stager(settings).stage().days == 1


def costs(report: Any) -> tuple[tuple[str, ...], int, int, int]:
    return report.days_touched, report.visitors_touched, report.rows_read, report.rows_written


def test_a_late_event_costs_its_day_and_the_neighbours_that_its_session_reaches(settings: Settings) -> None:
    days = [f"2026-01-{day:02d}" for day in range(1, 10)]
    around = [
        f"{day}T{time}Z,view,{visitor},p," for day in days for time in ("00:10:00", "23:50:00") for visitor in "ab"
    ]
    ingest(settings, *around, *(row(0, day=day) for day in days), row(0, day="2026-01-05"))
    assert costs(Stager(settings).stage()) == (tuple(days), 3, 46, 46)
    ingest(settings, row(30, visitor="new", day="2026-01-05"), name="alone.csv")
    assert costs(Stager(settings).stage()) == (("2026-01-05",), 1, 7, 7), "five events, a duplicate, and the new one"
    ingest(settings, "2026-01-05T23:30:00Z,view,a,p,", name="reaches.csv")
    report = Stager(settings).stage()
    assert costs(report) == (("2026-01-05", "2026-01-06"), 1, 8 + 5, 8 + 5), "the session that began at 23:50"
    assert report.days == 2


def test_visitors_are_touched_by_what_becomes_of_their_rows(settings: Settings) -> None:
    ingest(settings, row(0, "a", "x"), row(10, "b", "x"), row(20, "c"), row(20, "c"), row(20, "d"))
    assert costs(Stager(settings).stage())[1:] == (4, 5, 5)
    ingest(settings, row(20, "c"), name="again.csv")
    assert costs(Stager(settings).stage())[1:] == (1, 6, 6), "its row is a duplicate, or another one is now"
    ingest(settings, row(0, "e", "x", day="2026-01-04"), name="before.csv")
    report = Stager(settings).stage()
    assert report.days_touched == ("2026-01-04", "2026-01-05")
    assert costs(report)[1:] == (3, 7, 7), (
        "a lies within 24 hours of e, which has the same id, so b no longer does of a"
    )


def test_visitors_whose_hashes_agree_are_told_apart(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecom_analytics.staging import days, visits

    rows = [row(minute, visitor) for minute in range(0, 50, 25) for visitor in ("a", "b", "ab")]
    ingest(settings, *rows, *rows[:2])
    for module in (days, visits):
        monkeypatch.setattr(module, "HASHED", "length(visitor_id)")
    monkeypatch.setattr(
        visits, "_NEIGHBOURS", visits._NEIGHBOURS.replace("hash(source, visitor_id)", "length(visitor_id)")
    )
    report = Stager(settings).stage()
    events = DeltaTable(root(settings) / "events").to_pyarrow_table().to_pylist()
    assert (report.staged, report.duplicates) == (6, 2)
    assert {(e["visitor_id"], f"{e['session_start']:%H:%M}") for e in events} == {
        (v, "10:00") for v in ("a", "b", "ab")
    }


def test_of_two_stagers_at_once_one_commits_and_the_other_computes_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the same state when they commit; they touch different days, which Delta alone would let pass."""
    ingest(settings, row(0))
    Stager(settings).stage()
    ingest(settings, row(0, day="2026-01-08"), name="b.csv")
    together, attempts = threading.Barrier(2, timeout=60), []
    compute = attempt.Attempt.compute

    def computed(self: Any, scratch: Path) -> Any:
        judged = compute(self, scratch)
        attempts.append(1)
        if len(attempts) <= 2:
            together.wait()
        return judged

    monkeypatch.setattr(attempt.Attempt, "compute", computed)
    reports: list[Any] = []
    threads = [threading.Thread(target=lambda: reports.append(Stager(settings).stage())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.new_batches for report in reports) == [0, 1]
    assert [report.staged for report in reports] == [2, 2]
    account = snapshot(settings).account
    assert account.adds_up
    assert account.records == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-01-05T23:50:00Z,view,v,p,x", "2026-01-06T00:05:00Z,view,v,p,"),
        ("2026-01-05T23:50:00Z,view,v,p,x", "2026-01-06T00:05:00Z,view,w,p,x"),
        ("2026-01-05T10:00:00Z,view,v,p,", "2026-01-05T10:00:00Z,view,v,p,"),
        ("2026-01-05T10:00:00Z,view,v,p,", "2026-01-09T10:00:00Z,view,v,p,"),
    ],
    ids=["session over midnight", "id over midnight", "same row", "days apart"],
)
def test_no_write_skew(
    first: str, second: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stagers read the same version, each with its own new file: what one commits, the other must have seen."""
    ingest(settings, row(0, day="2026-01-01"))
    Stager(settings).stage()
    ids = {"one": ingest(settings, first, name="one.csv"), "two": ingest(settings, "", second, name="two.csv")}
    together, looked, computed = threading.Barrier(2, timeout=60), set(), set()
    compute, batches = attempt.Attempt.compute, stager.batches

    def seen(*arguments: Any, **more: Any) -> Any:
        """At its first look each stager sees its own file only, as if the other were not there yet."""
        name = threading.current_thread().name
        mine = name in ids and name not in looked
        looked.add(name)
        return [batch for batch in batches(*arguments, **more) if not mine or batch.batch_id == ids[name]]

    def together_at_first(self: Any, scratch: Path) -> Any:
        judged = compute(self, scratch)
        name = threading.current_thread().name
        if name in ids and name not in computed:
            computed.add(name)
            together.wait()
        return judged

    with monkeypatch.context() as patch:
        patch.setattr(stager, "batches", seen)
        patch.setattr(attempt.Attempt, "compute", together_at_first)
        threads = [threading.Thread(target=Stager(settings).stage, name=name) for name in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert computed == set(ids)
    Stager(settings).stage()
    clean = Settings(home=tmp_path / "clean")
    ingest(clean, row(0, day="2026-01-01"))
    ingest(clean, first, name="one.csv")
    ingest(clean, "", second, name="two.csv")
    Stager(clean).stage()
    assert staged_rows(settings) == staged_rows(clean)


def test_a_stager_that_always_loses_gives_up_and_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(settings, row(0))
    commit = tables.commit

    def lost(table: Any, name: str, *arguments: Any, **more: Any) -> None:
        if name == "events":
            raise BusyError("another writer")
        commit(table, name, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "commit", lost)
        with pytest.raises(BusyError):
            Stager(settings).stage()
    assert parquet_files(settings) == set()
    assert Stager(settings).stage().staged == 1


@pytest.mark.parametrize("point", ["duplicates", "rejected", "batches", "events", "after"])
def test_a_process_killed_at_any_commit_leaves_what_the_next_stage_makes_whole(point: str, settings: Settings) -> None:
    """SIGKILL right before each commit, and between the last one and the clean-up."""
    ingest(settings, row(0), row(0), row(9, event_id="x"))
    Stager(settings).stage()
    # an earlier "x": the one above becomes a duplicate, and the day's duplicates are written anew
    ingest(settings, row(1, event_id="x"), row(0), "nonsense,view,v,p,", name="more.csv")
    code = (
        "import os, signal, sys\n"
        "from ecom_analytics import Settings, Stager\n"
        "from ecom_analytics.staging import attempt, sweep\n"
        "commit, point = attempt.commit, sys.argv[2]\n"
        "def killed(table, name, adds, removes=(), **more):\n"
        "    if name == point or (point == 'after' and removes and name == 'duplicates'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    commit(table, name, adds, removes, **more)\n"
        "attempt.commit = sweep.commit = killed\n"
        "Stager(Settings(home=sys.argv[1])).stage()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(settings.home), point], env=os.environ, check=False)
    assert done.returncode == -9
    interim = snapshot(settings).account
    assert interim.adds_up
    assert interim.records == (6 if point == "after" else 3)
    report = Stager(settings).stage()
    assert (report.records, report.staged, report.duplicates, report.rejected) == (6, 2, 3, 1)
    assert report.new_batches == (0 if point == "after" else 1)


def test_records_that_do_not_add_up_are_not_committed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(settings, row(0), row(1))
    from ecom_analytics.engines.duckdb import DuckDBEngine

    rows = DuckDBEngine.rows

    def forgetful(self: Any, sql: str, parameters: Any = None) -> Any:
        if "FROM parsed WHERE reject_rule IS NULL GROUP BY" in sql:
            self.execute("DELETE FROM parsed WHERE source_line = 3")
        return rows(self, sql, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(DuckDBEngine, "rows", forgetful)
        with pytest.raises(AccountingError, match="2 records came in, but 1 staged"):
            Stager(settings).stage()
    assert parquet_files(settings) == set()
    assert Stager(settings).stage().staged == 2


def test_progress_counts_bytes_and_days(settings: Settings) -> None:
    ingest(settings, row(0), row(0, day="2026-01-06"))
    seen: list[Progress] = []
    Stager(settings, watch=seen.append).stage()
    assert all(progress.stage == "stage" for progress in seen)
    assert any(p.unit == "days" and (p.done, p.total) == (2, 2) for p in seen)


def test_a_batch_whose_bytes_lost_a_column_names_the_file(settings: Settings) -> None:
    batch = ingest(settings, row(0), name="lost.csv")
    stored = Path(settings.lake) / "raw" / "default" / "objects" / batch
    stored.chmod(0o644)
    stored.write_text("event_ts,visitor_id\n2026-01-05T10:00:00Z,v\n")
    with pytest.raises(InputError, match="lost.csv"):
        Stager(settings).stage()
