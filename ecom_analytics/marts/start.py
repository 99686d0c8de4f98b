"""What a build starts from: a copy of the build before and the files that changed since, or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecom_analytics.config import Settings
from ecom_analytics.errors import LakeError
from ecom_analytics.marts import project
from ecom_analytics.warehouse import Build, state_name

LARGEST_CHANGE = 0.3
"""A build starts from nothing if a larger share of the files of events changed: then replacing costs more."""

LARGEST_WASTE = 0.3
"""A build starts from nothing if a larger share of the file before is taken by rows that were replaced."""


@dataclass(frozen=True, slots=True)
class Start:
    """What differs from the build before.

    Attributes
    ----------
    build : Build
        The build before.
    removed, added : list of str
        Local paths of the files of events that only the build before was made of, and that only this one is.
    same_catalogue : bool
        Whether the files of the catalogue are the same.
    """

    build: Build
    removed: list[str]
    added: list[str]
    same_catalogue: bool

    @property
    def state(self) -> Path:
        return self.build.path.parent / state_name(self.build.build_id)


def starting_point(settings: Settings, served: Build | None, snapshot: Any, held: ExitStack) -> Start | None:
    """The build to start from, if there is one and it is worth it.

    Parameters
    ----------
    settings : Settings
    served : Build or None
        The served build.
    snapshot : ecom_analytics.staging.Snapshot
        What is staged now.
    held : contextlib.ExitStack
        Keeps the files while it is open.

    Returns
    -------
    Start or None
        None: make everything anew.
    """
    from ecom_analytics.staging import local_files

    if served is None or served.info.get("fingerprint") != project.fingerprint(settings):
        return None
    before = staged_files_of(served, settings)
    if before is None or _waste(served) > LARGEST_WASTE:
        return None
    events = set(before["events"])
    removed = sorted(events - set(snapshot.files))
    added = sorted(set(snapshot.files) - events)
    if not events or len(removed) > LARGEST_CHANGE * len(events) or len(added) > LARGEST_CHANGE * len(snapshot.files):
        return None
    local = {}
    for name, files in (("removed", removed), ("added", added)):
        try:
            local[name] = held.enter_context(local_files(settings, replace(snapshot, files=files)))
        except LakeError:
            return None
        if not all(os.path.exists(file) for file in local[name]):
            return None
    same = {name: sorted(files) for name, files in snapshot.catalogue.items() if files}
    return Start(served, local["removed"], local["added"], same == before["catalogue"])


def staged_files(settings: Settings, snapshot: Any) -> dict[str, Any]:
    """The files that a build is made of, to be kept with it; as their names in the lake where they lie in it."""
    return {
        "events": _inside(settings, snapshot.files),
        "catalogue": {name: _inside(settings, files) for name, files in snapshot.catalogue.items() if files},
    }


def copy(start: Start, database: Path, state: Path) -> None:
    """Put copies of the build before in place; without copying the bytes where the file system can share them."""
    for source, target in ((start.build.path, database), (start.state, state)):
        if not _share(source, target):
            shutil.copyfile(source, target)
        target.chmod(0o644)


def remembered(start: Start | None, database: Path, rows: Mapping[str, int]) -> dict[str, Any]:
    """What the next build must know of this one: where it started, and how large a row is in a file made anew."""
    if start is not None:
        return {"started_from": start.build.build_id, "bytes_by_row": start.build.info["bytes_by_row"]}
    return {"started_from": None, "bytes_by_row": database.stat().st_size / max(sum(rows.values()), 1)}


def staged_files_of(build: Build, settings: Settings) -> dict[str, Any] | None:
    """What :func:`staged_files` said when that build was made; None if its state is not there any more."""
    import duckdb

    path = build.path.parent / state_name(build.build_id)
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            rows = connection.execute("SELECT kind, file FROM staged_files ORDER BY ALL").fetchall()
    except duckdb.Error:
        return None
    root = f"{settings.lake}/"
    found: dict[str, list[str]] = {}
    for kind, file in rows:
        found.setdefault(kind, []).append(file if "://" in file or os.path.isabs(file) else root + file)
    return {"events": found.pop("events", []), "catalogue": found}


def keep_staged_files(connection: Any, files: dict[str, Any]) -> None:
    """Write down in a build's state what it was made of."""
    rows = [("events", file) for file in files["events"]]
    rows += [(name, file) for name, listed in files["catalogue"].items() for file in listed]
    connection.execute("CREATE OR REPLACE TABLE staged_files (kind VARCHAR, file VARCHAR)")
    connection.execute(
        "INSERT INTO staged_files SELECT unnest($kinds), unnest($files)",
        {"kinds": [kind for kind, _ in rows], "files": [file for _, file in rows]},
    )


def _inside(settings: Settings, files: Sequence[str]) -> list[str]:
    root = f"{settings.lake}/"
    return sorted(file.removeprefix(root) for file in files)


def _waste(build: Build) -> float:
    """The share of the file that rows which are no more take, from its size by row when it was made anew."""
    fresh = build.info.get("bytes_by_row")
    rows = sum(mart["rows"] for mart in build.info["marts"].values())
    size = build.path.stat().st_size
    return 1 - fresh * rows / size if fresh and size > 64 * 2**20 else 0.0


def _share(source: Path, target: Path) -> bool:
    """Make a copy that shares its bytes until they change; False where that cannot be done."""
    with suppress(ImportError, OSError):
        import fcntl

        clone = 0x40049409  # FICLONE of Linux
        with source.open("rb") as before, target.open("wb") as after:
            fcntl.ioctl(after.fileno(), clone, before.fileno())
            return True
    return False
