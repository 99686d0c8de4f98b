"""What was made of erased records before: builds, exports, and copies on this machine."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.export import LATEST, Exporter
from ecom_analytics.storages import open_storage

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.protocols import Storage
    from ecom_analytics.reports import ExportReport

_BUILD = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


def old_builds(settings: Settings, served: str | None) -> list[str]:
    """Ids of the kept builds but for one."""
    names = sorted(path.stem.removeprefix("warehouse-") for path in settings.warehouse.glob("warehouse-*.duckdb"))
    return [name for name in names if name != served]


def remove_builds(settings: Settings, builds: list[str]) -> None:
    """Delete builds, and what builds that failed or were tried left. A reader that has one open keeps it."""
    for build in builds:
        for suffix in ("duckdb", "json", "state"):
            (settings.warehouse / f"warehouse-{build}.{suffix}").unlink(missing_ok=True)
    for pattern in ("failed-*.json", "trial.duckdb*"):
        for path in settings.warehouse.glob(pattern):
            path.unlink(missing_ok=True)
    shutil.rmtree(settings.warehouse / "failed", ignore_errors=True)


def old_exports(settings: Settings, served: str | None = None) -> dict[str, list[str]]:
    """Names of the files of each export but one's, in the place that the setting ``exports`` names."""
    found: dict[str, list[str]] = {}
    for name in open_storage(settings.exports, settings).list():
        build = name.partition("/")[0]
        if _BUILD.fullmatch(build) and build != served:
            found.setdefault(build, []).append(name)
    return found


def export_anew(settings: Settings) -> ExportReport | None:
    """Export the served build in the formats of the newest export, if there is one."""
    storage = open_storage(settings.exports, settings)
    formats = _formats(storage)
    return Exporter(settings).export(formats=formats) if formats else None


def remove_exports(settings: Settings, exports: dict[str, list[str]]) -> None:
    """Delete exports: their manifests first, so that nobody takes the rest for whole."""
    storage = open_storage(settings.exports, settings)
    for build, names in exports.items():
        for name in sorted(names, key=lambda name: not name.endswith("/manifest.json")):
            storage.delete(name)
        if "://" not in settings.exports:
            shutil.rmtree(Path(settings.exports, build), ignore_errors=True)


def _formats(storage: Storage) -> list[str]:
    try:
        with storage.open(LATEST) as stream:
            manifest = json.loads(stream.read())["manifest"]
        with storage.open(manifest) as stream:
            formats: list[str] = json.loads(stream.read())["formats"]
    except FileNotFoundError:
        return []
    return formats
