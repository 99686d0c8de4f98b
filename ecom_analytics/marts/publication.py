"""Publication: a finished build takes the served one's place in one step, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ecom_analytics.disk import full, is_full
from ecom_analytics.errors import BuildError
from ecom_analytics.warehouse import (
    CURRENT,
    LINK,
    Build,
    answers_name,
    file_name,
    files_beside,
    info_name,
    read_build,
    state_name,
)

BUILDING = "building-"
ROLLED_BACK = "rolled-back.json"
"""Name of the file that says what was rolled back, until the next build is published."""


def clear_leftovers(folder: Path) -> None:
    """Remove what killed builds left. Only under the lock."""
    for leftover in folder.glob(f"{BUILDING}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for leftover in folder.glob(".new-*"):
        leftover.unlink(missing_ok=True)
    for path in folder.glob("warehouse-*"):
        database = path.with_suffix(".duckdb")
        if path in files_beside(database) and not database.exists():
            path.unlink(missing_ok=True)


def seal(
    database: Path,
    state: Path,
    marts: Iterable[str],
    kept: Iterable[str],
    files: dict[str, Any],
    config: dict[str, Any],
) -> dict[str, Any]:
    """Leave nothing but the marts in the file, and in its state what the next build needs, closed and on disk.

    Parameters
    ----------
    database, state : pathlib.Path
    marts, kept : iterable of str
        Tables to keep in each.
    files : dict
        The staged files that the build was made of.
    config : dict
        How DuckDB opens a build's file.

    Returns
    -------
    dict
        ``as_of``, ``rows`` by mart, and ``capabilities`` by source.
    """
    import duckdb

    wanted = sorted(marts)
    try:
        as_of = _finish_state(state, set(kept), files, config)
        capabilities = _strip(database, wanted, config)
        rows = _verify(database, wanted)
    except duckdb.Error as error:
        if is_full(error):
            raise full(f"the build in {database.parent}") from error
        raise BuildError(
            f"the built file {database.name} cannot be finished: {error}",
            hint="run it again; the served build is untouched",
        ) from error
    for path in (database, state):
        log = path.with_name(f"{path.name}.wal")
        if log.exists():
            raise BuildError(f"{log} was not written back", hint="run it again; the served build is untouched")
        _sync(path)
    epoch = datetime.fromtimestamp(0, UTC)
    return {
        "as_of": None if as_of is None else epoch + timedelta(microseconds=as_of),
        "rows": rows,
        "capabilities": {source: list(names or []) for source, names in sorted(capabilities)},
    }


def publish(database: Path, state: Path, folder: Path, info: dict[str, Any], answers: Path | None = None) -> Build:
    """Serve ``database`` from now on, with the answers that were computed in advance, if there are any."""
    build_id = info["build_id"]
    target = folder / file_name(build_id)
    try:
        _write(folder / info_name(build_id), json.dumps(info, indent=1).encode() + b"\n")
        os.rename(state, folder / state_name(build_id))
        if answers is not None and answers.exists():
            _sync(answers)
            os.rename(answers, folder / answers_name(build_id))
        os.rename(database, target)
        _sync(folder)
        _write(folder / CURRENT, file_name(build_id).encode() + b"\n")
    except BaseException:
        for path in (target, *files_beside(target), folder / f".new-{CURRENT}"):
            path.unlink(missing_ok=True)
        raise
    (folder / ROLLED_BACK).unlink(missing_ok=True)
    _link(folder, target.name)
    _sync(folder)
    return read_build(target)


def serve(build: Build, folder: Path, newer: Iterable[Build]) -> None:
    """Serve a build that was published before; what ``newer`` ones were made of is not built again by itself.

    Raises
    ------
    BuildError
        The build's file is damaged.
    """
    import duckdb

    wanted = {name: mart["rows"] for name, mart in build.info["marts"].items()}
    try:
        found = _verify(build.path, sorted(wanted))
    except duckdb.Error as error:
        raise BuildError(f"the build {build.build_id} cannot be read: {error}", hint="choose another one") from error
    if found != wanted:
        raise BuildError(f"the build {build.build_id} does not hold what it held", hint="choose another one")
    refused = [[one.info.get("staged_version"), one.info.get("fingerprint")] for one in newer]
    told = {"served": build.path.name, "refused": refused}
    _write(folder / ROLLED_BACK, json.dumps(told, indent=1).encode() + b"\n")
    _write(folder / CURRENT, build.path.name.encode() + b"\n")
    _link(folder, build.path.name)
    _sync(folder)


def is_refused(folder: Path, served: Build, staged_version: int, fingerprint: str) -> bool:
    """Whether a build of this was rolled back, in favour of the one that is served now."""
    try:
        told = json.loads((folder / ROLLED_BACK).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return told["served"] == served.path.name and [staged_version, fingerprint] in told["refused"]


def prune(folder: Path, served: str, keep: int) -> None:
    """Remove the oldest builds beyond ``keep``, never the served one. Readers that have one open keep it."""
    files = sorted(folder.glob("warehouse-*.duckdb"), reverse=True)
    for path in [path for path in files if path.name != served][max(keep - 1, 0) :]:
        remove(path)


def remove(path: Path) -> None:
    """Remove a build, by its DuckDB file."""
    path.unlink(missing_ok=True)
    for beside in files_beside(path):
        beside.unlink(missing_ok=True)


def _finish_state(state: Path, kept: set[str], files: dict[str, Any], config: dict[str, Any]) -> int | None:
    """Drop what the next build does not need, add what this one was made of; the last event's microseconds."""
    import duckdb

    from ecom_analytics.marts.start import keep_staged_files

    with duckdb.connect(str(state), config=config) as connection:
        as_of = connection.execute("SELECT epoch_us(max(last_event_ts)) FROM int_event_days").fetchone()
        _drop_others(connection, kept)
        keep_staged_files(connection, files)
        connection.execute("CHECKPOINT")
    return as_of[0] if as_of else None


