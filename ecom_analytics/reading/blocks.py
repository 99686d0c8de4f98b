"""Delimited text to Arrow, block by block, with a line number for every record and nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from ecom_analytics.errors import EmptyFileError, InputError
from ecom_analytics.reading.parser import BlockParser
from ecom_analytics.reading.records import TRUNCATED, BadRecord, Dialect, check_record, split_record
from ecom_analytics.reading.source import BlockSource

if TYPE_CHECKING:
    import pyarrow as pa

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
    header : sequence of str, optional
        Names of the columns of a stream that has no header.
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
        header: Sequence[str] | None = None,
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
        if header is None:
            self._rest, self._final, self.header = self._read_header()
        else:
            (self._rest, self._final), self.header = self._source.next_block(), list(header)
        self._names = list(dict.fromkeys([*columns, *optional]))
        self._where = [self._find(name, required=name not in optional) for name in self._names]
        fields: list[pa.Field[Any]] = [pa.field(name, pa.string()) for name in self._names]
        self.schema: pa.Schema = pa.schema([*fields, pa.field(SOURCE_LINE, pa.int64())])

    @property
    def records(self) -> int:
        """Records so far, the header not counted: good + rejected."""
        return self.good + self.rejected

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        parser = BlockParser(self._dialect, len(self.header), self._where, self.schema)
        while True:
            carry = b""
            if self._rest:
                block = parser.parse(self._rest, self._line, final=self._final and not self._source.loss)
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
                if self._source.loss:
                    self.rejected += 1
                    self._on_bad(lost(self._source, self._line, carry))
                return
            self._rest, self._final = self._source.next_block(carry)

    def _read_header(self) -> tuple[bytes, bool, list[str]]:
        """What follows the header in the first block, whether that is all there is, and the names."""
        data, final = self._source.next_block()
        start = 0
        while True:
            if start == len(data):
                if self._source.loss and final:
                    raise self._source.loss
                if final:
                    raise EmptyFileError("the file is empty: it has no header", hint="check how the file was made")
                data, final = self._source.next_block()
                start = 0
                continue
            record = split_record(data, start, self._dialect, final=final and not self._source.loss)
            if record is None and final and self._source.loss:
                raise self._source.loss
            if record is None:
                data, final = self._source.next_block(data[start:])
                start = 0
                continue
            raw = data[start : record.end]
            if raw.strip(self._dialect.spaces()):
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


def lost(source: BlockSource, line: int, begun: bytes) -> BadRecord:
    """The record in which a stream ended too early."""
    assert source.loss is not None
    return BadRecord(line, source.last_record(begun), TRUNCATED, source.loss.facts.get("fault", source.loss.message))


def make_dialect(delimiter: str, newline: int, max_record_lines: int) -> Dialect:
    """A checked :class:`Dialect`."""
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise InputError(
            f"the delimiter {delimiter!r} is not allowed", hint="use one ASCII character other than a quote or line end"
        )
    if max_record_lines < 1:
        raise InputError(f"max_record_lines is {max_record_lines}", hint="it must be at least 1")
    return Dialect(ord(delimiter), newline, max_record_lines)
