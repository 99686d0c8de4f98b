"""Parquet files as records: the first row is line 1."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import InputError
from ecom_analytics.reading.paths import Number, json_text

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 16_384

ERASED = b"ecom_analytics.erased_rows"
"""Key of a file's metadata that lists rows, from 1, whose records were erased: they are NULL, and count as blank."""


class ParquetReader:
    """Iterate over the rows of a Parquet file, as records of texts.

    Parameters
    ----------
    path : str or a seekable stream
    columns : sequence of str, optional
        The top-level columns wanted; those that the file lacks are left out. None: all.
    name : str, optional
        What to call it in errors.

    Raises
    ------
    InputError
        It is no Parquet file, or it is damaged.
    """

    def __init__(self, path: str, columns: Sequence[str] | None = None, *, name: str = "") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = name or path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._damaged(error) from error
        self.header = list(self._file.schema_arrow.names)
        self.rows: int = self._file.metadata.num_rows
        self._erased = erased_rows(self._file.schema_arrow)
        self.rejected, self.blank = 0, len(self._erased)
        self._wanted = [name for name in self.header if columns is None or name in columns]

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each row's number, from 1, and its record."""
        line = 0
        for batch in self.batches():
            for row in batch.to_pylist():
                line += 1
                if line not in self._erased:
                    yield line, {name: _plain(value) for name, value in row.items()}

    def first(self, rows: int) -> list[dict[str, Any]]:
        """The first rows."""
        return [record for _, record in islice(self, rows)]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as they are, for who needs no more than flat columns."""
        import pyarrow as pa

        try:
            for batch in self._file.iter_batches(_ROWS, columns=self._wanted):
                yield _in_micros(batch)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._damaged(error) from error

    def numbered(self) -> Iterator[tuple[pa.RecordBatch, pa.Array[Any]]]:
        """The batches, without erased rows, each with the number of every row."""
        import numpy as np
        import pyarrow as pa

        line = 1
        for batch in self.batches():
            numbers = np.arange(line, line + batch.num_rows)
            line += batch.num_rows
            if self._erased:
                stays = ~np.isin(numbers, list(self._erased))
                batch, numbers = batch.filter(pa.array(stays)), numbers[stays]
            yield batch, pa.array(numbers)

    def is_flat(self, name: str) -> bool:
        """Whether the column holds plain values."""
        import pyarrow as pa

        kind = self._file.schema_arrow.field(name).type
        return not (pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or pa.types.is_binary(kind))

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"the Parquet file cannot be read: {error}", hint="fetch or write the file again", path=self._path
        )


def erased_rows(schema: pa.Schema) -> set[int]:
    """The rows that a Parquet file says were erased."""
    return set(json.loads((schema.metadata or {}).get(ERASED, b"[]")))


def texts(column: pa.Array[Any]) -> pa.Array[Any]:
    """A flat column as text: whole numbers without a point, whatever their type; times as ISO 8601.

    Examples
    --------
    >>> import pyarrow as pa
    >>> texts(pa.array([1433221332117.0, 0.5, None])).to_pylist()
    ['1433221332117', '0.5', None]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return pa.array([_plain(value) for value in column.to_pylist()], pa.string())
    text = pc.cast(column, pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _in_micros(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times in nanoseconds, which Python has none of, cut to microseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _plain(value: Any) -> Any:
    """A value of pyarrow as JSON would have it, with numbers as text."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | Decimal):
        return Number(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return Number(int(value) if value.is_integer() and abs(value) < 2**63 else value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(v, tuple) for v in value):  # a map
            return {str(key): _plain(v) for key, v in value}
        return [_plain(v) for v in value]
    return str(value)


def row_texts(path: str, lines: Sequence[int]) -> dict[int, bytes]:
    """Chosen rows as JSON, for a person to read."""
    wanted = set(lines)
    found = {}
    for line, record in ParquetReader(path):
        if line in wanted:
            found[line] = json_text(record).encode()
            if len(found) == len(wanted):
                break
    return found
