"""Housekeeping: what nobody needs any more goes, many small files become few, logs get checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ecom_analytics.config import Settings
from ecom_analytics.errors import BusyError, LakeError, NotBuiltError
from ecom_analytics.export import Exporter
from ecom_analytics.history import tables as history
from ecom_analytics.logs import log
from ecom_analytics.marts import MartBuilder, publication
from ecom_analytics.marts.start import staged_files_of
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.reports import Report
from ecom_analytics.scratch import sweep_scratch
from ecom_analytics.staging.places import Place, open_place
from ecom_analytics.staging.state import load, open_tables
from ecom_analytics.staging.sweep import sweep
from ecom_analytics.storages import storage_options
from ecom_analytics.warehouse import Build, Warehouse, files_beside

if TYPE_CHECKING:
    from deltalake import DeltaTable

DONE = ".maintained"
"""Name of the file in the warehouse whose time says when it was done last."""

MANY_COMMITS = 20
"""A table's log gets checkpoints once it has so many commits."""

MANY_FILES = 20
"""A table of the history with so many files is made one file of."""


@dataclass(frozen=True, slots=True)
class MaintenanceReport(Report):
    """What :func:`maintain` did.

    Attributes
    ----------
    files_deleted : int
        Files of staged tables and of the history.
    compacted : tuple of str
        Tables of which many files became one.
    checkpoints : tuple of str
        Tables whose log got a checkpoint.
    builds_deleted : tuple of str
        Ids of builds.
    exports_deleted : int
        Files of old exports, manifests included.
    bytes_before, bytes_after : int or None
        Size of the lake; None of one on S3, where looking costs more than it tells.
    seconds : float
    """

    files_deleted: int
    compacted: tuple[str, ...]
    checkpoints: tuple[str, ...]
    builds_deleted: tuple[str, ...]
    exports_deleted: int
    bytes_before: int | None
    bytes_after: int | None
    seconds: float


def is_due(settings: Settings) -> bool:
    """Whether the setting ``maintenance_hours`` says that it is time.

    Examples
    --------
    >>> import tempfile
    >>> is_due(Settings(home=tempfile.mkdtemp()))
    True
    >>> is_due(Settings(home=tempfile.mkdtemp(), maintenance_hours=0))
    False
    """
    if not settings.maintenance_hours:
        return False
    try:
        done = (settings.warehouse / DONE).stat().st_mtime
    except FileNotFoundError:
        return True
    return time.time() - done >= settings.maintenance_hours * 3600


def maintain(settings: Settings, *, watch: Watcher = ignore, holder: MartBuilder | None = None) -> MaintenanceReport:
    """Do all housekeeping of a lake, its warehouse and its exports.

    Nothing goes that the newest version of a table holds, nor what a kept build starts from, nor what was replaced less
    than ``retention_hours`` ago: somebody may be reading it.

    Parameters
    ----------
    settings : Settings
        ``retention_hours``, ``keep_builds``, ``keep_builds_days``, ``keep_builds_size``, and those of exports.
    watch : callable, optional
        Receives :class:`~ecom_analytics.progress.Progress`.
    holder : MartBuilder, optional
        Who holds the warehouse already.

    Raises
    ------
    BusyError
        A run holds the warehouse.
    LakeError
        A table cannot be read or written.
    """
    started = time.perf_counter()
    with (holder or MartBuilder(settings)).lock():
        before = _size(settings)
        watch(Progress("maintain", "old builds"))
        builds = _old_builds(settings)
        publication.clear_leftovers(settings.warehouse)
        sweep_scratch(settings.warehouse)
        watch(Progress("maintain", "staged tables"))
        deleted, checkpoints = _staged(settings)
        watch(Progress("maintain", "history"))
        more, compacted, logs = _history(settings)
        watch(Progress("maintain", "exports"))
        exports = len(Exporter(settings).collect())
        (settings.warehouse / DONE).touch()
        return MaintenanceReport(
            files_deleted=deleted + more,
            compacted=compacted,
            checkpoints=(*checkpoints, *logs),
            builds_deleted=builds,
            exports_deleted=exports,
            bytes_before=before,
            bytes_after=_size(settings),
            seconds=time.perf_counter() - started,
        )


