"""Staged events for the tests of the marts, without the Stager: canonical rows in a Delta table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from ecom_analytics.events import IDENTITY, NAMES, arrow_schema

Event = dict[str, Any]
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


def event(minutes: float = 0, event_type: str = "view", visitor_id: str = "v1", **columns: Any) -> Event:
    """An event so many minutes after the START; columns that are not given are NULL."""
    given = {
        "event_ts": START + timedelta(minutes=minutes),
        "event_type": event_type,
        "visitor_id": visitor_id,
        "source": "shop",
        **columns,
    }
    return {name: given.pop(name, None) for name in NAMES} | given


def complete(events: Iterable[Event], timezone: str = "UTC", timeout_minutes: float = 30) -> list[Event]:
    """What staging adds: each event once, its day, its session's start, its batch and line."""
    distinct = {tuple(row[name] for name in IDENTITY): dict(row) for row in events}
    rows = sorted(distinct.values(), key=lambda row: row["event_ts"])
    seen: dict[tuple[str, str], tuple[datetime, datetime]] = {}
    for line, row in enumerate(rows, start=2):
        visitor = row["source"], row["visitor_id"]
        last, start = seen.get(visitor, (None, None))
        if last is None or row["event_ts"] - last > timedelta(minutes=timeout_minutes):
            start = row["event_ts"]
        seen[visitor] = row["event_ts"], start
        row["session_start"] = start
        row["event_date"] = row["event_ts"].astimezone(ZoneInfo(timezone)).date()
        row["batch_id"] = row["batch_id"] or "a" * 64
        row["source_line"] = row["source_line"] or line
    return rows


@dataclass
class Account:
    records: int = 0
    staged: int = 0
    duplicates: int = 0
    rejected: int = 0
    blank: int = 0
    rejected_by_rule: dict[str, int] = field(default_factory=dict)


@dataclass
class Snapshot:
    version: int
    files: list[str]
    batches: pa.Table
    account: Account
    catalogue: dict[str, list[str]] = field(default_factory=dict)


def write(folder: Path, rows: Sequence[Event], version: int = 1, names: dict[str, str] | None = None) -> Snapshot:
    """Write the rows as the Stager would; columns that no row fills are left out, as it does."""
    from deltalake import DeltaTable, write_deltalake

    files: list[str] = []
    if rows:
        schema = arrow_schema()
        filled = [f for f in schema if not f.nullable or any(row[f.name] is not None for row in rows)]
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(filled))
        path = str(folder / f"events-{version}")
        write_deltalake(path, table, partition_by=["event_date"])
        files = sorted(uri.removeprefix("file://") for uri in DeltaTable(path).file_uris())
    named = {row["batch_id"]: "events.csv" for row in rows} | (names or {})
    batches = pa.table({"batch_id": list(named), "name": list(named.values()), "staged_at": [START] * len(named)})
    return Snapshot(version, files, batches, Account(records=len(rows), staged=len(rows)))
