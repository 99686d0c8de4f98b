"""Old exports go: their manifests first, then the files that no manifest names any more."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics import plugins
from ecom_analytics.export import manifests
from ecom_analytics.export.manifests import Manifest
from ecom_analytics.export.writing import writer_of
from ecom_analytics.protocols import Storage, TableFormat
from ecom_analytics.storages import storage_options

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

ABANDONED = timedelta(days=1)
"""A run that began so long ago and has no manifest is dead; its files go."""

_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


def collect(storage: Storage, settings: Settings) -> tuple[str, ...]:
    """Delete old exports, as the settings say, and what dead runs left.

    Parameters
    ----------
    storage : Storage
        The destination.
    settings : Settings
        ``keep_exports``, ``keep_exports_days`` and ``export_grace_minutes``.

    Returns
    -------
    tuple of str
        Names of what was deleted.
    """
    now = datetime.now(UTC)
    kept, gone = _sorted_out(everything(storage), settings, now)
    if not kept:
        return ()
    tables = table_formats(settings, [*kept, *gone])
    for manifest in gone:
        storage.delete(manifest.name)
    named = {file for manifest in kept for file in manifest.files}
    runs = {manifest.run_id for manifest in kept}
    dead = {run for file in (file for manifest in gone for file in manifest.files) if (run := run_of(file))} - runs
    dead |= {manifest.run_id for manifest in gone}
    abandoned = f"{now - ABANDONED:%Y%m%dT%H%M%SZ}"
    old = [
        name
        for name in files(storage, tables)
        if name not in named and (run := run_of(name)) and (run in dead or run < abandoned)
    ]
    deleted = delete_files(storage, settings, tables, old)
    return (*(manifest.name for manifest in gone), *deleted)


def everything(storage: Storage) -> list[Manifest]:
    """All manifests, the newest last."""
    found = []
    for number in manifests.numbers(storage):
        with contextlib.suppress(FileNotFoundError):
            found.append(manifests.read(storage, number))
    return found


def table_formats(settings: Settings, some: Iterable[Manifest]) -> dict[str, TableFormat]:
    """The formats of manifests that are tables, and installed."""
    names = {table.format for manifest in some for table in manifest.tables if table.version is not None}
    found = {}
    for name in sorted(names & set(plugins.names("export_formats"))):
        writer = writer_of(name, settings)
        if isinstance(writer, TableFormat):
            found[name] = writer
    return found


def files(storage: Storage, tables: Iterable[str]) -> list[str]:
    """Names of all files of rows, of tables too, whether a manifest names them or not."""
    return [
        name for place in ("runs", *tables) for name in storage.list(f"{place}/") if "/_delta_log/" not in f"/{name}"
    ]


def run_of(name: str) -> str:
    """Id of the run that wrote a file."""
    found = _RUN.search(name)
    return found[0] if found else ""


def delete_files(
    storage: Storage, settings: Settings, tables: Mapping[str, TableFormat], names: Iterable[str]
) -> list[str]:
    """Delete files, but for those that the newest version of a table holds."""
    held: dict[str, frozenset[str]] = {}
    options: dict[str, str] | None = None
    deleted = []
    for name in names:
        kind, _, rest = name.partition("/")
        if kind in tables:
            mart, _, path = rest.partition("/")
            if f"{kind}/{mart}" not in held:
                options = storage_options(settings, storage.uri()) if options is None else options
                state = tables[kind].state(storage.uri(f"{kind}/{mart}"), options)
                held[f"{kind}/{mart}"] = state[1] if state else frozenset()
            if path in held[f"{kind}/{mart}"]:
                continue
        storage.delete(name)
        deleted.append(name)
    remove_empty_folders(storage, deleted)
    return deleted


def remove_empty_folders(storage: Storage, names: Iterable[str]) -> None:
    """Remove the folders of runs that hold nothing any more; on S3 there are none."""
    if "://" in storage.uri():
        return
    folders = {parent for name in names for parent in Path(name).parents if parent.parts[:1] == ("runs",)}
    for folder in sorted(folders, key=lambda path: -len(path.parts)):
        if len(folder.parts) > 1:
            with contextlib.suppress(OSError):
                Path(storage.uri(), folder).rmdir()


def _sorted_out(found: list[Manifest], settings: Settings, now: datetime) -> tuple[list[Manifest], list[Manifest]]:
    """What is kept and what goes. The newest is kept, and so is what may have a reader still."""
    grace = timedelta(minutes=settings.export_grace_minutes)
    limit = timedelta(days=settings.keep_exports_days) if settings.keep_exports_days else None
    kept = found[-1:]
    gone: list[Manifest] = []
    for rank, (manifest, after) in enumerate(zip(found[-2::-1], found[:0:-1], strict=True), 1):
        age = now - datetime.fromisoformat(after.exported_at)
        old = rank >= settings.keep_exports or (limit is not None and age > limit)
        (gone if old and age > grace else kept).append(manifest)
    return kept, sorted(gone, key=lambda manifest: manifest.number)
