"""Delimited text to Arrow, block by block, with a line number for every record and nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ecom_analytics.errors import EmptyFileError, InputError, LakeError
from ecom_analytics.reading.lines import Lines, blank_lines, find_lines, is_utf8, odd_lines
from ecom_analytics.reading.records import (
    CR,
    LF,
    QUOTE,
    BadRecord,
    Dialect,
    Record,
    check_record,
    check_width,
    split_record,
)
from ecom_analytics.reading.source import BlockSource

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SOURCE_LINE = "source_line"


class DelimitedReader:
    """Iterate over the good records of a stream as Arrow batches; the others are told.

    See :mod:`ecom_analytics.reading` for the rules. The stream is read once, from where it stands, and is not closed.

    Parameters
    ----------
    stream : BinaryIO
        The decompressed bytes.
    columns : sequence of str
        Header names of the columns wanted, in the order wanted.
    optional : sequence of str
        Columns that the file may lack; they are NULL then. Those not among ``columns`` come after them.
    delimiter : str
        One ASCII character.
    max_record_lines : int
        The most physical lines that a record with quoted line ends may have.
    block_bytes : int
        About how much of the stream makes one batch.
    on_bad : callable, optional
        Called with each :class:`BadRecord`, in the order of lines within a batch and before that batch is given. By
        default they are gathered in :attr:`bad`.

    Attributes
    ----------
    header : list of str
        All column names of the file, trimmed.
    bad : list of BadRecord
        The rejected records, unless ``on_bad`` takes them.
    good, rejected, blank : int
        Counts so far: ``records`` is good + rejected; blank lines before the header are counted in ``blank``.

    Raises
    ------
    EmptyFileError
        There is no header.
    InputError
        A column is missing or there twice, or the header cannot be read.

    Examples
    --------
    >>> import io
    >>> reader = DelimitedReader(io.BytesIO(b"a,b\\n1,x\\n2\\n3,\\n"), ["b", "a"])
    >>> [batch.to_pylist() for batch in reader]
    [[{'b': 'x', 'a': '1', 'source_line': 2}, {'b': None, 'a': '3', 'source_line': 4}]]
    >>> reader.bad
    [BadRecord(line=3, raw=b'2', rule='too_few_fields', message='1 field where the header has 2')]
    >>> reader.records, reader.good, reader.rejected, reader.blank
    (3, 2, 1, 0)
    """

    def __init__(
        self,
        stream: BinaryIO,
        columns: Sequence[str],
        *,
        optional: Sequence[str] = (),
        delimiter: str = ",",
        max_record_lines: int = 100,
        block_bytes: int = 8 << 20,
        on_bad: Callable[[BadRecord], None] | None = None,
    ) -> None:
        import pyarrow as pa

        self._source = BlockSource(stream, block_bytes)
        self._dialect = make_dialect(delimiter, self._source.newline, max_record_lines)
        self.bad: list[BadRecord] = []
        self._on_bad = on_bad or self.bad.append
        self.good = self.rejected = self.blank = 0
        self._line = 1
        self._rest, self._final, self.header = self._read_header()
        self._names = list(dict.fromkeys([*columns, *optional]))
        self._where = [self._find(name, required=name not in optional) for name in self._names]
        self.schema: pa.Schema = pa.schema([*((name, pa.string()) for name in self._names), (SOURCE_LINE, pa.int64())])

    @property
    def records(self) -> int:
        """Records so far, the header not counted: good + rejected."""
        return self.good + self.rejected

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        parser = BlockParser(self._dialect, len(self.header), self._where, self.schema)
        while True:
            carry = b""
            if self._rest:
                block = parser.parse(self._rest, self._line, final=self._final)
                carry = self._rest[block.taken :]
                self._line += block.lines
                self.good += block.batch.num_rows
                self.rejected += len(block.bad)
                self.blank += block.blank
                for bad in block.bad:
                    self._on_bad(bad)
                if block.batch.num_rows:
                    yield block.batch
            self._rest = b""
            if self._final:
                return
            self._rest, self._final = self._source.next_block(carry)

    def _read_header(self) -> tuple[bytes, bool, list[str]]:
        """What follows the header in the first block, whether that is all there is, and the names."""
        data, final = self._source.next_block()
        start = 0
        while True:
            if start == len(data):
                if final:
                    raise EmptyFileError("the file is empty: it has no header", hint="check how the file was made")
                data, final = self._source.next_block()
                start = 0
                continue
            record = split_record(data, start, self._dialect, final=final)
            if record is None:
                data, final = self._source.next_block(data[start:])
                start = 0
                continue
            raw = data[start : record.end]
            if raw.strip(self._dialect.spaces):
                break
            self.blank += 1
            self._line += 1
            start = record.next
        wrong = check_record(record, raw, len(record.fields or ()))
        if wrong:
            raise InputError(
                f"the header in line {self._line} cannot be read: {wrong[1]}",
                hint="the file must be UTF-8 text whose first line names the columns",
                line=self._line,
                rule=wrong[0],
            )
        assert record.fields is not None
        self._line += record.lines
        return data[record.next :], final, [field.decode().strip() for field in record.fields]

    def _find(self, name: str, *, required: bool) -> int | None:
        """Where the column is in the header; None if it is not there and need not be."""
        times = self.header.count(name)
        if times == 1:
            return self.header.index(name)
        if times == 0 and not required:
            return None
        raise InputError(
            f"{'no column' if not times else f'{times} columns'} {name!r} in the header: {', '.join(self.header)}",
            hint="check that the file is of the source format given" if not times else "rename all but one of them",
            column=name,
            header=self.header,
        )


def make_dialect(delimiter: str, newline: int, max_record_lines: int) -> Dialect:
    """A checked :class:`Dialect`."""
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise InputError(
            f"the delimiter {delimiter!r} is not allowed", hint="use one ASCII character other than a quote or line end"
        )
    if max_record_lines < 1:
        raise InputError(f"max_record_lines is {max_record_lines}", hint="it must be at least 1")
    return Dialect(ord(delimiter), newline, max_record_lines)


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
    """

    def __init__(self, dialect: Dialect, width: int, where: Sequence[int | None], schema: pa.Schema) -> None:
        self._dialect = dialect
        self._width = width
        self._where = where
        self._schema = schema

    def parse(self, data: bytes, first_line: int, *, final: bool) -> Block:
        """Split ``data``, which begins at line ``first_line`` and outside quotes."""
        if self._is_plain(data):
            block = self._parse_plain(data, first_line)
            if block:
                return block
        return self._parse_mixed(data, first_line, final=final)

    def _is_plain(self, data: bytes) -> bool:
        """No quote, NUL, stray CR or broken UTF-8. (With one column, a line of spaces would be a record.)"""
        if self._width == 1 or self._dialect.newline != LF or QUOTE in data or 0 in data:
            return False
        if CR in data and data.count(CR) != data.count(b"\r\n"):
            return False
        return is_utf8(data)

    def _parse_plain(self, data: bytes, first_line: int) -> Block | None:
        """All lines at once; None if some are blank."""
        import numpy as np

        columns, rows, ragged = self._split(data, quoted=False)
        lines = data.count(LF) + (data[-1] != LF)
        if rows + len(ragged) != lines:
            return None
        numbers = np.arange(first_line, first_line + lines)
        bad: list[BadRecord] = []
        blank = 0
        if ragged:
            index = find_lines(data, self._dialect)
            bad, blank = self._ragged(data, index, np.arange(lines), ragged, first_line)
            numbers = np.delete(numbers, [row for row, _ in ragged])
        return Block(self._batch(columns, numbers), bad, blank, lines, len(data))

    def _parse_mixed(self, data: bytes, first_line: int, *, final: bool) -> Block:
        """Simple lines at once, the others one by one."""
        import numpy as np
        import pyarrow as pa

        index = find_lines(data, self._dialect)
        blank = blank_lines(data, index, self._dialect)
        odd = odd_lines(data, index, self._dialect) & ~blank
        simple = ~(odd | blank)
        records, stop = self._one_by_one(data, index, odd, final=final)
        for line, record in records:
            simple[line : line + record.lines] = blank[line : line + record.lines] = False
        simple[stop:] = blank[stop:] = False

        chosen = np.flatnonzero(simple)
        columns, _, ragged = self._split(_gather(data, index, chosen), quoted=True)
        bad, _ = self._ragged(data, index, chosen, ragged, first_line)
        numbers = np.delete(chosen, [row for row, _ in ragged]) + first_line
        batch = self._batch(columns, numbers)
        rows, faulty = self._judge(data, index, records, first_line)
        if rows:
            table = pa.Table.from_batches([batch, pa.RecordBatch.from_pylist(rows, self._schema)])
            order = np.argsort(table.column(SOURCE_LINE).to_numpy(), kind="stable")
            batch = table.take(pa.array(order)).combine_chunks().to_batches()[0]
        taken = int(index.starts[stop]) if stop < len(index) else len(data)
        bad = sorted(bad + faulty, key=lambda record: record.line)
        return Block(batch, bad, int(blank.sum()), stop, taken)

    def _one_by_one(
        self, data: bytes, index: Lines, odd: NDArray[np.bool_], *, final: bool
    ) -> tuple[list[tuple[int, Record]], int]:
        """The records that begin on odd lines, and the line from which on all is left for the next block."""
        import numpy as np

        records: list[tuple[int, Record]] = []
        free = 0
        for line in np.flatnonzero(odd).tolist():
            if line < free:
                continue
            record = split_record(data, int(index.starts[line]), self._dialect, final=final)
            if record is None:
                return records, line
            records.append((line, record))
            free = line + record.lines
        return records, len(index)

    def _judge(
        self, data: bytes, index: Lines, records: list[tuple[int, Record]], first_line: int
    ) -> tuple[list[dict[str, str | int | None]], list[BadRecord]]:
        """The good ones among the records as rows, and the others."""
        rows: list[dict[str, str | int | None]] = []
        bad: list[BadRecord] = []
        names = self._schema.names
        for line, record in records:
            raw = data[index.starts[line] : record.end]
            wrong = check_record(record, raw, self._width)
            if wrong:
                bad.append(BadRecord(first_line + line, raw, *wrong))
                continue
            assert record.fields is not None
            fields = [None if at is None else record.fields[at].decode() or None for at in self._where]
            rows.append(dict(zip(names, [*fields, first_line + line], strict=True)))
        return rows, bad

    def _ragged(
        self,
        data: bytes,
        index: Lines,
        chosen: NDArray[np.int64],
        ragged: list[tuple[int, int]],
        first_line: int,
    ) -> tuple[list[BadRecord], int]:
        """Records of the wrong width, given as row among the chosen lines and width; and how many are blank lines."""
        bad: list[BadRecord] = []
        for row, fields in ragged:
            line = int(chosen[row])
            raw = data[index.starts[line] : index.ends[line]]
            wrong = check_width(fields, self._width)
            if wrong and raw.strip(self._dialect.spaces):
                bad.append(BadRecord(first_line + line, raw, *wrong))
        return bad, len(ragged) - len(bad)

    def _split(self, data: bytes, *, quoted: bool) -> tuple[list[pa.Array], int, list[tuple[int, int]]]:
        """Columns of lines that are each one well-formed record, but for their width.

        Returns the columns of the schema but the last, their length, and row and width of the records left out.
        """
        import pyarrow as pa
        from pyarrow import csv

        ragged: list[tuple[int, int]] = []

        def skip(row: csv.InvalidRow) -> str:
            ragged.append((row.number - 1, row.actual_columns))
            return "skip"

        if not data:
            return [pa.nulls(0, pa.string()) for _ in self._where], 0, []
        names = [str(at) for at in range(self._width)]
        wanted = [str(at) for at in self._where if at is not None]
        table = csv.read_csv(
            pa.BufferReader(data),
            # One chunk and no threads: only then are the row numbers known.
            csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            csv.ParseOptions(
                delimiter=chr(self._dialect.delimiter),
                quote_char='"' if quoted and QUOTE in data else False,
                ignore_empty_lines=True,
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
        columns = [
            pa.nulls(table.num_rows, pa.string()) if at is None else _whole(table.column(str(at))) for at in self._where
        ]
        return columns, table.num_rows, ragged

    def _batch(self, columns: list[pa.Array], numbers: NDArray[np.int64]) -> pa.RecordBatch:
        import pyarrow as pa

        if any(len(column) != len(numbers) for column in columns):
            raise LakeError(
                f"the block reader lost count: {[len(column) for column in columns]} rows for {len(numbers)} lines",
                hint="please report this with the file",
            )
        return pa.RecordBatch.from_arrays([*columns, pa.array(numbers, pa.int64())], schema=self._schema)


def _gather(data: bytes, index: Lines, chosen: NDArray[np.int64]) -> bytes:
    """The bytes of the chosen lines."""
    import numpy as np

    if len(chosen) == len(index):
        return data
    breaks = np.flatnonzero(np.diff(chosen) != 1)
    first = index.starts[chosen[np.append(0, breaks + 1)]] if len(chosen) else []
    last = index.next[chosen[np.append(breaks, -1)]] if len(chosen) else []
    view = memoryview(data)
    return b"".join([view[start:end] for start, end in zip(list(first), list(last), strict=True)])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
