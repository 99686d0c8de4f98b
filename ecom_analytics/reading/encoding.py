"""Text in another encoding, read as UTF-8."""

from __future__ import annotations

import codecs
import io
from typing import Any, BinaryIO

from ecom_analytics.errors import InputError, TruncatedError

UTF_8 = "utf-8"

_BROKEN = "ecom_analytics.broken"
_CHUNK = 1 << 20


def codec_name(encoding: str) -> str:
    """The name under which Python knows a text encoding; ``utf-8`` for those that are a part of it.

    Raises
    ------
    InputError
        There is no such encoding.

    Examples
    --------
    >>> codec_name("Latin-1"), codec_name("UTF-16LE"), codec_name("ascii")
    ('iso8859-1', 'utf-16-le', 'utf-8')
    """
    try:
        found = codecs.lookup(encoding)
        codecs.getincrementaldecoder(encoding)
        "".encode(encoding)
    except LookupError:
        raise InputError(
            f"there is no text encoding {encoding!r}",
            hint="use a name such as utf-8, utf-16, latin-1 or cp1252",
            encoding=encoding,
        ) from None
    return UTF_8 if found.name in ("utf-8", "utf-8-sig", "ascii") else found.name


class Transcoded(io.RawIOBase):
    """The text of a stream as UTF-8.

    What cannot be decoded becomes bytes that are not UTF-8, so that the reader rejects the record that it is in, and no
    other.

    Parameters
    ----------
    stream : BinaryIO
        Whose ``read(n)`` returns at most ``n`` bytes, and none only at its end. It is closed with this one.
    encoding : str
        A Python codec.

    Examples
    --------
    >>> Transcoded(io.BytesIO("é,1".encode("utf-16-le") + b"!"), "utf-16-le").read().decode(errors="replace")
    'é,1���'
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_BROKEN)
        self._waiting = memoryview(b"")
        self._ended = False
        self._fault: TruncatedError | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return self.readall()
        while not self._waiting and not self._ended:
            self._waiting = memoryview(self._next())
        part = self._waiting[:size]
        self._waiting = self._waiting[len(part) :]
        if not part and size and self._fault is not None:
            raise self._fault
        return bytes(part)

    def _next(self) -> bytes:
        try:
            data = self._stream.read(_CHUNK)
        except TruncatedError as fault:  # for when the rest was given
            self._fault, data = fault, b""
        self._ended = not data
        return self._decoder.decode(data, final=self._ended).encode(UTF_8, "surrogatepass")

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def _broken(error: UnicodeError) -> tuple[str, int]:
    """Each byte that cannot be decoded as a lone surrogate, which no UTF-8 stands for."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_BROKEN, _broken)
