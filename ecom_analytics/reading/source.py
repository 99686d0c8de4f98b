"""Blocks of whole lines from a stream of bytes."""

from __future__ import annotations

from typing import BinaryIO

from ecom_analytics.errors import InputError, TruncatedError
from ecom_analytics.reading.records import CR, LF

PROBE_BYTES = 1 << 16
"""How much of a file decides what ends its lines."""

MAX_LINE_BYTES = 1 << 29
"""The longest line that is read; a file with a longer one is hardly text."""

_BOM = b"\xef\xbb\xbf"


class BlockSource:
    """Cut a stream after its newlines.

    Parameters
    ----------
    stream : BinaryIO
        Anything whose ``read(n)`` returns at most ``n`` bytes, and none only at its end.
    block_bytes : int
        About how many bytes to give at once.

    Attributes
    ----------
    newline : int
        The byte that ends a line: LF, or CR if the first 64 kB hold a CR and no LF.
    loss : TruncatedError or None
        Why the stream ended too early, if it did.
    cut_off : bytes
        What there is, in that case, of the line in which it ended; it is in no block.
    """

    def __init__(self, stream: BinaryIO, block_bytes: int) -> None:
        self._stream = stream
        self._block_bytes = max(1, block_bytes)
        self._ended = False
        self._tail = self.cut_off = b""
        self.loss: TruncatedError | None = None
        self.newline = LF
        self._fill(PROBE_BYTES)
        if LF not in self._tail[:PROBE_BYTES] and CR in self._tail[:PROBE_BYTES]:
            self.newline = CR
        self._tail = self._tail.removeprefix(_BOM)

    def next_block(self, carry: bytes = b"") -> tuple[bytes, bool]:
        """``carry`` and more whole lines after it, and whether that is all there is.

        The last line of the last block may lack its newline, unless there is a loss. Something is added unless it is
        the last block.
        """
        # What is carried along doubles the block, so that a long record is not looked at over and over.
        size = max(self._block_bytes, len(carry))
        self._fill(size)
        while True:
            cut = self._tail.rfind(self.newline, 0, size) + 1 or self._tail.find(self.newline, size) + 1
            if cut or self._ended:
                break
            if len(self._tail) > MAX_LINE_BYTES:
                raise InputError(
                    f"a line is longer than {MAX_LINE_BYTES} bytes", hint="this does not look like delimited text"
                )
            self._fill(2 * len(self._tail))
        if self._ended and (not cut or len(self._tail) <= size):
            if self.loss:
                end = self._tail.rfind(self.newline) + 1
                self._tail, self.cut_off = self._tail[:end], self._tail[end:]
            cut = len(self._tail)
        block, self._tail = self._tail[:cut], self._tail[cut:]
        return carry + block, self._ended and not self._tail

    def last_record(self, begun: bytes) -> bytes:
        """What there is of the record that was lost, of which some whole lines are known; without its line end."""
        raw = begun + self.cut_off
        return raw if self.cut_off else raw.removesuffix(bytes([self.newline])).removesuffix(b"\r")

    def _fill(self, size: int) -> None:
        """Read until ``size`` bytes wait, or the stream ends."""
        parts, have = [self._tail], len(self._tail)
        while have < size and not self._ended:
            try:
                chunk = self._stream.read(size - have)
            except TruncatedError as error:
                self.loss, chunk = error, b""
            self._ended = not chunk
            parts.append(chunk)
            have += len(chunk)
        self._tail = b"".join(parts)
