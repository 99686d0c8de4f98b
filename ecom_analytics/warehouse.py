"""Reads the published warehouse.

A build is one DuckDB file that never changes once it is published. ``CURRENT`` names the served one, so a reader
either sees a whole build or the whole build before it::

    warehouse/CURRENT                        "warehouse-<build>.duckdb"
    warehouse/warehouse-<build>.duckdb       the marts
    warehouse/warehouse-<build>.json         what is known of the build: :attr:`Build.info`
    warehouse/warehouse-<build>.state        what the next build starts from, beside the marts
    warehouse/warehouse-<build>.answers      answers that were computed when it was published, if it is large
    warehouse/failed-<build>.json            tests of the last build that did not pass, with rows and SQL
    warehouse/rolled-back.json               what was rolled back, until the next build is published
    warehouse/ecommerce.duckdb               a link to the served file, for people and other tools
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ecom_analytics.errors import EcomError, NotBuiltError

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends.duckdb import Backend

    from ecom_analytics.answers.query import Query
    from ecom_analytics.config import Settings

CURRENT = "CURRENT"
"""Name of the file that holds the served file's name."""

LINK = "ecommerce.duckdb"
"""Name of the link to the served file."""

_FILE = re.compile(r"warehouse-(?P<build>[0-9A-Za-z.-]+)\.duckdb")
_opening = threading.Lock()
T = TypeVar("T")
_NAMED = re.compile(r"\$([a-z_0-9]+)")


def file_name(build_id: str) -> str:
    """Name of a published build's DuckDB file.

    Examples
    --------
    >>> file_name("20261123T013000Z-1a2b3c")
    'warehouse-20261123T013000Z-1a2b3c.duckdb'
    """
    return f"warehouse-{build_id}.duckdb"


def info_name(build_id: str) -> str:
    """Name of the file that tells about a published build.

    Examples
    --------
    >>> info_name("20261123T013000Z-1a2b3c")
    'warehouse-20261123T013000Z-1a2b3c.json'
    """
    return f"warehouse-{build_id}.json"


def state_name(build_id: str) -> str:
    """Name of the DuckDB file with what the build after it needs besides the marts.

    Examples
    --------
    >>> state_name("20261123T013000Z-1a2b3c")
    'warehouse-20261123T013000Z-1a2b3c.state'
    """
    return f"warehouse-{build_id}.state"


def answers_name(build_id: str) -> str:
    """Name of the SQLite file with the answers that were computed when a build was published.

    Examples
    --------
    >>> answers_name("20261123T013000Z-1a2b3c")
    'warehouse-20261123T013000Z-1a2b3c.answers'
    """
    return f"warehouse-{build_id}.answers"


def files_beside(database: Path) -> tuple[Path, ...]:
    """The files of a build beside its DuckDB file, whether they are there or not."""
    return tuple(database.with_suffix(kind) for kind in (".json", ".state", ".answers"))


@dataclass(frozen=True, slots=True)
class Build:
    """One published build.

    Attributes
    ----------
    build_id : str
        Ids sort by the time of the build.
    path : pathlib.Path
        Its DuckDB file.
    built_at : datetime.datetime
        When it was published, UTC.
    info : dict
        What is known of it: ``as_of``, ``batches``,
         ``staged_version``, ``fingerprint``, ``timezone``, ``marts``, ``tests``,
        ``checks``, ``nodes``, ``input``, ``capabilities``, ``metrics``, ``started_from`` and ``model_version``.
    """

    build_id: str
    path: Path
    built_at: datetime
    info: dict[str, Any] = field(repr=False)


def read_build(path: Path) -> Build:
    """The published build whose DuckDB file is ``path``.

    Raises
    ------
    FileNotFoundError
        It was pruned.
    """
    match = _FILE.fullmatch(path.name)
    if match is None or not path.exists():
        raise FileNotFoundError(path)
    info = json.loads((path.parent / info_name(match["build"])).read_text(encoding="utf-8"))
    return Build(info["build_id"], path, datetime.fromisoformat(info["built_at"]), info)


