"""From a block of bytes to Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from ecom_analytics.errors import AccountingError
from ecom_analytics.reading.layout import Layout, lay_out
from ecom_analytics.reading.lines import Lines, find_lines, gather, is_utf8
from ecom_analytics.reading.records import (
    CR,
    LF,
    QUOTE,
    BadRecord,
    Dialect,
    Record,
    check_record,
    check_width,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import csv

    from ecom_analytics.reading.lines import Mask, Positions

    Column: TypeAlias = pa.Array[Any]


@dataclass(frozen=True, slots=True)
class Block:
    """What a block of bytes came to.

    Attributes
    ----------
    batch : pyarrow.RecordBatch
        The good records, in the order of their lines.
    bad : list of BadRecord
        The others, in the order of their lines.
    blank : int
        Blank lines.
    lines : int
        Physical lines taken.
    taken : int
        Bytes taken; the rest belongs to a record that goes on in the next block.
    """

    batch: pa.RecordBatch
    bad: list[BadRecord]
    blank: int
    lines: int
    taken: int


class BlockParser:
    """Split blocks of whole lines.

    Parameters
    ----------
    dialect : Dialect
    width : int
        Fields that a record must have.
    where : sequence of int or None
        Which field each text column of the schema is; None for NULL.
    schema : pyarrow.Schema
        The text columns, and the line number.
    """

    def __init__(self, dialect: Dialect, width: int, where: Sequence[int | None], schema: pa.Schema) -> None:
        self._dialect = dialect
        self._width = width
        self._where = where
        self._schema = schema

    def parse(self, data: bytes, first_line: int, *, final: bool) -> Block:
        """Split ``data``, which begins at line ``first_line`` and outside quotes.

        Only if it is ``final`` may its last line lack a newline.
        """
        if self._is_plain(data):
            block = self._parse_plain(data, first_line)
            if block:
                return block
        return self._parse_mixed(data, first_line, final=final)

    def _is_plain(self, data: bytes) -> bool:
        """No quote, NUL, stray CR or broken UTF-8; with one column, a line of spaces would be a record."""
        if self._width == 1 or self._dialect.newline != LF or QUOTE in data or 0 in data:
            return False
        if CR in data and data.count(CR) != data.count(b"\r\n"):
            return False
        return is_utf8(data)

    def _parse_plain(self, data: bytes, first_line: int) -> Block | None:
        """All lines at once; None if some are empty."""
        import numpy as np

        columns, rows, ragged = self._split(data, quoted=False, several_lines=False)
        count = data.count(LF) + (data[-1] != LF)
        if rows + len(ragged) != count:
            return None
        bad: list[BadRecord] = []
        numbers = np.arange(first_line, first_line + count)
        if ragged:
            numbers = np.delete(numbers, [row for row, _ in ragged])
            every = np.ones(count, np.bool_)
            bad = self._ragged(data, find_lines(data, self._dialect), every, every, ragged, first_line)
        return Block(self._batch(columns, numbers), bad, len(ragged) - len(bad), count, len(data))

    def _parse_mixed(self, data: bytes, first_line: int, *, final: bool) -> Block:
        """Lines that any parser splits in the same way at once, other records one by one."""
        import numpy as np

        lines = find_lines(data, self._dialect)
        layout = lay_out(data, lines, self._dialect, final=final)
        columns, bad, numbers = self._parse_fast(data, lines, layout, first_line)
        batch = self._batch(columns, numbers)
        if layout.slow:
            more, faulty = self._parse_slow(data, lines, layout.slow, first_line)
            bad = sorted(bad + faulty, key=lambda record: record.line)
            batch = _merge(batch, more)
        taken = int(lines.starts[layout.stop]) if layout.stop < len(lines) else len(data)
        return Block(batch, bad, int(np.count_nonzero(layout.blank)), layout.stop, taken)

    def _parse_fast(
        self, data: bytes, lines: Lines, layout: Layout, first_line: int
    ) -> tuple[list[Column], list[BadRecord], Positions]:
        """Columns, records of the wrong width, and line numbers of the lines taken together."""
        import numpy as np

        several_lines = bool((layout.fast & ~layout.starts).any())
        columns, _, ragged = self._split(gather(data, lines, layout.fast), quoted=True, several_lines=several_lines)
        numbers: Positions = np.flatnonzero(layout.starts) + first_line
        bad: list[BadRecord] = []
        if ragged:
            bad = self._ragged(data, lines, layout.starts, layout.fast, ragged, first_line)
            numbers = np.delete(numbers, [row for row, _ in ragged])
        return columns, bad, numbers

    def _parse_slow(
        self, data: bytes, lines: Lines, records: list[tuple[int, Record]], first_line: int
    ) -> tuple[pa.RecordBatch, list[BadRecord]]:
        """The good ones among the records, and the others."""
        import numpy as np
        import pyarrow as pa

        good: list[list[bytes]] = []
        numbers: list[int] = []
        bad: list[BadRecord] = []
        for line, record in records:
            raw = data[lines.starts[line] : record.end]
            wrong = check_record(record, raw, self._width)
            if wrong:
                bad.append(BadRecord(first_line + line, raw, *wrong))
            elif record.fields is not None:
                good.append(record.fields)
                numbers.append(first_line + line)
        columns: list[Column] = [
            pa.array([None if at is None else fields[at].decode() or None for fields in good], pa.string())
            for at in self._where
        ]
        return self._batch(columns, np.array(numbers, np.int64)), bad

    def _ragged(
        self, data: bytes, lines: Lines, starts: Mask, fast: Mask, ragged: list[tuple[int, int]], first_line: int
    ) -> list[BadRecord]:
        """Records of the wrong width, told by row and width; those that are only spaces are left out."""
        import numpy as np

        spaces = self._dialect.spaces()
        begins = np.flatnonzero(starts)
        inner = np.append(fast & ~starts, False)
        bad: list[BadRecord] = []
        for row, fields in ragged:
            line = last = int(begins[row])
            while inner[last + 1]:
                last += 1
            raw = data[lines.starts[line] : lines.ends[last]]
            wrong = check_width(fields, self._width)
            if wrong and raw.strip(spaces):
                bad.append(BadRecord(first_line + line, raw, *wrong))
        return bad

    def _split(
        self, data: bytes, *, quoted: bool, several_lines: bool
    ) -> tuple[list[Column], int, list[tuple[int, int]]]:
        """Columns of records that are well-formed but for their width.

        Returns the columns of the schema but the last, their length, and row and width of the records left out.
        """
        import pyarrow as pa
        from pyarrow import csv

        ragged: list[tuple[int, int]] = []

        def skip(row: csv.InvalidRow) -> Literal["skip", "error"]:
            if row.number is None:  # only threads would make it so
                return "error"
            ragged.append((row.number - 1, row.actual_columns))
            return "skip"

        if not data:
            return [pa.nulls(0, pa.string()) for _ in self._where], 0, []
        names = [str(at) for at in range(self._width)]
        wanted = [str(at) for at in self._where if at is not None]
        table = csv.read_csv(
            cast(Any, pa.BufferReader(data)),
            # One chunk and no threads: only then are the row numbers known.
            csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            csv.ParseOptions(
                delimiter=chr(self._dialect.delimiter),
                quote_char='"' if quoted and QUOTE in data else False,
                newlines_in_values=several_lines,
                invalid_row_handler=skip,
            ),
            csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                include_columns=list(dict.fromkeys(wanted)) or ["0"],
            ),
        )
        columns: list[Column] = [
            pa.nulls(table.num_rows, pa.string()) if at is None else _whole(table.column(str(at))) for at in self._where
        ]
        return columns, table.num_rows, ragged

    def _batch(self, columns: list[Column], numbers: Positions) -> pa.RecordBatch:
        import pyarrow as pa

        if any(len(column) != len(numbers) for column in columns):
            raise AccountingError(
                f"the block reader split {len(numbers)} records into {len(columns[0])} rows",
                hint="this is a fault of the reader: please report it with the file",
            )
        return pa.RecordBatch.from_arrays([*columns, pa.array(numbers, pa.int64())], schema=self._schema)


def _merge(one: pa.RecordBatch, other: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of both, in the order of their lines, which come last."""
    import numpy as np
    import pyarrow as pa

    if not other.num_rows:
        return one
    table = pa.Table.from_batches([one, other])
    order: Positions = np.argsort(table.column(table.num_columns - 1).to_numpy(), kind="stable")
    return table.take(order).combine_chunks().to_batches()[0]


def _whole(column: pa.ChunkedArray[Any]) -> Column:
    """One array of all chunks; there is mostly one."""
    return cast("Column", column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())
