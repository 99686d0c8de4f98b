"""The staged tables of the catalogue share the one commit point of the events, and the order of arrival is nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.errors import BusyError
from ecom_analytics.lake import STAGED
from ecom_analytics.staging import attempt, rejected, snapshot, tables

ITEMS = "timestamp,itemid,property,value\n"
TREE = "categoryid,parentid\n"
EVENTS = "timestamp,visitorid,event,itemid,transactionid\n"
AT = 1435460400000


def ingest(settings: Settings, name: str, text: str) -> None:
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    Ingestor(settings).ingest(path)


def parquet_files(settings: Settings) -> set[Path]:
    staged = Path(settings.lake) / "staged"
    return {path for path in staged.rglob("*.parquet") if "_delta_log" not in path.parts}


def facts(settings: Settings) -> dict[str, list[Any]]:
    """What is staged, less where it was read."""
    found = {}
    for table, columns in CATALOGUE.items():
        names = [column.name for column in columns if column.meaning == "fact"]
        rows = [row for file in snapshot(settings).catalogue[table] for row in pq.read_table(file).to_pylist()]
        found[table] = sorted((tuple(row[name] for name in names) for row in rows), key=repr)
    return found


def test_a_lake_of_events_has_no_tables_of_a_catalogue(settings: Settings) -> None:
    ingest(settings, "events.csv", f"{EVENTS}{AT},7,view,1,\n")
    Stager(settings).stage()
    assert sorted(path.name for path in (Path(settings.lake) / "staged").iterdir()) == sorted(
        set(STAGED) - set(CATALOGUE)
    )
    assert snapshot(settings).catalogue == {"products": [], "categories": []}


def test_every_record_has_one_answer(settings: Settings) -> None:
    ingest(settings, "events.csv", f"{EVENTS}{AT},7,view,1,\n{AT},7,view,1,\n")
    ingest(settings, "items.csv", f"{ITEMS}{AT},1,categoryid,5\n\n{AT},1,categoryid,5\nsoon,1,categoryid,6\n{AT},1\n")
    ingest(settings, "tree.csv", f"{TREE}5,4\n,4\n")
    report = Stager(settings).stage()
    account = (report.records, report.staged, report.duplicates, report.rejected, report.blank)
    assert account == (9, 4, 1, 3, 1)
    assert {(row["name"], row["source_line"], row["rule"], row["raw_text"]) for row in rejected(settings)[1]} == {
        ("items.csv", 5, "bad_timestamp", "soon,1,categoryid,6"),
        ("items.csv", 6, "too_few_fields", f"{AT},1"),
        ("tree.csv", 3, "missing_category_id", ",4"),
    }
    again = Stager(settings).stage()
    assert (again.stage_id, again.records, again.staged) == (None, 9, 4)


def test_pieces_of_a_file_in_any_order_give_the_same_rows(settings: Settings, tmp_path: Path) -> None:
    lines = [f"{AT + n * 1000},{n % 3},{'categoryid' if n % 2 else 'available'},{n % 2}\n" for n in range(9)]
    pieces = [ITEMS + "".join(lines[start : start + 3]) for start in range(0, 9, 3)]
    ingest(settings, "whole.csv", ITEMS + "".join(lines))
    Stager(settings).stage()
    for number, order in enumerate(permutations(range(3))):
        other = Settings(home=tmp_path / str(number))
        for place, piece in enumerate(order):
            ingest(other, f"{piece}.csv", pieces[piece])
            if place != number % 3:
                Stager(other).stage()
        Stager(other).stage()
        assert facts(other) == facts(settings)


def test_a_stage_that_loses_leaves_nothing_of_a_catalogue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(settings, "items.csv", f"{ITEMS}{AT},1,categoryid,5\n")
    ingest(settings, "tree.csv", f"{TREE}5,4\n")
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
    assert facts(settings) == {"products": [], "categories": []}
    assert Stager(settings).stage().staged == 2


@pytest.mark.parametrize("point", ["products", "categories", "events"])
def test_a_process_killed_at_a_commit_leaves_what_the_next_stage_makes_whole(point: str, settings: Settings) -> None:
    ingest(settings, "items.csv", f"{ITEMS}{AT},1,categoryid,5\n")
    ingest(settings, "tree.csv", f"{TREE}5,4\n")
    Stager(settings).stage()
    before = facts(settings)
    ingest(settings, "more.csv", f"{ITEMS}{AT},1,categoryid,6\n")
    ingest(settings, "more_tree.csv", f"{TREE}6,4\n")
    code = (
        "import os, signal, sys\n"
        "from ecom_analytics import Settings, Stager\n"
        "from ecom_analytics.staging import attempt\n"
        "commit, point = attempt.commit, sys.argv[2]\n"
        "def killed(table, name, adds, removes=(), **more):\n"
        "    if name == point:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    commit(table, name, adds, removes, **more)\n"
        "attempt.commit = killed\n"
        "Stager(Settings(home=sys.argv[1])).stage()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(settings.home), point], env=os.environ, check=False)
    assert done.returncode == -9
    assert facts(settings) == before
    assert snapshot(settings).account.adds_up
    report = Stager(settings).stage()
    assert (report.records, report.staged, report.new_batches) == (4, 4, 2)
    named = {file for files in snapshot(settings).catalogue.values() for file in files}
    assert {str(path) for path in parquet_files(settings) if path.parent.name in CATALOGUE} == named
