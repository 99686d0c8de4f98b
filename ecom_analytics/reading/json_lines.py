"""JSON Lines: one object a line, each an answer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ecom_analytics.reading.blocks import lost
from ecom_analytics.reading.paths import DECODER
from ecom_analytics.reading.records import BAD_ENCODING, BadRecord
from ecom_analytics.reading.source import BlockSource

BAD_JSON = "bad_json"

_SPACES = b" \t\r\n"


class JsonLinesReader:
    """Iterate over the objects of a stream, with the line of each; other lines are told.

    A line ends at LF or CRLF. A line of nothing but spaces and tabs is blank. A line that is not UTF-8 is rejected as
    ``bad_encoding``, one that is no JSON object as ``bad_json``, and the one in which data is cut short as
    ``truncated``. Numbers stay as they were written.

    Parameters
    ----------
    stream : BinaryIO
        The decompressed bytes.
    block_bytes : int
        About how much of the stream is read at a time.
    on_bad : callable, optional
        Called with each :class:`~ecom_analytics.reading.BadRecord`; by default they are gathered in :attr:`bad`.

    Examples
    --------
    >>> import io
    >>> reader = JsonLinesReader(io.BytesIO(b'{"id": 14418.0}\\n\\n{"id": 1\\n'))
    >>> list(reader), reader.blank
    ([(1, {'id': '14418.0'})], 1)
    >>> reader.bad[0].line, reader.bad[0].rule
    (3, 'bad_json')
    """

    def __init__(
        self, stream: BinaryIO, *, block_bytes: int = 4 << 20, on_bad: Callable[[BadRecord], None] | None = None
    ) -> None:
        self._source = BlockSource(stream, block_bytes)
        self.bad: list[BadRecord] = []
        self._on_bad = on_bad or self.bad.append
        self.rejected = self.blank = 0

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        first, final = 1, False
        while not final:
            data, final = self._source.next_block()
            lines = data.split(bytes([self._source.newline]))
            if not lines[-1]:
                lines.pop()
            for line, raw in enumerate(lines, first):
                record = self._decode(line, raw)
                if record is not None:
                    yield line, record
            first += len(lines)
        if self._source.loss:
            self.rejected += 1
            self._on_bad(lost(self._source, first, b""))

    def _decode(self, line: int, raw: bytes) -> dict[str, Any] | None:
        try:
            record = DECODER.decode(raw.decode())
        except UnicodeDecodeError as error:
            self._reject(
                line, raw, BAD_ENCODING, f"not UTF-8 at byte {error.start + 1} of the record (0x{raw[error.start]:02x})"
            )
        except (ValueError, RecursionError) as error:
            if raw.strip(_SPACES):
                self._reject(line, raw, BAD_JSON, f"the line is not JSON: {error}")
            else:
                self.blank += 1
        else:
            if isinstance(record, dict):
                return record
            self._reject(line, raw, BAD_JSON, "the line is JSON, but no object")
        return None

    def _reject(self, line: int, raw: bytes, rule: str, message: str) -> None:
        self.rejected += 1
        self._on_bad(BadRecord(line, raw.removesuffix(b"\r"), rule, message))
