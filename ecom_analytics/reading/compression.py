"""Open a file that may be compressed."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from ecom_analytics.errors import InputError, MissingFileError

GZIP_MAGIC = b"\x1f\x8b"


def open_decompressed(path: str | os.PathLike[str]) -> BinaryIO:
    """Open the bytes of a file, decompressed if they begin as gzip does, whatever its name.

    Raises
    ------
    MissingFileError
        There is no such file.
    InputError
        While reading: the compressed data is cut short or damaged, from the place of the damage on.

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
    if plain.peek(2)[:2] != GZIP_MAGIC:
        return plain
    return cast(BinaryIO, io.BufferedReader(_Gunzip(plain, Path(path)), 1 << 20))


class _Gunzip(io.RawIOBase):
    """The decompressed bytes; damage becomes an :class:`InputError`."""

    def __init__(self, compressed: BinaryIO, path: Path) -> None:
        self._compressed = compressed
        self._path = path
        self._gzip = gzip.GzipFile(fileobj=compressed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._gzip.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
            done = self._gzip.tell()
            what = "cut short" if isinstance(exc, EOFError) else "damaged"
            raise InputError(
                f"the gzip data of '{self._path}' is {what} after {done} decompressed bytes: {exc}",
                hint="fetch or write the file again",
                path=str(self._path),
                decompressed=done,
            ) from exc

    def close(self) -> None:
        if not self.closed:
            self._gzip.close()
            self._compressed.close()
        super().close()
