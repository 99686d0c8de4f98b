"""Where the staged tables lie: a local folder, or S3 with a cache before it.

Files are named relative to the folder of the staged tables: ``events/event_date=2026-01-05/….parquet``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ecom_analytics.config import Settings
from ecom_analytics.lake import Batch
from ecom_analytics.storages import open_storage

STAGED = "staged"
LOG = "_delta_log"

OnBytes = Callable[[int], None]


class Place(Protocol):
    """Where the staged tables lie."""

    address: str
    in_place: bool
    """Whether files are written where they stay."""
    bucket: str
    """Nothing for a folder."""

    def table(self, name: str) -> str:
        """The address of a table, for ``deltalake``."""

    def options(self) -> Mapping[str, str] | None:
        """How ``deltalake`` gets there."""

    def may_exist(self, table: str) -> bool:
        """False if the table is certainly not there; a look that costs next to nothing."""

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """While it is held, no path that it gave becomes invalid."""

    def workshop(self, scratch: Path) -> Path:
        """The folder that new files are written to, under their names."""

    def publish(self, names: Sequence[str], workshop: Path) -> None:
        """Bring new files where they stay."""

    def paths(self, names: Sequence[str]) -> list[str]:
        """Local paths of staged files."""

    def readable(self, names: Sequence[str]) -> list[str]:
        """As :meth:`paths`, but the address of a file that would have to be fetched first."""

    def listing(self, table: str) -> Iterator[str]:
        """Every Parquet file in the table's folder, whether it counts or not."""

    def delete(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there do not matter."""

    def raw(self, batches: Sequence[Batch], on_bytes: OnBytes) -> list[str]:
        """Local paths of the bytes of these batches."""


def open_place(settings: Settings) -> Place:
    """The place that the settings name. Nothing is read or made by opening it.

    Examples
    --------
    >>> open_place(Settings(lake="/data/shop/lake")).table("events")
    '/data/shop/lake/staged/events'
    """
    if "://" in settings.lake:
        from ecom_analytics.staging.remote import RemotePlace

        return RemotePlace(settings)
    return LocalPlace(settings)


class LocalPlace:
    """A folder: files are written and read in place."""

    in_place = True
    bucket = ""

    def __init__(self, settings: Settings) -> None:
        self._lake = open_storage(settings.lake, settings)
        self._root = Path(settings.lake) / STAGED
        self.address = str(self._root)

    def table(self, name: str) -> str:
        return str(self._root / name)

    def options(self) -> None:
        return None

    def may_exist(self, table: str) -> bool:
        return (self._root / table / LOG).is_dir()

    @contextmanager
    def hold(self) -> Iterator[None]:
        yield

    def workshop(self, scratch: Path) -> Path:
        return self._root

    def publish(self, names: Sequence[str], workshop: Path) -> None:
        pass

    def paths(self, names: Sequence[str]) -> list[str]:
        return [str(self._root / name) for name in names]

    def readable(self, names: Sequence[str]) -> list[str]:
        return self.paths(names)

    def listing(self, table: str) -> Iterator[str]:
        folders = [table]
        while folders:
            folder = folders.pop()
            with contextlib.suppress(FileNotFoundError), os.scandir(self._root / folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".parquet"):
                        yield f"{folder}/{entry.name}"
                    elif entry.name != LOG and entry.is_dir():
                        folders.append(f"{folder}/{entry.name}")

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            (self._root / name).unlink(missing_ok=True)

    def raw(self, batches: Sequence[Batch], on_bytes: OnBytes) -> list[str]:
        return [self._lake.uri(batch.object_name) for batch in batches]
