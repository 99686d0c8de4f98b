"""The user's own dbt models beside ours: a dbt project around their folder that has ours as a package.

The project lies in the build's folder and is made of links. So what they write is plain dbt: ``ref('sessions')`` is our
mart, and the names of their models are their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ecom_analytics.config import Settings
from ecom_analytics.errors import ConfigError

NAME = "own"
"""The project's name: models can be selected by it, and told from ours."""

PARTS = ("models", "macros", "tests", "seeds")
PROJECT = {
    "name": NAME,
    "version": "1.0.0",
    "config-version": 2,
    "profile": "ecom_analytics",
    "packages-install-path": "packages",
    "model-paths": ["models"],
    "macro-paths": ["macros"],
    "test-paths": ["tests"],
    "seed-paths": ["seeds"],
    "flags": {"send_anonymous_usage_stats": False},
    "models": {
        NAME: {"+materialized": "table"},
        # dbt does not tell a package's dbt_project.yml the variables of the command line.
        "ecom_analytics": {"intermediate": {"+database": "state"}},
    },
}
SUFFIXES = {".sql", ".py", ".yml", ".yaml", ".md", ".csv"}


def parts(folder: Path) -> dict[str, Path]:
    """What a folder holds: models only, or, if it has a subfolder ``models``, the parts of a dbt project."""
    if not (folder / "models").is_dir():
        return {"models": folder}
    return {part: folder / part for part in PARTS if (folder / part).is_dir()}


def checked(settings: Settings, ours: Path) -> Path | None:
    """The folder of the setting ``models``, if there is one.

    Parameters
    ----------
    settings : Settings
    ours : pathlib.Path
        The folder of our dbt project.

    Raises
    ------
    ConfigError
        There is no such folder, it holds no model, or a model has the name of one of ours.
    """
    folder = settings.models
    if folder is None:
        return None
    if not folder.is_dir():
        raise ConfigError(
            f"the setting models names {folder}, which is no folder",
            hint="name the folder that holds your dbt models, as .sql or .py files",
            key="models",
            value=str(folder),
        )
    found = parts(folder)
    models = _names(found["models"], {".sql", ".py"})
    if not models:
        raise ConfigError(
            f"the folder {folder} of the setting models holds no model",
            hint="a model is a file such as my_model.sql with one SELECT",
            key="models",
            value=str(folder),
        )
    taken = _names(ours / "models", {".sql", ".py"}) | _names(ours / "seeds", {".csv"})
    named = models | (_names(found["seeds"], {".csv"}) if "seeds" in found else {})
    for name in sorted(taken.keys() & named.keys()):
        raise ConfigError(
            f"{named[name]} has the name of a model of ecom_analytics",
            hint=f"give the file another name than {name}",
            key="models",
            value=str(folder),
        )
    return folder


def digest(folder: Path) -> str:
    """SHA-256 of what a build depends on in the folder."""
    hashed = hashlib.sha256(json.dumps(PROJECT).encode())
    for part, place in parts(folder).items():
        for path in _files(place):
            content = path.read_bytes()
            hashed.update(f"{part} {path.relative_to(place)} {len(content)}\n".encode() + content)
    return hashed.hexdigest()


def project(folder: Path, ours: Path, place: Path) -> Path:
    """Make the dbt project of a folder of models, with ours as its package, in ``place``.

    Returns
    -------
    pathlib.Path
        ``place``.
    """
    found = parts(folder)
    (place / "packages").mkdir(parents=True)
    (place / "packages" / "ecom_analytics").symlink_to(ours, target_is_directory=True)
    for part, path in found.items():
        (place / part).symlink_to(path.resolve(), target_is_directory=True)
    (place / "dbt_project.yml").write_text(json.dumps(PROJECT), encoding="utf-8")
    return place


def is_mart(node: dict[str, Any]) -> bool:
    """Whether a model of the user is published: a table is, unless its ``meta`` says ``published: false``."""
    table = node["config"]["materialized"] in {"table", "incremental"}
    return table and bool(node["config"]["meta"].get("published", True))


def check_places(nodes: Mapping[str, Any]) -> None:
    """Refuse models of the user that would not lie where marts lie, by what the manifest says of the nodes."""
    for node in nodes.values():
        if node["package_name"] == NAME and node["resource_type"] in {"model", "seed", "snapshot"}:
            at = (node["database"], node["schema"], node["alias"])
            if at != ("warehouse", "main", node["name"]) or node["resource_type"] == "snapshot":
                raise ConfigError(
                    f"{node['original_file_path']} would be built as {'.'.join(map(str, at))}",
                    hint="leave out database, schema and alias, and snapshots: a mart has the name of its file",
                    key="models",
                )


def add_columns(database: Path, marts: dict[str, dict[str, Any]]) -> None:
    """Complete what is known of the columns of marts without a contract, from the built file."""
    import duckdb

    unknown = {
        name for name, mart in marts.items() if not all(c["type"] for c in mart["columns"].values() or [{"type": ""}])
    }
    if not unknown:
        return
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name, lower(data_type) FROM duckdb_columns() WHERE NOT internal "
            "ORDER BY table_name, column_index"
        ).fetchall()
    for table, column, kind in rows:
        if table in unknown:
            known = marts[table]["columns"].get(column, {})
            marts[table]["columns"][column] = {"type": kind, "description": known.get("description", "")}


def _files(place: Path) -> Iterator[Path]:
    for path in sorted(place.rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            yield path


def _names(place: Path, suffixes: set[str]) -> dict[str, Path]:
    return {path.stem: path for path in _files(place) if path.suffix in suffixes}
