"""Files to read, wherever they lie: what has a name, a size and bytes, and tells when it changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from ecom_analytics.errors import EcomError, InputError, MissingFileError

_TICK = 20_000_000
"""Nanoseconds within which a file system may not tell two writes apart."""


class Opens(Protocol):
    """What can be looked at: a path, or an object of a store. ``str`` of it is its address."""

    @property
    def name(self) -> str: ...

    def open(self, mode: Literal["rb"], /) -> BinaryIO: ...


class File(Opens, Protocol):
    """A file as it was when it was found."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, size: int) -> bytes:
        """So many bytes, or an error; never fewer."""

    def check(self) -> None:
        """Raise :class:`~ecom_analytics.errors.InputError` if it is no longer what it was."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A local file as it was when it was found; whatever is done to it later is told."""

    path: Path
    size: int
    state: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> LocalFile:
        """The file as it is now."""
        with _explained(path):
            stat = path.stat()
            if abs(time.time_ns() - stat.st_mtime_ns) < _TICK:  # a write just now would not show
                time.sleep(_TICK / 1e9)
                stat = path.stat()
        return cls(path, stat.st_size, _state(stat))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    def open(self, mode: Literal["rb"] = "rb", /) -> BinaryIO:
        with _explained(self.path):
            return self.path.open(mode)

    def read(self, start: int, size: int) -> bytes:
        with _explained(self.path), self.path.open("rb", buffering=0) as stream:
            data = os.pread(stream.fileno(), size, start)
            while len(data) < size and (more := os.pread(stream.fileno(), size - len(data), start + len(data))):
                data += more  # a system reads 2 GiB at most, or less where a signal came
        if len(data) != size:
            raise changed(self)
        return data

    def check(self) -> None:
        with _explained(self.path):
            now = _state(self.path.stat())
        if now != self.state:
            raise changed(self)


def _state(stat: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written to, or when another one takes its name."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: object, error: OSError) -> EcomError:
    """The error to raise when a source file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return MissingFileError(f"{str(path)!r} vanished while it was read", hint="run it again", path=str(path))
    return InputError(
        f"cannot read {str(path)!r}: {error.strerror or error}",
        hint="check its permissions and the disk that it lies on",
        path=str(path),
    )


def changed(file: object) -> InputError:
    """The error to raise when a file is not what it was when it was found."""
    return InputError(
        f"{str(file)!r} changed while it was read",
        hint="wait until it is written completely, then run it again",
        path=str(file),
    )
