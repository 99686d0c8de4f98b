"""One file of the raw zone to Arrow, whatever its layout: what every engine reads with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from ecom_analytics.errors import InputError
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading.blocks import SOURCE_LINE, DelimitedReader
from ecom_analytics.reading.compression import open_decompressed
from ecom_analytics.reading.encoding import UTF_8, Transcoded
from ecom_analytics.reading.json_lines import JsonLinesReader
from ecom_analytics.reading.nested import Fields, flatten, records_of
from ecom_analytics.reading.parquet import ParquetReader, row_texts, texts
from ecom_analytics.reading.raw import raw_lines, raw_records
from ecom_analytics.reading.records import BadRecord

if TYPE_CHECKING:
    import pyarrow as pa

OnBad = Callable[[BadRecord], None]


@dataclass
class ReadCounts:
    """What one file held.

    Attributes
    ----------
    records : int
        Records that are not blank, the bad ones among them; a record that makes several rows counts once for each.
    bad : int
    blank : int
    """

    records: int = 0
    bad: int = 0
    blank: int = 0


@dataclass(frozen=True)
class Request:
    """What is wanted of each record.

    Attributes
    ----------
    fields : mapping of str to str
        Path of each column.
    each : str or None
        The path of the list of which every element makes a row.
    required : sequence of str
        Top-level names that a file with a header or a schema must have.
    flat : bool
        The paths are plain names, as they stand in a header.
    names : mapping of str to sequence of str, optional
        Top-level names of the paths that go by other names in the records; see :class:`Fields`.
    """

    fields: Mapping[str, str]
    each: str | None = None
    required: Sequence[str] = field(default_factory=tuple)
    flat: bool = False
    names: Mapping[str, Sequence[str]] | None = None

    def ready(self) -> Fields:
        """The paths, ready to be followed."""
        return Fields(self.fields, self.each, self.flat, self.names)

    @property
    def schema(self) -> pa.Schema:
        """The columns, then ``source_line``, and ``source_item`` unless the request is flat."""
        import pyarrow as pa

        names = [(name, pa.string()) for name in self.fields]
        extra = [(SOURCE_LINE, pa.int64()), *([] if self.flat else [("source_item", pa.int64())])]
        return pa.schema([*names, *extra])


class _Reader(Protocol):
    rejected: int
    blank: int


def read_file(
    file: RawFile, request: Request, counts: ReadCounts, *, max_record_lines: int, on_bad: OnBad
) -> Iterator[pa.RecordBatch]:
    """The good records of a file, in batches of the request's schema.

    Parameters
    ----------
    file : RawFile
    request : Request
    counts : ReadCounts
        Is filled in when the file is read to its end.
    max_record_lines : int
    on_bad : callable
        Is told of the records that cannot be cut or split.

    Raises
    ------
    InputError
        The file as a whole cannot be read, or lacks a required column; it names the file.
    """
    try:
        yield from _read(file, request, counts, max_record_lines, on_bad)
    except InputError as error:
        raise type(error)(
            f"{file.name}: {error.message}", hint=error.hint, **{"batch_id": file.batch_id, **error.facts}
        ) from error


def raw_text(file: RawFile, lines: Sequence[int], *, max_record_lines: int) -> dict[int, bytes]:
    """The bytes of the records that begin on the given lines; of Parquet, the rows as JSON."""
    if file.layout.kind == "parquet":
        return row_texts(file.path, lines)
    with open_text(file) as stream:
        if file.layout.kind == "json_lines":
            return raw_lines(stream, lines)
        return raw_records(stream, lines, delimiter=file.layout.delimiter, max_record_lines=max_record_lines)


def line_text(file: RawFile, line: int) -> bytes | None:
    """The bytes of a physical line, whatever is on it; of Parquet, a row as JSON. None if the file has no such line."""
    if file.layout.kind == "parquet":
        return row_texts(file.path, [line]).get(line)
    with open_text(file) as stream:
        return raw_lines(stream, [line]).get(line)


def _read(
    file: RawFile, request: Request, counts: ReadCounts, max_record_lines: int, on_bad: OnBad
) -> Iterator[pa.RecordBatch]:
    if file.layout.kind == "parquet":
        parquet = ParquetReader(file.path, request.ready().tops)
        _require(request.required, parquet.header)
        yield from _counted(_parquet_batches(parquet, request), parquet, counts)
        return
    with open_text(file) as stream:
        if file.layout.kind == "json_lines":
            lines = JsonLinesReader(stream, on_bad=on_bad)
            yield from _counted(_flattened(lines, request), lines, counts)
        else:
            reader = _delimited(stream, file, request, max_record_lines, on_bad)
            yield from _counted(_delimited_batches(reader, request), reader, counts)


def open_text(file: RawFile) -> BinaryIO:
    """The file's text, decompressed, as UTF-8."""
    stream = open_decompressed(file.path)
    encoding = file.layout.encoding
    return stream if encoding == UTF_8 else cast(BinaryIO, Transcoded(stream, encoding))


def _counted(batches: Iterable[pa.RecordBatch], reader: _Reader, counts: ReadCounts) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        yield batch
    counts.records, counts.bad, counts.blank = rows + reader.rejected, reader.rejected, reader.blank


def _parquet_batches(reader: ParquetReader, request: Request) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if request.flat and all(reader.is_flat(name) for name in request.fields.values() if name in reader.header):
        for batch, numbers in reader.numbered():
            columns = [
                texts(batch.column(path)) if path in reader.header else pa.nulls(batch.num_rows, pa.string())
                for path in request.fields.values()
            ]
            yield pa.RecordBatch.from_arrays([*columns, numbers], schema=request.schema)
        return
    yield from _flattened(reader, request)


def _delimited(
    stream: BinaryIO, file: RawFile, request: Request, max_record_lines: int, on_bad: OnBad
) -> DelimitedReader:
    fields = request.ready()
    return DelimitedReader(
        stream,
        fields.tops,
        optional=[name for name in fields.tops if name not in request.required],
        delimiter=file.layout.delimiter,
        header=file.layout.columns,
        max_record_lines=max_record_lines,
        on_bad=on_bad,
    )


def _delimited_batches(reader: DelimitedReader, request: Request) -> Iterator[pa.RecordBatch]:
    if request.flat:
        yield from reader
        return
    fields = request.ready()
    for batch in reader:
        yield from flatten(records_of(batch), fields, request.schema)


def _flattened(records: Iterable[tuple[int, dict[str, Any]]], request: Request) -> Iterator[pa.RecordBatch]:
    return flatten(records, request.ready(), request.schema)


def _require(names: Sequence[str], header: Sequence[str]) -> None:
    for name in names:
        if name not in header:
            raise InputError(
                f"no column {name!r} among: {', '.join(header)}",
                hint="check that the file is of the source format given",
                column=name,
                header=list(header),
            )
