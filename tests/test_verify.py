"""Verification finds every row that is not what making all anew gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from ecom_analytics import Ingestor, Pipeline, Settings, Stager, Warehouse
from ecom_analytics.errors import NotBuiltError
from ecom_analytics.generate import generate
from ecom_analytics.verification import verify

pytest_plugins = ["s3_server"]

FAULTS = ("bad_timestamps", "blank_lines", "duplicate_rows", "late_events")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Six days with faults: five at once and built, then the third of them again in part, the last one, and built."""
    home = tmp_path_factory.mktemp("verify")
    events = home / "events.csv"
    generate(events, like="shop", events=3_000, days=6, faults=dict.fromkeys(FAULTS, 3), seed=5)
    cut = Settings(home=home / "cut")
    Ingestor(cut).ingest(events, daily=True)
    drops = sorted(
        Path(cut.lake, "raw/default/batches").glob("*.json"), key=lambda path: json.loads(path.read_text())["name"]
    )
    files = []
    for drop in drops:
        batch = json.loads(drop.read_text())
        files.append(home / f"{batch['name']}.csv")
        files[-1].write_bytes(Path(cut.lake, "raw/default/objects", batch["batch_id"]).read_bytes())
    settings = Settings(home=home / "data", maintenance_hours=0)
    Pipeline(settings).run(*files[:2], *files[3:-1], export=False)
    Pipeline(settings).run(files[2], files[-1], export=False)
    return settings


def tree(folder: Path) -> dict[str, bytes]:
    """All but the history and locks."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock" and "ops" not in path.parts)
    return {str(path): path.read_bytes() for path in found}


def test_what_was_made_step_by_step_is_equal_and_nothing_is_changed(shop: Settings) -> None:
    before = tree(shop.home)
    report = Pipeline(shop).verify()
    assert report.equal, [table for table in report.tables if not table.is_equal]
    rows = {table.name: table.rows for table in report.tables}
    assert {"staged.events", "staged.rejected", "staged.batches", "marts.users", "marts.funnel"} <= rows.keys()
    assert rows["staged.events"] > 2_900
    assert rows["staged.rejected"] == 3
    assert {f"marts.{name}" for name in Warehouse(shop).public_marts()} - rows.keys() == {"marts.runs", "marts.checks"}
    assert tree(shop.home) == before


@pytest.mark.parametrize(
    ("statement", "table", "missing", "unexpected"),
    [
        ("UPDATE users SET views = views + 1 WHERE user_id = (SELECT min(user_id) FROM users)", "users", 1, 1),
        ("DELETE FROM transactions WHERE customer_sequence = 1", "transactions", None, 0),
        ("INSERT INTO carts SELECT * FROM carts LIMIT 2", "carts", 0, 2),
    ],
)
def test_a_row_that_differs_is_found_and_shown(
    shop: Settings, tmp_path: Path, statement: str, table: str, missing: int | None, unexpected: int
) -> None:
    import shutil

    shutil.copytree(shop.home, tmp_path / "copy", symlinks=True)
    settings = Settings(home=tmp_path / "copy")
    with duckdb.connect(str(Warehouse(settings).current().path)) as connection:
        changed = connection.execute(statement).fetchone()
    done = subprocess.run(
        [sys.executable, "-m", "ecom_analytics", "verify", "--home", str(settings.home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    [wrong] = [one for one in report["tables"] if one["missing"] or one["unexpected"]]
    assert wrong["name"] == f"marts.{table}"
    assert changed is not None
    assert (wrong["missing"], wrong["unexpected"]) == (changed[0] if missing is None else missing, unexpected)
    assert {example["made"] for example in wrong["examples"]} <= {"anew", "step by step"}


def test_a_staged_row_that_differs_is_found(shop: Settings, tmp_path: Path) -> None:
    import shutil

    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    shutil.copytree(shop.home, tmp_path / "copy", symlinks=True)
    settings = Settings(home=tmp_path / "copy")
    path = next(Path(settings.lake, "staged", "events").rglob("*.parquet"))
    rows = pq.read_table(path, partitioning=None)
    place = rows.schema.get_field_index("product_id")
    pq.write_table(
        rows.set_column(place, rows.schema.field(place), pc.binary_join_element_wise(rows["product_id"], "x", "")), path
    )
    report = verify(settings)
    [events] = [table for table in report.tables if table.name == "staged.events"]
    assert events.missing == events.unexpected > 0
    assert not report.equal


def test_a_build_that_is_behind_cannot_be_compared(shop: Settings, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(shop.home, tmp_path / "copy", symlinks=True)
    settings = Settings(home=tmp_path / "copy")
    file = tmp_path / "more.csv"
    file.write_text("timestamp,visitorid,event,itemid,transactionid\n1433222532117,1,view,1,\n")
    Ingestor(settings).ingest(file, source="more")
    Stager(settings).stage()
    with pytest.raises(NotBuiltError, match="does not hold what is staged"):
        verify(settings)


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
def test_a_lake_on_s3_is_verified(s3_bucket: str, s3_endpoint: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    generate(file, like="shop", events=300, days=2)
    settings = Settings(home=tmp_path / "home", lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint)
    Pipeline(settings).run(file, export=False)
    assert verify(settings).equal
