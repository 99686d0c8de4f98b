"""What a failed build leaves: the compiled SQL of the models and tests that failed, until the next good build."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = "failed"


def keep(side: Path, warehouse: Path, build_id: str, nodes: Iterable[dict[str, Any]]) -> dict[str, Path]:
    """Keep what dbt compiled for these nodes, in place of what an earlier build left.

    Returns
    -------
    dict
        Name of a node → its file. A node that could not be compiled, and a seed, has none.
    """
    kept: dict[str, Path] = {}
    forget(warehouse)
    with suppress(OSError):  # the error that is being reported matters more
        for node in nodes:
            source = _compiled(side, node)
            if source is not None:
                target = warehouse / FOLDER / build_id / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                kept[node["name"]] = target
    return kept


def forget(warehouse: Path) -> None:
    """Remove what a failed build left."""
    shutil.rmtree(warehouse / FOLDER, ignore_errors=True)


def _compiled(side: Path, node: dict[str, Any]) -> Path | None:
    package, name = node["id"].split(".")[1], Path(node["path"]).name  # long names are cut short in it
    found = (side / "target" / "compiled" / package).rglob(name)
    return next((path for path in sorted(found) if path.is_file()), None)
