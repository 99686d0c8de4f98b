"""Proves that what was made step by step is what making all anew from the raw files gives, on your own data."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import NotBuiltError
from ecom_analytics.history.tables import TABLES as HISTORY
from ecom_analytics.lake import STAGED
from ecom_analytics.marts import MartBuilder
from ecom_analytics.marts.project import duckdb_config
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.reports import Report, plain
from ecom_analytics.scratch import scratch_folder
from ecom_analytics.staging import Stager
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.state import load
from ecom_analytics.staging.tables import schema
from ecom_analytics.storages import open_storage
from ecom_analytics.warehouse import Build, Warehouse

if TYPE_CHECKING:
    import duckdb

    from ecom_analytics.config import Settings
    from ecom_analytics.staging.state import State

SHOWN = 5
"""Rows that are shown of each difference."""

_COPIED = ("raw/", "erasures/")
"""What of a lake everything else is made of."""

_OWN = {"stage_id", "staged_at"}
"""Columns that say when a row was staged, and not what it is."""


@dataclass(frozen=True, slots=True)
class VerifiedTable:
    """One table, compared row by row.

    Attributes
    ----------
    name : str
        ``staged.events`` or ``marts.users``, for example.
    rows : int
        Rows that it has.
    missing, unexpected : int
        Rows that only the table made anew has, and that only this one has. A row that differs counts in both.
    examples : tuple of dict
        The first of each, with ``made`` (``anew`` or ``step by step``).
    """

    name: str
    rows: int
    missing: int
    unexpected: int
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def is_equal(self) -> bool:
        return not (self.missing or self.unexpected)


@dataclass(frozen=True, slots=True)
class VerifyReport(Report):
    """What :meth:`ecom_analytics.Pipeline.verify` found; ``equal`` if no table differs."""

    equal: bool
    tables: tuple[VerifiedTable, ...]
    seconds: float


def verify(settings: Settings, *, watch: Watcher = ignore) -> VerifyReport:
    """Stage all raw files again and make all marts anew, aside, and compare every table row by row.

    Nothing of the lake and of the warehouse is changed. It takes the time of a full load, and the space of one in the
    folder of the warehouse.

    Parameters
    ----------
    settings : Settings
    watch : callable, optional
        Receives :class:`~ecom_analytics.progress.Progress`.

    Raises
    ------
    NotBuiltError
        The served build does not hold what is staged: there is nothing to compare with.
    BusyError
        A run holds the warehouse.
    """
    started = time.perf_counter()
    with MartBuilder(settings).lock():
        place = open_place(settings)
        with place.hold():
            state = load(place)
            build = _served(settings, state)
            with scratch_folder(settings.warehouse) as scratch:
                anew = _copy(settings, scratch)
                Stager(anew, watch=watch).stage()
                MartBuilder(anew, watch=watch).build()
                watch(Progress("verify", "comparing"))
                tables = (*_staged(settings, anew, state, scratch), *_marts(settings, anew, build, scratch))
    return VerifyReport(all(table.is_equal for table in tables), tables, time.perf_counter() - started)


def _served(settings: Settings, state: State) -> Build:
    build = Warehouse(settings).current()
    if build.info.get("staged_version") != state.version:
        raise NotBuiltError(
            f"the served build {build.build_id} does not hold what is staged",
            hint="run `ecom-analytics build` first",
        )
    return build


def _copy(settings: Settings, scratch: Path) -> Settings:
    """A home with the same raw files, and nothing that was made of them."""
    lake, source = scratch / "lake", open_storage(settings.lake, settings)
    for prefix in _COPIED:
        for name in source.list(prefix):
            to = lake / name
            to.parent.mkdir(parents=True, exist_ok=True)
            if "://" in settings.lake:
                with source.open(name) as stream, to.open("wb") as copy:
                    shutil.copyfileobj(stream, copy, 1 << 20)
            else:
                os.symlink(source.uri(name), to)
    places = {"home": scratch, "lake": str(lake), "warehouse": scratch / "warehouse", "cache": scratch / "cache"}
    return settings.model_copy(update={**places, "exports": str(scratch / "exports")})


def _staged(settings: Settings, anew: Settings, state: State, scratch: Path) -> Iterator[VerifiedTable]:
    import duckdb

    other = load(open_place(anew))
    with duckdb.connect(config=duckdb_config(settings, scratch)) as connection:
        for name in STAGED:
            columns = [column for column in schema(name).names if column not in _OWN]
            for alias, one in (("step_by_step", state), ("anew", other)):
                if name == "batches":
                    connection.register(alias, one.batches.select(columns))
                else:
                    _view(connection, alias, one.place.paths(_files(one, name)), columns)
            yield _compared(connection, f"staged.{name}", "step_by_step", "anew", columns)
            for alias in ("step_by_step", "anew"):
                connection.execute(f"DROP VIEW {alias}")


def _files(state: State, name: str) -> list[str]:
    """Names of the files of a staged table that count."""
    by_day = {"events": state.events, "duplicates": state.duplicates}
    if name in by_day:
        return [f"{name}/{file.path}" for files in by_day[name].values() for file in files]
    some = state.rejected if name == "rejected" else state.catalogue[name]
    return [f"{name}/{file.path}" for file in some]


def _view(connection: duckdb.DuckDBPyConnection, alias: str, paths: list[str], columns: list[str]) -> None:
    """All columns of a staged table; a file lacks those that its source format cannot fill."""
    if not paths:
        nothing = ", ".join(f"NULL AS {column}" for column in columns)
        connection.execute(f"CREATE VIEW {alias} AS SELECT {nothing} WHERE false")
        return
    files = connection.from_parquet(paths, union_by_name=True, hive_partitioning=True)
    there = set(files.columns)
    chosen = (column if column in there else f"NULL AS {column}" for column in columns)
    files.project(", ".join(chosen)).create_view(alias)


def _marts(settings: Settings, anew: Settings, build: Build, scratch: Path) -> Iterator[VerifiedTable]:
    import duckdb

    other = Warehouse(anew).current()
    with duckdb.connect(config=duckdb_config(settings, scratch)) as connection:
        for alias, path in (("step_by_step", build.path), ("anew", other.path)):
            text = str(path).replace("'", "''")
            connection.execute(f"ATTACH '{text}' AS {alias} (READ_ONLY)")
        for name in sorted(set(build.info["marts"]) - set(HISTORY)):
            yield _compared(connection, f"marts.{name}", f'step_by_step."{name}"', f'anew."{name}"')


def _compared(
    connection: duckdb.DuckDBPyConnection, name: str, one: str, other: str, columns: list[str] | None = None
) -> VerifiedTable:
    if columns is None:
        columns = [row[0] for row in connection.execute(f"DESCRIBE {other}").fetchall()]
    listed = ", ".join(f'"{column}"' for column in columns)
    counted = connection.execute(f"SELECT count(*) FROM {one}").fetchone()
    found: list[int] = []
    examples: list[dict[str, Any]] = []
    for made, left, right in (("anew", other, one), ("step by step", one, other)):
        query = f"SELECT {listed} FROM {left} EXCEPT ALL SELECT {listed} FROM {right}"
        difference = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
        found.append(difference[0] if difference else 0)
        if found[-1]:
            rows = connection.execute(f"{query} LIMIT {SHOWN}").to_arrow_table().to_pylist()
            examples += [{"made": made, **plain(row)} for row in rows]
    return VerifiedTable(name, counted[0] if counted else 0, found[0], found[1], tuple(examples))
