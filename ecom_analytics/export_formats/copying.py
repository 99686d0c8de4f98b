"""What formats that DuckDB writes have in common."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ecom_analytics.disk import told_when_full

if TYPE_CHECKING:
    import pyarrow as pa

    from ecom_analytics.protocols import CopiedFormat


def quoted(name: str) -> str:
    """A column's or table's name in SQL.

    Examples
    --------
    >>> quoted("views")
    '"views"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Text in SQL, where there can be no parameter.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def iso_time(name: str, *, zone: bool) -> str:
    """A time as text of ISO 8601, in SQL."""
    return f"strftime({quoted(name)}, '%Y-%m-%dT%H:%M:%S.%f{'Z' if zone else ''}')"


def write_copied(kind: CopiedFormat, rows: pa.RecordBatchReader, to: BinaryIO) -> int:
    """Write rows that DuckDB does not hold, as it writes its own; how many there were."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="ecom-analytics-") as folder, duckdb.connect() as connection:
        path = Path(folder, "rows")
        connection.execute("SET TimeZone = 'UTC'")
        schema = rows.schema
        connection.register("rows", rows)
        copying = kind.copying("SELECT * FROM rows", schema)
        with told_when_full(folder):
            counted = connection.execute(
                f"COPY ({copying.query}) TO {literal(str(path))} ({copying.options})"
            ).fetchone()
        to.write(copying.head)
        with path.open("rb") as stream:
            shutil.copyfileobj(stream, to, 1 << 20)
    assert counted is not None
    return int(counted[0])
