"""Rows as JSON Lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from ecom_analytics.export_formats.copying import iso_time, quoted, write_copied
from ecom_analytics.protocols import Copying

if TYPE_CHECKING:
    import pyarrow as pa


class JsonLines:
    """JSON Lines: one object a line, UTF-8, every column in every line, NULL as ``null``.

    Times are ISO 8601 in UTC, decimals are exact numbers. JSON knows neither infinity nor what is not a number: both
    are ``null``.
    """

    name = "jsonl"
    extension = "jsonl"
    version = "1"

    def copying(self, query: str, schema: pa.Schema) -> Copying:
        columns = ", ".join(f"{_value(field)} AS {quoted(field.name)}" for field in schema)
        return Copying(f"SELECT {columns} FROM ({query})", "FORMAT json")

    def write(self, rows: pa.RecordBatchReader, to: BinaryIO) -> int:
        """Write all rows; how many there were.

        Examples
        --------
        >>> import io, pyarrow as pa
        >>> to = io.BytesIO()
        >>> JsonLines().write(pa.table({"id": ["a", None], "visitors": [7, None]}).to_reader(), to)
        2
        >>> to.getvalue().decode().splitlines()
        ['{"id":"a","visitors":7}', '{"id":null,"visitors":null}']
        """
        return write_copied(self, rows, to)


def _value(field: pa.Field) -> str:
    import pyarrow as pa

    if pa.types.is_timestamp(field.type):
        return iso_time(field.name, zone=bool(field.type.tz))
    if pa.types.is_floating(field.type):
        return f"CASE WHEN isfinite({quoted(field.name)}) THEN {quoted(field.name)} END"
    return quoted(field.name)