class Warehouse:
    """The published marts, to read.

    Parameters
    ----------
    settings : Settings, optional
        Where the warehouse lies. Default: ``Settings()``.

    Examples
    --------
    ::

        warehouse = Warehouse(Settings())
        warehouse.sql("SELECT sum(transactions) FROM daily").to_pylist()
        warehouse.table("users").order_by("transactions").head(3).execute()
    """

    def __init__(self, settings: Settings | None = None) -> None:
        from ecom_analytics.config import Settings

        self.settings = settings or Settings()
        self.folder = self.settings.warehouse

    def __repr__(self) -> str:
        return f"Warehouse({str(self.folder)!r})"

    def current(self) -> Build:
        """The served build.

        Raises
        ------
        NotBuiltError
            Nothing was published yet.
        """
        return self._served(read_build)

    def builds(self) -> list[Build]:
        """All published builds that are kept, the newest first."""
        found = []
        for path in sorted(self.folder.glob("warehouse-*.duckdb"), reverse=True):
            try:
                found.append(read_build(path))
            except FileNotFoundError:  # pruned meanwhile, or not published yet
                continue
        return found

    def connect(self, build: Build | None = None) -> duckdb.DuckDBPyConnection:
        """Open the build (default: the served one), read-only and unable to reach other files.

        The connection keeps its build even when another one is published or this one is pruned. It belongs to one
        thread: give each other thread its own ``connection.cursor()``.
        """
        opened = partial(_connect, settings=self.settings)
        return opened(build.path) if build is not None else self._served(opened)

    def public_marts(self, build: Build | None = None) -> list[str]:
        """Names of the marts that are made to be read, sorted."""
        return sorted((build or self.current()).info["marts"])

    def sql(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """Ask the served build.

        Parameters
        ----------
        query : str
            SQL in DuckDB's dialect.
        parameters : sequence or mapping, optional
            Values of ``?`` or ``$name`` in the query.

        Returns
        -------
        pyarrow.Table
            ``.to_pylist()`` and ``.to_pandas()`` make it rows or a data frame.
        """
        with self.connect() as connection:
            result: Any = connection.execute(query, parameters)
            rows: pa.Table = result.to_arrow_table()
        return rows

    def table(self, name: str) -> ir.Table:
        """A mart of the served build as an Ibis table.

        Raises
        ------
        EcomError
            There is no such mart.
        """
        build = self.current()
        if name not in build.info["marts"]:
            raise EcomError(
                f"there is no mart {name!r} in build {build.build_id}",
                hint=f"the marts are {', '.join(self.public_marts(build))}",
            )
        return _backend(self.connect(build)).table(name)

    @property
    def query(self) -> Query:
        """What the API answers, as functions that return the same: ``warehouse.query.kpis(period="7d")``."""
        from ecom_analytics.answers.query import Query

        return Query(self)

    def _served(self, opened: Callable[[Path], T]) -> T:
        """Open the served file; once more if it was pruned between reading its name and opening it."""
        for attempt in range(5):
            try:
                name = (self.folder / CURRENT).read_text(encoding="utf-8").strip()
            except FileNotFoundError:
                break
            try:
                return opened(self.folder / name)
            except FileNotFoundError:
                if attempt == 4:
                    raise NotBuiltError(
                        f"{self.folder / CURRENT} names {name!r}, which is not there",
                        hint="run `ecom-analytics build` to publish the warehouse again",
                    ) from None
        raise NotBuiltError(
            f"there is no published warehouse in {self.folder}",
            hint="run `ecom-analytics run FILES`, or `ecom-analytics demo` to try it out",
            folder=str(self.folder),
        )


def _connect(path: Path, settings: Settings) -> duckdb.DuckDBPyConnection:
    import duckdb

    if not path.exists():
        raise FileNotFoundError(path)
    config: dict[str, Any] = {
        "enable_external_access": False,
        "python_enable_replacements": False,
    }
    with _opening:  # connections of one process to one file share its settings, so only the first can make them
        try:
            connection = duckdb.connect(str(path), read_only=True, config=config)
        except duckdb.IOException as error:
            if not path.exists():
                raise FileNotFoundError(path) from error
            raise EcomError(
                f"the published file {path.name} cannot be opened: {error}",
                hint="if another program holds it open for writing, close it; else build again",
            ) from error
        locked = connection.execute("SELECT current_setting('lock_configuration')").fetchone()
        if locked != (True,):
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            connection.execute(f"SET GLOBAL memory_limit = '{settings.memory_limit}'")  # a setting takes no parameter
            connection.execute(f"SET GLOBAL threads = {settings.threads}")
            connection.execute("SET lock_configuration = true")
    return connection


def _backend(connection: duckdb.DuckDBPyConnection) -> Backend:
    """An Ibis backend over a locked connection."""
    from ibis.backends.duckdb import Backend

    class Locked(Backend):  # type: ignore[misc, unused-ignore]
        def _post_connect(self, extensions: Any = None) -> None:
            # Ibis would set time zone and replacements here: they are set already, and a locked connection refuses.
            self._record_batch_readers_consumed: dict[str, Any] = {}

    backend: Backend = Locked.from_connection(connection)
    return backend


def parameters_of(query: str) -> set[str]:
    """The parameters that a query names.

    Examples
    --------
    >>> sorted(parameters_of("SELECT $start, $end"))
    ['end', 'start']
    """
    return set(_NAMED.findall(query))
