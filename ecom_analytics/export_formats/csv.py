"""Rows as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, BinaryIO

from ecom_analytics.errors import ExportError

if TYPE_CHECKING:
    import pyarrow as pa


class Csv:
    """CSV for machines: comma, LF, UTF-8, a header, quotes as RFC 4180 has them.

    Text is quoted, so NULL (nothing) and empty text (``""``) stay apart. Times are ISO 8601 in UTC
    (``2015-06-02T05:02:12.117000Z``), decimals are exact. Text is written as it is, also where a spreadsheet would
    take it for a formula (it begins with ``=``, ``+``, ``-`` or ``@``): import such columns as text.
    """

    name = "csv"
    extension = "csv"

    def write(self, rows: pa.RecordBatchReader, to: BinaryIO) -> int:
        """Write all rows; how many there were.

        Raises
        ------
        ExportError
            A column is nested or binary, which CSV cannot hold.

        Examples
        --------
        >>> import io, pyarrow as pa
        >>> to = io.BytesIO()
        >>> Csv().write(pa.table({"id": ["a", "", None], "visitors": [7, None, 9]}).to_reader(), to)
        3
        >>> to.getvalue().decode().splitlines()
        ['id,visitors', '"a",7', '"",', ',9']
        """
        import pyarrow as pa
        import pyarrow.csv as arrow_csv

        _refuse_nested(rows.schema)
        to.write(_header(rows.schema.names))
        options = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")
        written = 0
        for batch in rows:
            if batch.num_rows:
                plain = pa.RecordBatch.from_arrays(
                    [_text_of_time(column) for column in batch.columns], batch.schema.names
                )
                buffer = pa.BufferOutputStream()
                arrow_csv.write_csv(plain, buffer, options)
                to.write(buffer.getvalue())
                written += batch.num_rows
        return written


def _header(names: list[str]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow(names)
    return line.getvalue().encode()


def _text_of_time(column: Any) -> Any:
    """A time as ISO 8601; any other column as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(column.type):
        return column
    text: Any = pc.replace_substring(column.cast(pa.timestamp("us")).cast(pa.string()), " ", "T")
    zone: Any = "Z" if column.type.tz else ""
    return pc.binary_join_element_wise(text, zone, "")


def _refuse_nested(schema: pa.Schema) -> None:
    import pyarrow as pa

    for field in schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            raise ExportError(
                f"the column {field.name!r} of type {field.type} cannot be written as CSV",
                hint="export it as Parquet",
                column=field.name,
            )
