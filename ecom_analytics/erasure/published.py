"""What was made of erased records before: builds, exports, and copies on this machine."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.export import LATEST, Exporter
from ecom_analytics.export.collect import everything, files, remove_empty_folders, table_formats
from ecom_analytics.export.manifests import newest, point
from ecom_analytics.storages import open_storage
from ecom_analytics.warehouse import Warehouse, file_name, files_beside

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.protocols import Storage

_BUILD = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


def old_builds(settings: Settings, served: str | None) -> list[str]:
    """Ids of the kept builds but for one."""
    names = sorted(path.stem.removeprefix("warehouse-") for path in settings.warehouse.glob("warehouse-*.duckdb"))
    return [name for name in names if name != served]


def remove_builds(settings: Settings, builds: list[str]) -> None:
    """Delete builds, and what builds that failed or were tried left. A reader that has one open keeps it."""
    for build in builds:
        database = settings.warehouse / file_name(build)
        for path in (database, *files_beside(database)):
            path.unlink(missing_ok=True)
    for pattern in ("failed-*.json", "trial.duckdb*"):
        for path in settings.warehouse.glob(pattern):
            path.unlink(missing_ok=True)
    shutil.rmtree(settings.warehouse / "failed", ignore_errors=True)


def old_exports(settings: Settings, served: str | None = None) -> dict[str, list[str]]:
    """Names of the files of each build's exports but one's, in the place that the setting ``exports`` names.

    Files that an export of that one needs too are not among them. Those that belong to none, which dead runs left, are
    listed under an empty id if there is any export.
    """
    storage = open_storage(settings.exports, settings)
    there = everything(storage)
    tables = table_formats(settings, there)
    kept = {name for manifest in there if manifest.build_id == served for name in (manifest.name, *manifest.files)}
    current = {f"{table.format}/{table.table}/" for table in (there[-1].tables if there else ())}
    found: dict[str, list[str]] = {}
    for manifest in there:
        if manifest.build_id != served:
            names = found.setdefault(manifest.build_id, [])
            names += [name for name in (manifest.name, *manifest.files) if name not in kept and name not in names]
    for name in storage.list():
        build = name.partition("/")[0]
        if _BUILD.fullmatch(build) and build != served:  # as exports looked once
            found.setdefault(build, []).append(name)
    named = kept.union(*found.values())
    logs = [
        name
        for kind in tables
        for name in storage.list(f"{kind}/")
        if "/_delta_log/" in name and not any(name.startswith(table) for table in current if served is not None)
    ]
    left = [name for name in (*logs, *files(storage, tables)) if name not in named]
    if left:
        found[""] = left
    return found


def export_anew(settings: Settings) -> None:
    """Export the served build as the newest export was, its marts in its formats, if there is one."""
    storage = open_storage(settings.exports, settings)
    there = newest(storage)
    if there is None:
        if formats := _formats_once(storage):
            Exporter(settings).export(formats=formats)
        return
    served = set(Warehouse(settings).public_marts())
    for kind in there.formats:
        marts = [table.table for table in there.tables if table.format == kind and table.table in served]
        if marts:
            Exporter(settings).export(formats=[kind], select=marts)


def remove_exports(settings: Settings, exports: dict[str, list[str]]) -> None:
    """Delete exports: their manifests first, so that nobody takes the rest for whole."""
    storage = open_storage(settings.exports, settings)
    names = [name for some in exports.values() for name in some]
    for name in sorted(names, key=lambda name: not (name.startswith("manifests/") or name.endswith("/manifest.json"))):
        storage.delete(name)
    remove_empty_folders(storage, names)
    if "://" not in settings.exports:
        for build in filter(_BUILD.fullmatch, exports):
            shutil.rmtree(Path(settings.exports, build), ignore_errors=True)
    point(storage)


def _formats_once(storage: Storage) -> list[str]:
    """The formats of the newest export, as exports looked before manifests had numbers."""
    try:
        with storage.open(LATEST) as stream:
            manifest = json.loads(stream.read())["manifest"]
        with storage.open(manifest) as stream:
            formats: list[str] = json.loads(stream.read())["formats"]
    except FileNotFoundError:
        return []
    return formats
