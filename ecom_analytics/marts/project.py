"""The dbt project: where it lies, what it is made of, and what its manifest says."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ecom_analytics
from ecom_analytics.config import Settings
from ecom_analytics.marts import own

NAME = "ecom_analytics"
DATABASE = "warehouse.duckdb"
"""The file that dbt builds. Its name is the catalog's name in the manifest, so it is always the same."""
TOUCHED = "touched"
"""The tag of models that say what differs from the build before."""
STATE = "state"
"""The database of what the next build starts from, and its file's name."""


def folder() -> Path:
    """The folder of the dbt project: inside the installed package, or beside it in a checkout."""
    package = Path(ecom_analytics.__file__).parent
    installed = package / "dbt_models"
    return installed if installed.is_dir() else package.parent / "dbt_models"


def public_marts() -> dict[str, str]:
    """The marts that every build publishes, and what each is; sorted by name, without a build and without dbt.

    Examples
    --------
    >>> list(public_marts())[:3]
    ['affinity', 'attribution', 'batches']
    """
    import yaml

    found = {}
    for path in (folder() / "models" / "marts").glob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ()):
            found[model["name"]] = " ".join(model["description"].split())
    return dict(sorted(found.items()))


@cache
def digest() -> str:
    """SHA-256 of the project's files and of the versions that a parse of them depends on."""
    root = folder()
    hashed = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".sql", ".yml", ".md", ".csv"} and "target" not in path.parts:
            content = path.read_bytes()
            hashed.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    for package in ("dbt-core", "dbt-adapters", "dbt-duckdb", "dbt-common"):
        hashed.update(f"{package} {_version(package)}\n".encode())
    return hashed.hexdigest()


