"""Bytes that may be compressed: told by the bytes themselves, and read as far as they can be read."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO, cast

from ecom_analytics.errors import MissingFileError, TruncatedError

GZIP, ZSTD = "gzip", "zstd"

_MAGIC = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
_CHUNK = 1 << 16
_LARGE = 1 << 18


def compression_of(head: bytes) -> str:
    """``gzip`` or ``zstd`` if bytes begin like that, else nothing.

    Examples
    --------
    >>> import gzip
    >>> compression_of(gzip.compress(b"a,b")), compression_of(b"a,b")
    ('gzip', '')
    """
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


def open_decompressed(path: str | os.PathLike[str]) -> BinaryIO:
    """Open the bytes of a file, decompressed if they begin as gzip or zstd does, whatever its name.

    Raises
    ------
    MissingFileError
        There is no such file.
    TruncatedError
        While reading, after the last byte that could be read: the compressed data is cut short or damaged.

    Examples
    --------
    >>> import gzip, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "events.csv")
    >>> _ = path.write_bytes(gzip.compress(b"a,b\\n"))
    >>> with open_decompressed(path) as stream:
    ...     stream.read()
    b'a,b\\n'
    """
    try:
        plain = open(path, "rb")  # noqa: SIM115
    except FileNotFoundError as exc:
        raise MissingFileError(f"no file {os.fspath(path)!r}", hint="check the path", path=os.fspath(path)) from exc
    kind = compression_of(plain.peek(4)[:4])
    if not kind:
        return plain
    return cast(BinaryIO, Decompressed(plain, kind, os.fspath(path)))


class Decompressed(io.RawIOBase):
    """The decompressed bytes of a stream, of all its members or frames.

    Where they are cut short or damaged, all that comes before is given first; then :class:`TruncatedError` is raised.

    Parameters
    ----------
    compressed : BinaryIO
        Whose ``read(n)`` returns at most ``n`` bytes, and none only at its end. It is closed with this one.
    kind : str
        ``gzip`` or ``zstd``.
    name : str
        What to call it in errors.
    """

    def __init__(self, compressed: BinaryIO, kind: str, name: str) -> None:
        self._compressed = compressed
        self._kind = kind
        self._name = name
        self._chunks = gunzip(compressed) if kind == GZIP else unzstd(compressed)
        self._waiting: memoryview = memoryview(b"")
        self._given = 0
        self._fault: _Fault | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return self.readall()
        parts: list[bytes] = []
        while size > 0:
            if not self._waiting and not self._next(parts):
                break
            part = self._waiting[:size]
            self._waiting = self._waiting[len(part) :]
            self._given += len(part)
            size -= len(part)
            parts.append(part)  # type: ignore[arg-type]
        return b"".join(parts)

    def _next(self, parts: list[bytes]) -> bool:
        """Get the next chunk. What was read before a fault is given first: the fault waits for the next call."""
        if self._fault is None:
            try:
                self._waiting = memoryview(next(self._chunks, b""))
                return bool(self._waiting)
            except _Fault as fault:
                self._fault = fault
        if parts:
            return False
        how = f"is {self._fault.what} after {self._given} decompressed bytes: {self._fault}"
        raise TruncatedError(
            f"the {self._kind} data of '{self._name}' {how}",
            hint="fetch or write the file again",
            path=self._name,
            decompressed=self._given,
            fault=f"the {self._kind} data {how}",
        ) from self._fault

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._compressed.close()
        super().close()


class _Fault(Exception):
    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


def gunzip(stream: BinaryIO) -> Iterator[bytes]:
    """Chunks of all members of a gzip file, to the very byte where it is damaged."""
    pending = b""
    while pending := pending or stream.read(_LARGE):
        pending = pending.lstrip(b"\0")  # zeros may pad the end of a member
        if not pending:
            continue
        while len(pending) < 2 and (more := stream.read(_LARGE)):
            pending += more
        if not pending.startswith(b"\x1f\x8b"):
            raise _Fault("damaged", "what follows a whole member is no gzip member")
        member = zlib.decompressobj(wbits=31)
        ended = False
        while not ended:
            data = pending or stream.read(_LARGE)
            if not data:
                raise _Fault("cut short", "its end is missing")
            part, pending = data[:_CHUNK], data[_CHUNK:]
            before, fault = member.copy(), ""
            try:
                chunk = member.decompress(part)
            except zlib.error as error:
                chunk, fault = _before_fault(before, part), str(error)
            ended = member.eof
            if ended:
                pending = member.unused_data + pending
            if chunk:
                yield chunk
            if fault:
                raise _Fault("damaged", fault)


def _before_fault(member: Any, data: bytes) -> bytes:
    """What comes out of data before its fault, fed byte by byte."""
    found: list[bytes] = []
    with suppress(zlib.error):
        found.extend(member.decompress(data[at : at + 1]) for at in range(len(data)))
    return b"".join(found)


def unzstd(stream: BinaryIO) -> Iterator[bytes]:
    """Chunks of all frames of a zstd file, to the very byte where it is damaged if the stream can be read again."""
    again = stream.tell() if stream.seekable() else None
    given = 0
    try:
        frames = _frames(stream)
        while chunk := frames.read(_LARGE):
            yield chunk
            given += len(chunk)
    except OSError as error:
        if error.errno is not None:  # the stream's own error, not pyarrow's word about the data
            raise
        if again is not None:
            stream.seek(again)
            yield from _after(_frames(stream), given)
        what = "cut short" if "Truncated" in str(error) else "damaged"
        raise _Fault(what, str(error)) from error


def _frames(stream: BinaryIO) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(_Kept(stream), "r"), "zstd")


class _Kept:
    """A stream that pyarrow cannot close."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.read = stream.read

    def close(self) -> None:
        pass


def _after(frames: Any, given: int) -> Iterator[bytes]:
    """What can be read after so many bytes: one at a time, since a call that fails gives nothing."""
    while given > 0:
        given -= len(frames.read(min(given, _LARGE)))
    found = []
    with suppress(OSError):
        while byte := frames.read(1):
            found.append(byte)
    if found:
        yield b"".join(found)
