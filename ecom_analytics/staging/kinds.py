"""The columns that staging works with on DuckDB, and their types while it does."""

from __future__ import annotations

from collections.abc import Iterable

from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.events import COLUMNS, EVENT_TYPES, IDENTITY, NAMES
from ecom_analytics.lake import Batch
from ecom_analytics.staging.state import State

KINDS = ("event_type", "source", "batch_id")
"""Columns of few values, which DuckDB handles as numbers while it judges: an ENUM of the column's name."""

AS_JUDGED = ", ".join(
    [f"make_timestamp(epoch_us({name})) AS {name}" for name in ("event_ts", "session_start")]
    + [f"{name}::kind_of_{name} AS {name}" for name in KINDS]
)
"""SQL that gives the columns of a staged file these types."""


def sql_types() -> dict[str, str]:
    """DuckDB's type of each canonical column while days are judged."""
    plain = {
        "text": "VARCHAR",
        "integer": "BIGINT",
        "decimal": "DECIMAL(18, 4)",
        "timestamp": "TIMESTAMP",
        "date": "DATE",
    }
    return {c.name: f"kind_of_{c.name}" if c.name in KINDS else plain[c.type] for c in COLUMNS}


def create_kinds(engine: DuckDBEngine, state: State, new: Iterable[Batch]) -> None:
    """Create the types of :data:`KINDS`. Their values are sorted, so they compare as the text does."""
    staged = {name: state.batches[name].to_pylist() for name in ("source", "batch_id")}
    values = {
        "event_type": set(EVENT_TYPES),
        "source": {*staged["source"], *(b.source for b in new)},
        "batch_id": {*staged["batch_id"], *(b.batch_id for b in new)},
    }
    for name in KINDS:
        engine.execute("SET VARIABLE kind = $1", [sorted(values[name])])
        engine.execute(f"CREATE TYPE kind_of_{name} AS ENUM (SELECT unnest(getvariable('kind')))")


def present_columns(fillable: Iterable[str]) -> list[str]:
    """Canonical columns that staging reads, in order: the required ones, and those that some format can fill."""
    wanted = {*fillable, "event_ts", "event_type", "visitor_id", "source", "batch_id", "source_line"}
    return [name for name in NAMES if name in wanted and (name in IDENTITY or name in ("batch_id", "source_line"))]