def fingerprint(settings: Settings) -> str:
    """What a build depends on besides the staged events: equal fingerprints build equal marts."""
    parts = [
        _digest_of_all(settings),
        ecom_analytics.__version__,
        json.dumps(variables(settings), sort_keys=True),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _digest_of_all(settings: Settings) -> str:
    """The digest of our project, and of the user's own models where there are any."""
    models = own.checked(settings, folder())
    return digest() if models is None else hashlib.sha256(f"{digest()} {own.digest(models)}".encode()).hexdigest()


def run_folder(settings: Settings, build_folder: Path) -> Path:
    """The folder of the project that dbt runs: ours, or one in the build's folder that adds the user's own models."""
    models = own.checked(settings, folder())
    return folder() if models is None else own.project(models, folder(), build_folder / "project")


def variables(settings: Settings) -> dict[str, Any]:
    """The project's variables."""
    names = [
        "timezone",
        "conflict_window_minutes",
        "bot_events_per_minute",
        "bot_events_per_day",
        "bot_hours_without_pause",
        "bot_pause_seconds",
        "cart_idle_days",
        "attribution_days",
        "affinity_min_together",
        "affinity_max_products",
    ]
    return {name: getattr(settings, name) for name in names}


def profile(settings: Settings, build_folder: Path, previous: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """The dbt profile of a build in this folder.

    Parameters
    ----------
    settings : Settings
    build_folder : pathlib.Path
    previous : mapping of str to pathlib.Path, optional
        The files of the build that it starts from, by the names under which models find them.
    """
    attached: list[dict[str, Any]] = [{"path": str(build_folder / f"{STATE}.duckdb"), "alias": STATE}]
    for alias, path in (previous or {}).items():
        attached.append({"path": str(path), "alias": alias, "read_only": True})
    target = {
        "type": "duckdb",
        "path": str(build_folder / DATABASE),
        "schema": "main",
        "attach": attached,
        # While one node waits for Python, others compute.
        "threads": max(4, settings.threads),
        "config_options": duckdb_config(settings, build_folder),
        "settings": {"TimeZone": "UTC", "parquet_metadata_cache": True},
    }
    return {NAME: {"target": "duckdb", "outputs": {"duckdb": target}}}


def reading_profile(settings: Settings, place: Path, database: Path, state: Path | None) -> dict[str, Any]:
    """The dbt profile of who only looks at a published build."""
    found = profile(settings, place)
    files = {Path(DATABASE).stem: database, STATE: state}
    attached = [{"path": str(path), "alias": alias, "read_only": True} for alias, path in files.items() if path]
    found[NAME]["outputs"]["duckdb"] |= {"path": ":memory:", "attach": attached}
    return found


def duckdb_config(settings: Settings, build_folder: Path) -> dict[str, Any]:
    """How a build opens its DuckDB file."""
    return {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "temp_directory": str(build_folder / "tmp"),
        "preserve_insertion_order": False,
    }


def cache_folder(settings: Settings) -> Path | None:
    """A folder of this user for parsed projects, made if need be; None if there can be none."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "ecom_analytics" / "dbt" / _digest_of_all(settings)[:32]
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = path.stat()
    except (OSError, RuntimeError):
        return None
    trusted = status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return path if trusted and os.access(path, os.W_OK) else None


@dataclass(frozen=True)
class Manifest:
    """What dbt's ``manifest.json`` says of the project.

    Attributes
    ----------
    marts : dict
        Public mart → its description and its columns, the user's own among them.
    tests : dict
        Unique id of a test → its name, the model and the column that it tests.
    models : list of str
        All models that are built.
    metrics : dict
        Metric → label, description, unit and so on.
    kept : list of str
        Models besides the marts that the next build starts from.
    touched : list of str
        Models that say what differs from the build before: left out where there is none.
    parents : dict
        Model → the models that it is made of.
    """

    marts: dict[str, dict[str, Any]]
    tests: dict[str, dict[str, Any]]
    models: list[str]
    metrics: dict[str, dict[str, Any]]
    kept: list[str]
    touched: list[str]
    parents: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read dbt's file."""
        return cls.read_dict(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def read_dict(cls, raw: dict[str, Any]) -> Manifest:
        """Read what dbt's file holds."""
        nodes = raw["nodes"].values()
        own.check_places(raw["nodes"])
        models = [node for node in nodes if node["resource_type"] == "model" and _kind(node) != "ephemeral"]
        return cls(
            marts={node["name"]: _mart(node) for node in models if _is_mart(node)},
            tests={node["unique_id"]: _test(node, raw["nodes"]) for node in nodes if node["resource_type"] == "test"},
            models=[node["name"] for node in models],
            metrics={metric["name"]: _metric(metric) for metric in raw["metrics"].values()},
            touched=[node["name"] for node in models if TOUCHED in node["tags"]],
            parents={node["name"]: _parents(node, raw["nodes"]) for node in models if TOUCHED not in node["tags"]},
            kept=[
                node["name"]
                for node in models
                if node["package_name"] == NAME and node["access"] != "public" and _is_kept(node)
            ],
        )


def _parents(node: dict[str, Any], nodes: dict[str, Any]) -> list[str]:
    read = [nodes[name] for name in node["depends_on"]["nodes"] if name in nodes]
    return sorted(parent["name"] for parent in read if TOUCHED not in parent["tags"])


def _kind(node: dict[str, Any]) -> str:
    return str(node["config"]["materialized"])


def _is_mart(node: dict[str, Any]) -> bool:
    return own.is_mart(node) if node["package_name"] == own.NAME else node["access"] == "public"


def _is_kept(node: dict[str, Any]) -> bool:
    return _kind(node) == "incremental" or bool(node["config"]["meta"].get("kept"))


def _mart(node: dict[str, Any]) -> dict[str, Any]:
    columns = {
        name: {
            "type": column["data_type"],
            "description": column["description"].strip(),
        }
        for name, column in node["columns"].items()
    }
    cut = {"partition_by": node["config"]["meta"]["partition_by"]} if "partition_by" in node["config"]["meta"] else {}
    return {"description": node["description"].strip(), "columns": columns, **cut}


def _test(node: dict[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    tested = node.get("attached_node")
    model = nodes[tested]["name"] if tested in nodes else ""
    return {"name": node["name"], "model": model, "column": node.get("column_name")}


def _metric(metric: dict[str, Any]) -> dict[str, Any]:
    return {"label": metric["label"], "description": metric["description"].strip(), **metric["config"]["meta"]}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
