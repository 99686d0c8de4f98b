"""Pandera proves that staged events keep the canonical schema. It filters nothing: rejecting is done by then."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import SchemaError
from ecom_analytics.events import COLUMNS, EVENT_TYPES

if TYPE_CHECKING:
    import ibis.expr.types as ir

_TYPES = {
    "text": "string",
    "integer": "int64",
    "decimal": "decimal(18, 4)",
    "timestamp": "timestamp('UTC', 6)",
    "date": "date",
}


def import_early() -> threading.Thread:
    """Import Pandera in the background: it takes about a second, which reading the input can hide."""

    def load() -> None:
        importlib.import_module("pandera.ibis")

    thread = threading.Thread(target=load, name="import-pandera", daemon=True)
    thread.start()
    return thread


def event_schema(columns: list[str]) -> Any:
    """Pandera's schema of staged events that have these columns.

    Examples
    --------
    >>> event_schema(["event_ts", "brand"]).columns["brand"].nullable
    True
    """
    import ibis
    import pandera.ibis as pandera

    return pandera.DataFrameSchema(
        {
            column.name: pandera.Column(
                ibis.dtype(_TYPES[column.type]),
                nullable=not column.required,
                checks=pandera.Check.isin(list(EVENT_TYPES)) if column.name == "event_type" else None,
            )
            for column in COLUMNS
            if column.name in columns
        },
        checks=[pandera.Check(_session_starts_before_its_events, name="session_starts_before_its_events")],
        strict=True,
        name="staged events",
    )


def _session_starts_before_its_events(data: Any) -> Any:
    return data.table.session_start <= data.table.event_ts


def validate(events: ir.Table) -> None:
    """Check staged events against the schema.

    Raises
    ------
    SchemaError
        Naming each broken check.
    """
    import pandera.errors

    schema = event_schema(list(events.columns))
    try:
        schema.validate(events, lazy=True)
    except (pandera.errors.SchemaErrors, pandera.errors.SchemaError) as error:
        raise SchemaError(
            f"staged events do not keep the schema: {error}",
            hint="this is a defect of the source format that read them; nothing was committed",
        ) from error
