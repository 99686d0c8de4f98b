"""What a file is, judged by its first bytes: its compression, whether it holds a record, its source format."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from ecom_analytics import plugins
from ecom_analytics.errors import EmptyFileError, InputError, UnknownFormatError
from ecom_analytics.ingest.files import Opens, unreadable

SAMPLE = 64 * 1024
"""Bytes, decompressed, that a format is recognised by."""

CONFIDENT = 0.5
"""A format must be surer than this."""

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file, decompressed.

    Attributes
    ----------
    data : bytes
    lines : int
        0, 1 or 2: lines that are not blank, counted no further than two, in the whole file.
    """

    data: bytes
    lines: int


@contextmanager
def opened(path: Opens) -> Iterator[BinaryIO]:
    """A source file as it is."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with stream:
        yield stream


def decompressed(stream: BinaryIO, through: BinaryIO | None = None) -> BinaryIO:
    """The bytes of a newly opened file, gunzipped if it begins as gzip does (whatever its name).

    Parameters
    ----------
    stream : BinaryIO
    through : BinaryIO, optional
        What to read the stream through.
    """
    plain = through or stream
    packed = cast(io.BufferedReader, stream).peek(len(_GZIP))[: len(_GZIP)] == _GZIP
    return cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if packed else plain


def look(path: Opens) -> Sample:
    """Read the beginning of a file.

    Raises
    ------
    InputError
        It cannot be read, or is no gzip file although it begins like one. A gzip file that breaks off later is the
        reader's to judge.
    """
    with opened(path) as stream:
        try:
            text = decompressed(stream)
            data = b"".join(_chunks(text, SAMPLE))
            lines = _lines(data)
            for more in _chunks(text, None) if lines < 2 and len(data) >= SAMPLE else ():
                lines = min(2, lines + bool(more.strip()))
                if lines == 2:
                    break
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputError(
                f"{str(path)!r} begins like a gzip file but is none: {error}",
                hint="fetch the file again",
                path=str(path),
            ) from error
        except OSError as error:
            raise unreadable(path, error) from error
    return Sample(data, lines)


def _chunks(stream: BinaryIO, limit: int | None) -> Iterator[bytes]:
    """Bytes up to the limit, or to where a truncated gzip file breaks off."""
    got = 0
    while limit is None or got < limit:
        try:
            chunk = cast(io.BufferedIOBase, stream).read1(SAMPLE if limit is None else limit - got)
        except (EOFError, zlib.error):
            if not got:
                raise gzip.BadGzipFile("it breaks off before the first byte") from None
            return
        if not chunk:
            return
        got += len(chunk)
        yield chunk


def _lines(data: bytes) -> int:
    lines = 0
    for line in io.BytesIO(data.removeprefix(_BOM)):
        lines += bool(line.strip())
        if lines == 2:
            break
    return lines


def source_format(name: str) -> Any:
    """The source format of that name."""
    kind = plugins.load("source_formats", name)
    return kind() if isinstance(kind, type) else kind


def recognise(sample: Sample, path: Opens) -> Any:
    """The source format that is surest that the sample is its own.

    Raises
    ------
    UnknownFormatError
        None is sure enough, or two are equally sure.
    """
    formats = [source_format(name) for name in plugins.names("source_formats")]
    sure = {candidate.name: float(candidate.detect(sample.data)) for candidate in formats}
    best = max(sure.values(), default=0.0)
    winners = sorted(name for name, confidence in sure.items() if confidence == best)
    if best > CONFIDENT and len(winners) == 1:
        return next(candidate for candidate in formats if candidate.name == winners[0])
    if best > CONFIDENT:
        message = f"{str(path)!r} may be of the formats {' and '.join(winners)}"
    else:
        first = sample.data.removeprefix(_BOM).lstrip().splitlines()[:1] or [b""]
        message = f"no source format recognises {str(path)!r}, which begins {first[0][:80].decode(errors='replace')!r}"
    raise UnknownFormatError(
        message,
        hint=f"name its format; installed are: {', '.join(sorted(sure)) or 'none'}",
        path=str(path),
        confidence=sure,
    )


def refuse_empty(sample: Sample, kind: Any, path: Opens) -> None:
    """Raise :class:`EmptyFileError` for a file without a record."""
    if sample.lines > bool(getattr(kind, "has_header", True)):
        return
    what = "holds a header but no record" if sample.lines else "is empty"
    raise EmptyFileError(f"{str(path)!r} {what}", hint="check how the file was made", path=str(path))
