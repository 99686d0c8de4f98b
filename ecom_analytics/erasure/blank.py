"""Rewrite a raw file so that some of its records are empty lines, or empty rows, of the same number."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from ecom_analytics.errors import TruncatedError
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading.compression import GZIP, ZSTD, compression_of, open_decompressed
from ecom_analytics.reading.parquet import ERASED, erased_rows
from ecom_analytics.reading.source import PROBE_BYTES

_CHUNK = 4 << 20
_ZSTD_END = 3
"""Bytes of the empty block that ends a frame after a flush (RFC 8878, 3.1.1.2)."""

_WIDE = {"utf-16": 2, "utf-32": 4}
"""Bytes of a code unit of the encodings whose line ends are more than one byte."""


def blanked(file: RawFile, lines: Collection[int], to: BinaryIO) -> None:
    """Write the bytes of a file with these physical lines (or rows of a Parquet file) empty.

    A line keeps its end. Compressed data is compressed in the same way again, and data that was cut short is cut short
    again, so that all other records are read as before.

    Parameters
    ----------
    file : RawFile
    lines : collection of int
        Counted from 1, as the readers count.
    to : BinaryIO
    """
    if file.layout.kind == "parquet":
        _blank_rows(file.path, lines, to)
        return
    with open(file.path, "rb") as stream:
        compression = compression_of(stream.read(4))
    with open_decompressed(file.path) as stream:
        chunks = blank_lines(stream, lines, file.layout.encoding)
        if not compression:
            to.writelines(chunks)
        else:
            _compress(chunks, compression, to)


def blank_lines(stream: BinaryIO, lines: Collection[int], encoding: str = "utf-8") -> Iterator[bytes]:
    """The bytes of a stream without what is on these lines.

    Examples
    --------
    >>> b"".join(blank_lines(io.BytesIO(b"a,b\\r\\n1,2\\r\\n3,4"), [2]))
    b'a,b\\r\\n\\r\\n3,4'
    """
    import numpy as np

    head = _read(stream, PROBE_BYTES)
    width, order = _code_unit(encoding, head)
    kind = np.dtype(f"{order}u{width}")
    units = np.frombuffer(head[: len(head) // width * width], kind)
    newline = 13 if 10 not in units and 13 in units else 10
    wanted = np.asarray(sorted(lines), np.int64)
    first, carry, cut_short = 1, head, False
    while True:
        try:
            more = _read(stream, max(_CHUNK, len(carry)))
        except _CutShort:
            more, cut_short = b"", True
        data = carry + more
        array = np.frombuffer(data[: len(data) // width * width], kind)
        ends = np.flatnonzero(array == newline)
        if more and not len(ends):
            carry = data
            continue
        upto = int(ends[-1]) + 1 if more else len(array)
        if not more:  # what is left is the last line, without an end
            ends = np.append(ends, len(array))
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
        if first == 1 and width > 1 and len(array) and array[0] == _BOM:
            starts[0] = 1
        here = wanted[(wanted >= first) & (wanted < first + len(ends))] - first
        rest = b"" if more else data[upto * width :]
        yield b"".join([*_kept(data, array, starts[here], ends[here], width, newline, upto), rest])
        if cut_short:
            raise _CutShort
        if not more:
            return
        carry = data[upto * width :]
        first += len(ends)


def _kept(data: bytes, array: Any, starts: Any, ends: Any, width: int, newline: int, upto: int) -> Iterator[bytes]:
    """The data up to a code unit, without what lies between starts and ends."""
    at = 0
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        stop = end - 1 if newline == 10 and end > start and end < len(array) and array[end - 1] == 13 else end
        yield data[at * width : start * width]
        at = stop
    yield data[at * width : upto * width]


def _code_unit(encoding: str, head: bytes) -> tuple[int, str]:
    """Bytes of a code unit, and their order."""
    name = encoding.lower()
    width = next((width for prefix, width in _WIDE.items() if name.startswith(prefix)), 1)
    if width == 1:
        return 1, "|"
    if name.endswith("-be") or (not name.endswith("-le") and head.startswith((b"\xfe\xff", b"\0\0\xfe\xff"))):
        return width, ">"
    return width, "<"


_BOM = 0xFEFF


class _CutShort(Exception):
    """The data ended before its end."""


def _read(stream: BinaryIO, size: int) -> bytes:
    """So many bytes; fewer only at the end, or where data was cut short, which the next call tells."""
    parts, have = [], 0
    while have < size:
        try:
            chunk = stream.read(size - have)
        except TruncatedError as error:
            if not have:
                raise _CutShort from error
            break
        if not chunk:
            break
        parts.append(chunk)
        have += len(chunk)
    return b"".join(parts)


def _compress(chunks: Iterator[bytes], compression: str, to: BinaryIO) -> None:
    if compression == GZIP:
        member = zlib.compressobj(wbits=31)
        try:
            to.writelines(member.compress(chunk) for chunk in chunks)
            to.write(member.flush())
        except _CutShort:
            to.write(member.flush(zlib.Z_SYNC_FLUSH))
        return
    import pyarrow as pa

    held = _HoldsBack(to, _ZSTD_END)
    with pa.CompressedOutputStream(pa.PythonFile(held, "w"), ZSTD) as stream:
        try:
            for chunk in chunks:
                stream.write(chunk)
        except _CutShort:
            held.cut = True
        stream.flush()
    held.end()


class _HoldsBack(io.RawIOBase):
    """Passes on all but the last bytes, which end a frame, and at the end those too, unless it is to be cut."""

    def __init__(self, to: BinaryIO, size: int) -> None:
        self._to = to
        self._size = size
        self._last = b""
        self.cut = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        waiting = self._last + bytes(data)
        self._to.write(waiting[: -self._size])
        self._last = waiting[-self._size :]
        return len(data)

    def end(self) -> None:
        """Pass on the rest."""
        if not self.cut:
            self._to.write(self._last)


def _blank_rows(path: str, lines: Collection[int], to: BinaryIO) -> None:
    """The Parquet file with these rows NULL in every column; it says which they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        known = file.schema_arrow
        erased = sorted({*lines, *erased_rows(known)})
        fields = [field.with_nullable(True) for field in known]
        schema = pa.schema(fields, {**(known.metadata or {}), ERASED: json.dumps(erased).encode()})
        gone, first = set(erased), 1
        with pq.ParquetWriter(to, schema, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                kept = [None if line in gone else line - first for line in range(first, first + len(table))]
                writer.write_table(table.take(pa.array(kept, pa.int64())).cast(schema))
                first += len(table)