def _old_builds(settings: Settings) -> tuple[str, ...]:
    """Delete builds beyond the number, the age and the size that are kept; never the served one."""
    warehouse = Warehouse(settings)
    try:
        served = warehouse.current()
    except NotBuiltError:
        return ()
    room = settings.keep_builds_bytes - _build_size(served)
    limit = settings.keep_builds_days
    oldest = None if limit is None else datetime.now(UTC) - timedelta(days=limit)
    gone = []
    others = [build for build in warehouse.builds() if build.build_id != served.build_id]
    for number, build in enumerate(others, 1):
        room -= _build_size(build)
        if number >= settings.keep_builds or room < 0 or (oldest is not None and build.built_at < oldest):
            publication.remove(build.path)
            gone.append(build.build_id)
    return tuple(gone)


def _build_size(build: Build) -> int:
    files = (build.path, *files_beside(build.path))
    return sum(file.stat().st_size for file in files if file.exists())


def _staged(settings: Settings) -> tuple[int, list[str]]:
    """Delete replaced files of the staged tables, and shorten their logs; how many files, and which logs."""
    place = open_place(settings)
    with place.hold():
        state = load(place)
        with contextlib.suppress(BusyError):  # a stager of another machine does it
            sweep(state)
        needed = _needed(settings, place)
        deleted, checkpoints = 0, []
        for name, table in open_tables(place).items():
            if table is None:
                continue
            removed = {f"{name}/{unquote(path)}" for path in _removed(table, settings)} - needed
            stale = removed & set(place.listing(name)) if removed else removed
            place.delete(sorted(stale))
            deleted += len(stale)
            if _shorten(table):
                checkpoints.append(f"staged/{name}")
    return deleted, checkpoints


def _needed(settings: Settings, place: Place) -> set[str]:
    """Names of the staged files that kept builds start from."""
    found: set[str] = set()
    root = place.table("").rstrip("/") + "/"
    for build in Warehouse(settings).builds():
        files = staged_files_of(build, settings)
        if files is not None:
            listed: Iterable[str] = (*files["events"], *(one for some in files["catalogue"].values() for one in some))
            found |= {file.removeprefix(root) for file in listed}
    return found


def _history(settings: Settings) -> tuple[int, tuple[str, ...], list[str]]:
    """Make one file of the many of the history; how many old ones went, of which tables, and which logs were cut."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    deleted, compacted, checkpoints = 0, [], []
    for name in history.TABLES:
        address = history.address(settings, name)
        if "://" not in address and not Path(address, "_delta_log").is_dir():
            continue
        options = dict(storage_options(settings, address))
        try:
            table = DeltaTable(address, storage_options=options)
            if len(table.file_uris()) >= MANY_FILES:
                table.optimize.compact()
                compacted.append(f"ops/{name}")
            old = table.vacuum(settings.retention_hours, dry_run=False, enforce_retention_duration=False)
            deleted += len(old)
            if _shorten(table):
                checkpoints.append(f"ops/{name}")
        except TableNotFoundError:
            continue
        except (DeltaError, OSError) as error:
            raise LakeError(
                f"the history {address} cannot be maintained: {error}", hint="check that the lake is yours to write"
            ) from error
    return deleted, tuple(compacted), checkpoints


def _removed(table: DeltaTable, settings: Settings) -> list[str]:
    """Paths of files that were removed from a table long enough ago, be they there or not."""
    return table.vacuum(settings.retention_hours, dry_run=True, enforce_retention_duration=False)


def _shorten(table: DeltaTable) -> bool:
    """Give a table's log a checkpoint if it has grown, and drop what is older than its retention."""
    from deltalake.exceptions import DeltaError

    if table.version() < MANY_COMMITS:
        return False
    try:
        table.create_checkpoint()
        table.cleanup_metadata()
    except (DeltaError, OSError) as error:
        log.warning("a log could not be shortened", table=table.table_uri, error=str(error))
        return False
    return True


def _size(settings: Settings) -> int | None:
    """Bytes of the lake's files, if it is a folder."""
    if "://" in settings.lake:
        return None
    total = 0
    for path in Path(settings.lake).rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            status: Any = path.stat()
            total += status.st_size if path.is_file() else 0
    return total
