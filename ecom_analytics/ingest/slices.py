"""Cuts a file of events into its days, byte for byte, as a shop's nightly drops would have come."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, tzinfo
from pathlib import Path
from typing import Any, BinaryIO, cast

from ecom_analytics.disk import told_when_full
from ecom_analytics.errors import InputError, TruncatedError
from ecom_analytics.ingest.files import Opens
from ecom_analytics.ingest.look import decompressed, opened
from ecom_analytics.ingest.raw_records import BLOCK, RawRecords, refuse_uncut
from ecom_analytics.protocols import Layout

_HELD = 32 << 20
"""Bytes held in memory before they are written out."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One day of a file: its header and the records of that day, in the file's order.

    Attributes
    ----------
    day : datetime.date
    name : str
    path : pathlib.Path
        Where its bytes are.
    size : int
    sha : str
        SHA-256 of them.
    """

    day: date
    name: str
    path: Path
    size: int
    sha: str


def cut(
    path: Opens,
    kind: Any,
    layout: Layout,
    zone: tzinfo,
    folder: Path,
    max_record_lines: int,
    read: Callable[[bytes], None],
) -> list[Slice]:
    """Cut a file into its days, ordered by day.

    A record without a readable time goes with the record before it (the first ones with the first that has one), and
    so does a blank line: every byte of the file is in exactly one slice, but for the header, which is in each.

    Parameters
    ----------
    path : pathlib.Path, or whatever else opens
    kind : source format
        Which names the column of the time (``timestamp_column``; for JSON Lines it may be a path) and reads it
        (``timestamp(text)``, aware or None).
    layout : Layout
    zone : datetime.tzinfo
        Whose days they are.
    folder : pathlib.Path
        An empty one, which the slices are written to.
    max_record_lines : int
    read : callable
        Receives the bytes of the file as they are read, all of them and in order.

    Raises
    ------
    InputError
        The format cannot be cut, or no record has a readable time.
    """
    refuse_uncut(path, kind, layout)
    with opened(path) as raw:
        told = _Told(raw, read)
        try:
            records = RawRecords(decompressed(raw, path, cast(BinaryIO, told)), kind, layout, max_record_lines, path)
            days = _Days(folder, records.header)
            _sort_out(records, kind, zone, days, path)
        except TruncatedError as error:
            raise InputError(
                f"{str(path)!r} cannot be cut into days, since it cannot be read to its end: {error.message}",
                hint="fetch the file again, or ingest it whole",
                path=str(path),
            ) from error
        while told.read(BLOCK):
            pass
    stem, suffix = os.path.splitext(path.name.removesuffix(".gz").removesuffix(".zst"))
    return days.finish(lambda day: f"{stem}-{day.isoformat()}{suffix}")


def _sort_out(records: RawRecords, kind: Any, zone: tzinfo, days: _Days, path: Opens) -> None:
    read_time, current = kind.timestamp, None
    waiting: list[bytes] = []
    held = 0
    for block in records:
        together: dict[date, list[bytes]] = {}
        for text, raw in block:
            time = read_time(text) if text else None
            if time is not None:
                current = time.astimezone(zone).date()
            if current is not None:
                together.setdefault(current, waiting).append(raw)
                waiting = []
            else:
                waiting.append(raw)
                held += len(raw)
        for day, lines in together.items():
            days.add(day, b"".join(lines))
        if held > _HELD:
            break
    if waiting:
        raise InputError(
            f"{str(path)!r} has no record with a readable time in the column {kind.timestamp_column!r}",
            hint="check its format; it can be ingested whole",
            path=str(path),
        )


class _Told(io.RawIOBase):
    """A stream that tells what was read from it."""

    def __init__(self, stream: BinaryIO, tell: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._tell = tell

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._tell(data)
        return data


class _Days:
    """The slices being written: held in memory up to a bound, then appended to one file a day."""

    def __init__(self, folder: Path, header: bytes) -> None:
        self._folder = folder
        self._header = header
        self._held: dict[date, list[bytes]] = {}
        self._bytes = 0
        self._digests: dict[date, Any] = {}
        self._sizes: dict[date, int] = {}

    def add(self, day: date, data: bytes) -> None:
        if day not in self._digests:
            self._digests[day] = hashlib.sha256()
            self._sizes[day] = 0
            self.add(day, self._header)
        self._digests[day].update(data)
        self._sizes[day] += len(data)
        self._held.setdefault(day, []).append(data)
        self._bytes += len(data)
        if self._bytes > _HELD:
            self._write()

    def finish(self, name: Callable[[date], str]) -> list[Slice]:
        self._write()
        return [
            Slice(day, name(day), self._path(day), self._sizes[day], self._digests[day].hexdigest())
            for day in sorted(self._digests)
        ]

    def _path(self, day: date) -> Path:
        return self._folder / day.isoformat()

    def _write(self) -> None:
        with told_when_full(self._folder):
            for day, parts in self._held.items():
                with self._path(day).open("ab") as to:
                    to.write(b"".join(parts))
        self._held.clear()
        self._bytes = 0
