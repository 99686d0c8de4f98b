"""The beginning of a file: decompressed, and cut into records as its bytes suggest."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ecom_analytics.errors import InputError, TruncatedError, UnknownFormatError
from ecom_analytics.ingest.files import LocalFile, Opens, unreadable
from ecom_analytics.protocols import Layout
from ecom_analytics.reading.compression import Decompressed, compression_of
from ecom_analytics.reading.sample import PARQUET, RECORDS, SAMPLE, Sample, sample_of

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

_OTHERS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"BZh9": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"Obj\x01": "an Avro file",
}
"""What files begin with that are known and cannot be read."""

CHECKED = 16 << 20
"""Bytes of a local compressed file that is read to its end when it is ingested, so that damage is told at once."""

_BLANK = b" \t\r\n\0"


@contextmanager
def opened(path: Opens) -> Iterator[BinaryIO]:
    """A source file as it is."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with stream:
        yield stream


def decompressed(stream: BinaryIO, name: object, through: BinaryIO | None = None) -> BinaryIO:
    """The bytes of a newly opened file, decompressed if they begin as gzip or zstd does (whatever its name).

    Parameters
    ----------
    stream : BinaryIO
    name : object
        What errors call it.
    through : BinaryIO, optional
        What to read the stream through.
    """
    plain = through or stream
    kind = compression_of(cast(io.BufferedReader, stream).peek(4)[:4])
    return cast(BinaryIO, Decompressed(plain, kind, str(name))) if kind else plain


def look(path: Opens, settings: Settings | None = None) -> Sample:
    """Read the beginning of a file.

    Parameters
    ----------
    path : Opens
    settings : Settings, optional
        With the encoding and the delimiter, if they are chosen.

    Raises
    ------
    InputError
        It cannot be read, not even its beginning; or it is JSON, but not one object a line.
    """
    chosen = {"encoding": settings.encoding, "delimiter": settings.delimiter} if settings else {}
    with opened(path) as stream:
        try:
            compression = compression_of(cast(io.BufferedReader, stream).peek(4)[:4])
            text = decompressed(stream, path)
            data, loss = _first(text)
            for magic, what in _OTHERS.items():
                if data.startswith(magic):
                    raise UnknownFormatError(
                        f"{str(path)!r} is {what}", hint="unpack it, then ingest what is in it", path=str(path)
                    )
            if data.startswith(PARQUET):
                return _parquet(path, compression)
            try:
                sample = sample_of(data, **chosen, whole=len(data) < SAMPLE and not loss)
            except InputError as error:
                raise type(error)(f"{str(path)!r}: {error.message}", hint=error.hint, path=str(path)) from error
            if sample.rows < 2 and len(data) >= SAMPLE:
                sample.rows = min(2, sample.rows + _goes_on(text))
            if compression and not loss and len(data) >= SAMPLE and _size(path) <= CHECKED:
                loss = _loss(text)
        except OSError as error:
            raise unreadable(path, error) from error
    sample.compression, sample.loss = compression, loss
    return sample


def _first(stream: BinaryIO) -> tuple[bytes, str]:
    """The first bytes, and what damage there is among them."""
    parts: list[bytes] = []
    got = 0
    try:
        while got < SAMPLE and (chunk := stream.read(SAMPLE - got)):
            parts.append(chunk)
            got += len(chunk)
    except TruncatedError as error:
        if not got:
            raise
        return b"".join(parts), error.message
    return b"".join(parts), ""


def _goes_on(stream: BinaryIO) -> bool:
    """Whether there is anything but blanks in the rest."""
    try:
        while chunk := stream.read(SAMPLE):
            if chunk.strip(_BLANK):
                return True
    except TruncatedError:
        pass
    return False


def _loss(stream: BinaryIO) -> str:
    """What damage there is in the rest."""
    try:
        while stream.read(1 << 20):
            pass
    except TruncatedError as error:
        return error.message
    return ""


def _size(path: Opens) -> float:
    return path.size if isinstance(path, LocalFile) else math.inf


def _parquet(path: Opens, compression: str) -> Sample:
    """The first rows of a Parquet file."""
    from ecom_analytics.reading.parquet import ParquetReader

    if compression:
        raise InputError(
            f"{str(path)!r} is a Parquet file within {compression} data",
            hint="decompress it: Parquet compresses what it holds by itself",
            path=str(path),
        )
    reader = ParquetReader(random_access(path), name=str(path))
    sample = Sample(PARQUET)
    sample.layout = Layout("parquet")
    sample.header = tuple(reader.header)
    sample.rows = min(2, reader.rows)
    sample.records = tuple(reader.first(RECORDS))
    return sample


def copy_rows(path: Opens, to: Path, rows: int) -> None:
    """Write the first rows of a Parquet file to another one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(random_access(path))
    batch = next(file.iter_batches(rows), None)
    pq.write_table(pa.Table.from_batches([batch] if batch else [], file.schema_arrow), to)


def random_access(path: Opens) -> Any:
    """What pyarrow reads a file by, from any place in it."""
    where = path if isinstance(path, Path) else getattr(path, "path", None)
    return str(where) if where else _Seekable(path)


class _Seekable(io.RawIOBase):
    """A file whose ranges can be read, as a stream."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._file.size)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._file.size - self._at)
        size = left if size < 0 else min(size, left)
        data = bytes(self._file.read(self._at, size)) if size else b""
        self._at += len(data)
        return data
