"""What counts of the staged tables, to compare two lakes by, and small files to stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecom_analytics import Ingestor, Settings
from ecom_analytics.lake import STAGED
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.state import Counted, account, load, open_tables
from ecom_analytics.staging.tables import files_of

HEADER = "event_ts,event_type,visitor_id,product_id,source_event_id\n"

_OF_A_STAGE = {"stage_id", "staged_at"}


def ingest(settings: Settings, folder: Path, name: str, rows: list[str], source: str = "default") -> None:
    """Ingest a file of the format ``canonical``."""
    path = folder / name
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    Ingestor(settings).ingest(path, source=source, source_format="canonical")


def staged_rows(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """The rows that count, sorted, with all but what tells one stage from another. They add up."""
    place = open_place(settings)
    with place.hold():
        state = load(place)
        assert account(state).adds_up
        files = {
            "events": [file for files in state.events.values() for file in files],
            "duplicates": [file for files in state.duplicates.values() for file in files],
            "rejected": state.rejected,
        }
        found = {name: _rows(place.paths([f"{name}/{f.path}" for f in some])) for name, some in files.items()}
        batches = [{k: v for k, v in row.items() if k not in _OF_A_STAGE} for row in state.batches.to_pylist()]
        return found | {"batches": sorted((tuple(row[name] for name in sorted(row)) for row in batches), key=repr)}


def left_of_the_dead(settings: Settings) -> list[str]:
    """Files and rows of stages that the events table does not know."""
    place = open_place(settings)
    tables = open_tables(place)
    counted = Counted(tables["events"])
    named = {f"{name}/{file.path}" for name in STAGED for file in files_of(tables[name])}
    listed = {path for name in STAGED for path in place.listing(name)}
    assert named <= listed, "a row's file is missing"
    return [path for path in listed if path.rpartition("/")[2].split("_")[0] not in counted]


def _rows(paths: list[str]) -> list[tuple[Any, ...]]:
    import duckdb

    if not paths:
        return []
    with duckdb.connect(config={"threads": 1}) as connection:
        files = connection.read_parquet(paths, union_by_name=True, hive_partitioning=True)
        columns = ", ".join(sorted(set(files.columns) - _OF_A_STAGE))
        return sorted(files.select(columns).fetchall(), key=repr)