def _strip(database: Path, marts: list[str], config: dict[str, Any]) -> list[Any]:
    """Drop everything but the marts; (source, capabilities)."""
    import duckdb

    with duckdb.connect(str(database), config=config) as connection:
        capabilities = connection.execute(
            "SELECT source, list(capability ORDER BY capability) FILTER (available) FROM capabilities GROUP BY source"
        ).fetchall()
        _drop_others(connection, set(marts))
        connection.execute("CHECKPOINT")
    return capabilities


def _drop_others(connection: Any, kept: set[str]) -> None:
    for kind, name in _relations(connection):
        if name not in kept:
            connection.execute(f'DROP {kind} "{name}" CASCADE')


def _relations(connection: Any) -> list[tuple[str, str]]:
    rows = connection.execute(
        "SELECT 'VIEW', view_name FROM duckdb_views() WHERE NOT internal "
        "UNION ALL SELECT 'TABLE', table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 1 DESC"
    ).fetchall()
    return [(kind, name) for kind, name in rows]


def _verify(database: Path, marts: list[str]) -> dict[str, int]:
    """Open the file as readers will, and count."""
    import duckdb

    with duckdb.connect(str(database), read_only=True, config={"enable_external_access": False}) as connection:
        found = sorted(name for kind, name in _relations(connection) if kind == "TABLE")
        if found != marts or len(_relations(connection)) != len(marts):
            raise BuildError(
                f"the built file holds {', '.join(found)} instead of the marts {', '.join(marts)}",
                hint="a mart must be materialised as a table; the served build is untouched",
            )
        counts = [connection.execute(f'SELECT count(*) FROM "{name}"').fetchone() for name in marts]
    return {name: int(count[0]) for name, count in zip(marts, counts, strict=True) if count}


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".new-{path.name}")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def _link(folder: Path, name: str) -> None:
    temporary = folder / f".new-{LINK}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    os.replace(temporary, folder / LINK)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
