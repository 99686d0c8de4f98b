"""The Delta tables of the history, ``<lake>/ops/<name>``: their columns, and how rows get in and out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import LakeError
from ecom_analytics.storages import storage_options

if TYPE_CHECKING:
    import pyarrow as pa

    from ecom_analytics.config import Settings

SUCCESS, FAILED = "success", "failed"
"""How a run, or a stage of it, can end."""

FOLDER = "ops"
TABLES = ("runs", "checks")

COLUMNS: dict[str, dict[str, str]] = {
    "runs": {
        "entry_id": "text",
        "place": "integer",
        "run_id": "text",
        "kind": "text",
        "name": "text",
        "status": "text",
        "started_at": "timestamp",
        "seconds": "float",
        "build_id": "text",
        "staged_version": "integer",
        "as_of": "timestamp",
        "row_count": "integer",
        "rows_read": "integer",
        "rows_written": "integer",
        "peak_memory_bytes": "integer",
        "counts": "text",
        "message": "text",
        "package_version": "text",
        "versions": "text",
        "settings_hash": "text",
    },
    "checks": {
        "entry_id": "text",
        "place": "integer",
        "run_id": "text",
        "build_id": "text",
        "checked_at": "timestamp",
        "name": "text",
        "model": "text",
        "column_name": "text",
        "status": "text",
        "failures": "integer",
        "message": "text",
    },
}
"""The columns of each table, and what they hold; any of them may be NULL but the ids."""

_ATTEMPTS = 3


def address(settings: Settings, name: str) -> str:
    """Where a table lies.

    Examples
    --------
    >>> from ecom_analytics import Settings
    >>> address(Settings(lake="/data/shop/lake"), "runs")
    '/data/shop/lake/ops/runs'
    """
    return f"{settings.lake}/{FOLDER}/{name}"


def schema(name: str) -> pa.Schema:
    """Arrow schema of a table."""
    import pyarrow as pa

    kinds = {"text": pa.string(), "integer": pa.int64(), "float": pa.float64(), "timestamp": pa.timestamp("us", "UTC")}
    return pa.schema([pa.field(column, kinds[kind]) for column, kind in COLUMNS[name].items()])


def append(settings: Settings, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows, in one commit; the table is made if it is not there.

    Raises
    ------
    LakeError
        It cannot be written.
    """
    import pyarrow as pa
    from deltalake import write_deltalake
    from deltalake.exceptions import DeltaError

    if not rows:
        return
    place = address(settings, name)
    entries = [{"entry_id": secrets.token_hex(8), "place": place, **row} for place, row in enumerate(rows, 1)]
    table = pa.Table.from_pylist(entries, schema=schema(name))
    for attempt in range(_ATTEMPTS):
        try:
            options = storage_options(settings, place)
            if "://" not in place:
                Path(place).mkdir(parents=True, exist_ok=True)
            write_deltalake(place, table, mode="append", schema_mode="merge", storage_options=dict(options))
        except (DeltaError, OSError) as error:
            if attempt + 1 < _ATTEMPTS and isinstance(error, DeltaError):
                continue  # of two that make a table at once, one fails
            raise LakeError(
                f"the history {place} cannot be written: {error}", hint="check that the lake is yours to write"
            ) from error
        return


def read(settings: Settings, name: str, columns: Sequence[str] | None = None, *, only: str = "") -> pa.Table:
    """The rows of a table, in no order; none if it is not there.

    Parameters
    ----------
    settings : Settings
    name : str
    columns : sequence of str, optional
    only : str
        A condition in SQL. It must hold no value from outside.

    Raises
    ------
    LakeError
        It cannot be read.
    """
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    place = address(settings, name)
    wanted = schema(name)
    if columns is not None:
        wanted = pa.schema([wanted.field(column) for column in columns])
    if "://" not in place and not Path(place, "_delta_log").is_dir():
        return wanted.empty_table()
    try:
        table = DeltaTable(place, storage_options=dict(storage_options(settings, place)))
        there = {field.name for field in table.schema().fields}
        reader = table.scan(columns=[column for column in wanted.names if column in there], predicate=only or None)
        rows = pa.RecordBatchReader.from_stream(reader).read_all()
    except TableNotFoundError:
        return wanted.empty_table()
    except (DeltaError, OSError, ValueError) as error:
        raise LakeError(
            f"the history {place} cannot be read: {error}",
            hint="if its files were changed by hand, restore them, or delete the folder: only the history is lost",
        ) from error
    for field in wanted:
        if field.name not in there:
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    return rows.select(wanted.names).cast(wanted)
