"""The records of a file as they are, each with the text of its time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from ecom_analytics.errors import InputError
from ecom_analytics.ingest.files import Opens
from ecom_analytics.protocols import Layout
from ecom_analytics.reading.sample import BOM

BLOCK = 1 << 20


class RawRecords:
    """Blocks of (text of the time or nothing, raw bytes), one pair for each record and blank line after the header."""

    def __init__(self, stream: BinaryIO, kind: Any, layout: Layout, max_record_lines: int, path: Opens) -> None:
        from ecom_analytics.reading.records import Dialect, split_record
        from ecom_analytics.reading.source import BlockSource

        probe = _Marked(stream)
        self._source = BlockSource(cast(BinaryIO, probe), BLOCK)
        self._split = split_record
        self._newline = bytes([self._source.newline])
        self._delimiter = layout.delimiter.encode()
        self._dialect = Dialect(self._delimiter[0], self._source.newline, max_record_lines)
        self._advance(b"")
        self._lines = layout.kind == "json_lines"
        self.header = BOM if probe.marked else b""
        if layout.kind == "json_lines":
            self._time = _json_time(kind.timestamp_column)
            return
        names = list(layout.columns or ())
        if layout.columns is None:
            fields, raw = self._next() or ([], b"")
            while not raw.strip() and raw:
                fields, raw = self._next() or ([], b"")
            names = [field.decode(layout.encoding, errors="replace").strip() for field in fields]
            self.header += raw
        if kind.timestamp_column not in names:
            raise InputError(
                f"{str(path)!r} has no column {kind.timestamp_column!r} in its header", hint="check its format"
            )
        index = names.index(kind.timestamp_column)
        self._time = lambda fields, _: fields[index].decode(errors="replace") if len(fields) > index else ""

    _time: Callable[[list[bytes], bytes], str]

    def __iter__(self) -> Iterator[list[tuple[str, bytes]]]:
        yield self._rest_of_block()
        while not self._final or self._start < len(self._block):
            self._advance(self._block[self._start :])
            yield self._rest_of_block()

    def _advance(self, carry: bytes) -> None:
        self._block, self._final = self._source.next_block(carry)
        self._start = 0
        if self._source.loss:
            raise self._source.loss

    def _rest_of_block(self) -> list[tuple[str, bytes]]:
        found = []
        while record := self._next():
            found.append((self._time(*record), record[1]))
        return found

    def _next(self) -> tuple[list[bytes], bytes] | None:
        """The next record of the block and its bytes; None at the end, or where the block breaks it off."""
        block, start = self._block, self._start
        end = block.find(self._newline, start) + 1 or len(block)
        raw = block[start:end]
        if b'"' not in raw or self._lines:
            self._start = end
            return ([] if self._lines else raw.rstrip(b"\r\n").split(self._delimiter), raw) if raw else None
        record = self._split(block, start, self._dialect, final=self._final)
        if record is None:
            return None
        self._start = record.next
        return record.fields or [], block[start : record.next]


def _json_time(path: str) -> Callable[[list[bytes], bytes], str]:
    """Finds the text of the time in a line of JSON."""
    from ecom_analytics.reading.paths import DECODER, as_text, split_path, walk

    name, steps = split_path(path)

    def time(_: list[bytes], raw: bytes) -> str:
        try:
            record = DECODER.decode(raw.decode())
        except (ValueError, RecursionError):
            return ""
        return as_text(walk(record.get(name), steps)) or "" if isinstance(record, dict) else ""

    return time


def refuse_uncut(path: Opens, kind: Any, layout: Layout) -> None:
    """Raise :class:`InputError` if a file cannot be cut."""
    bytewise = layout.encoding == "utf-8"
    if not bytewise:  # one byte a character, and the first 128 as in ASCII
        every = bytes(range(256)).decode(layout.encoding, errors="replace")
        bytewise = len(every) == 256 and every[:128].encode(errors="replace") == bytes(range(128))
    if layout.kind == "parquet":
        what = "is a Parquet file"
    elif not bytewise:
        what = f"is encoded in {layout.encoding}"
    elif not hasattr(kind, "timestamp_column"):
        what = f"is in the format {kind.name!r}"
    else:
        return
    raise InputError(f"{str(path)!r} {what}, which cannot be cut into days", hint="ingest it whole", path=str(path))


class _Marked(io.RawIOBase):
    """A stream that remembers whether it began with a byte order mark."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._begun = False
        self.marked = False

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if not self._begun:
            self._begun = True
            self.marked = data.startswith(BOM)
        return data
