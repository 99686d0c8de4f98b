"""The contract of an export format, as tests to inherit.

Examples
--------
.. code-block:: python

    class TestMyFormat(ExportFormatContract):
        @pytest.fixture
        def export_format(self):
            return MyFormat()

        def read_back(self, data, schema):
            return my_reader(data).cast(schema)
"""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pytest

from ecom_analytics.protocols import ExportFormat


class ExportFormatContract:
    """What every export format must do. Override ``export_format`` and :meth:`read_back`."""

    @pytest.fixture
    def export_format(self) -> ExportFormat:
        raise NotImplementedError("override the fixture 'export_format'")

    def read_back(self, data: bytes, schema: pa.Schema) -> pa.Table:
        """The rows in the bytes that the format wrote, in the types of the schema."""
        raise NotImplementedError("override the method 'read_back'")

    def written(self, export_format: ExportFormat, table: pa.Table, batch_rows: int = 1000) -> bytes:
        """What the format writes of a table; it may only write on, and must count the rows."""
        to = _WriteOnly()
        batches = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(batch_rows))
        assert export_format.write(batches, cast(BinaryIO, to)) == table.num_rows
        return b"".join(to.parts)

    def test_keeps_the_protocol(self, export_format: ExportFormat) -> None:
        assert isinstance(export_format, ExportFormat)
        assert export_format.name == export_format.name.lower() != ""
        assert export_format.extension.strip("./ ") == export_format.extension != ""

    @pytest.mark.parametrize(
        ("kind", "values"),
        [
            (pa.int64(), [0, -1, 2**63 - 1, -(2**63)]),
            (pa.decimal128(18, 4), [Decimal("0.0001"), Decimal("-99999999999999.9999"), Decimal("0.0000")]),
            (pa.float64(), [0.1, -1e-9, 1e300]),
            (pa.bool_(), [True, False]),
            (pa.date32(), [date(1999, 12, 31), date(2024, 2, 29)]),
            (
                pa.timestamp("us", tz="UTC"),
                [datetime(2015, 6, 2, 5, 2, 12, 117000, UTC), datetime(1999, 12, 31, tzinfo=UTC)],
            ),
            (
                pa.string(),
                ["", " a ", "a,b", 'say "hi"', "two\nlines", "two\r\nlines", "\r", "é😀", "=1+1", "NULL", "007"],
            ),
        ],
        ids=str,
    )
    def test_values_come_back_as_they_were(self, export_format: ExportFormat, kind: Any, values: list[Any]) -> None:
        numbers = pa.array(range(len(values) + 2))
        table = pa.table({"number": numbers, "value": pa.array([None, *values, None], kind)})
        assert self.read_back(self.written(export_format, table), table.schema).to_pylist() == table.to_pylist()

    def test_many_batches_in_order(self, export_format: ExportFormat) -> None:
        start = datetime(2024, 1, 1, tzinfo=UTC)
        times = pa.array([start + timedelta(seconds=n) for n in range(2500)], pa.timestamp("us", tz="UTC"))
        table = pa.table({"number": list(range(2500)), "at": times, "text": [f"t{n}" for n in range(2500)]})
        assert self.read_back(self.written(export_format, table, 100), table.schema).equals(table)

    def test_no_rows_still_have_columns(self, export_format: ExportFormat) -> None:
        table = pa.table({"number": pa.array([], pa.int64()), "text": pa.array([], pa.string())})
        back = self.read_back(self.written(export_format, table), table.schema)
        assert (back.num_rows, back.column_names) == (0, ["number", "text"])

    def test_the_same_rows_are_the_same_bytes(self, export_format: ExportFormat) -> None:
        table = pa.table({"number": list(range(1000)), "text": [str(n % 7) for n in range(1000)]})
        assert self.written(export_format, table) == self.written(export_format, table)


class _WriteOnly(io.RawIOBase):
    """A stream that can only be written on, as an upload is."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        self._size += len(self.parts[-1])
        return len(self.parts[-1])

    def close(self) -> None:
        raise AssertionError("a format must not close the stream, which is its caller's")
