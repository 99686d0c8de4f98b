"""What the dbt models of staging select: the staged files, as SQL text.

The views are DuckDB's; on another engine other staging models take their place.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.events import COLUMNS
from ecom_analytics.history.tables import COLUMNS as HISTORY
from ecom_analytics.keys import event_key, session_id

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "float": "DOUBLE",
    "decimal": "DECIMAL(18, 4)",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
    "boolean": "BOOLEAN",
}

_NAMES = ", ".join(column.name for column in COLUMNS)


class Staged:
    """The staged files that a build reads: paths of Parquet files, (id, name) of each batch, and the catalogue's.

    ``removed`` and ``added`` are the files of events that differ from those of the build that it starts from;
    ``history`` are the Parquet files of the history's tables.
    """

    def __init__(
        self,
        files: Sequence[str],
        batches: Sequence[tuple[str, str]],
        catalogue: Mapping[str, Sequence[str]] | None = None,
        removed: Sequence[str] = (),
        added: Sequence[str] = (),
        history: Mapping[str, str] | None = None,
    ) -> None:
        self.files = list(files)
        self.removed = list(removed)
        self.added = list(added)
        self.batches = [(str(batch), str(name)) for batch, name in batches]
        self.catalogue = dict(catalogue or {})
        self.history = dict(history or {})


_given: Staged | None = None
_copies: tempfile.TemporaryDirectory[str] | None = None
_copying = threading.Lock()


def give(staged_files: Staged | None) -> None:
    """Let the models of this process read these files, and stage nothing themselves."""
    global _given
    _given = staged_files


def staged() -> Staged | None:
    """What :func:`give` was given."""
    return _given


def batch_names(batches: pa.Table) -> list[tuple[str, str]]:
    """The id and the name of each batch of the staged table ``batches``."""
    rows = batches.select(["batch_id", "name"]).to_pylist()
    return sorted({str(row["batch_id"]): str(row["name"]) for row in rows}.items())


def events_query(files: Sequence[str]) -> str:
    """SELECT all staged events, with ``event_key`` and ``session_id``; they cost nothing where they are not used.

    Examples
    --------
    >>> "WHERE false" in events_query([])
    True
    """
    return f"SELECT {_NAMES}, {event_key()} AS event_key, {session_id()} AS session_id FROM ({_rows(files)}) AS events"


def changes_query(removed: Sequence[str], added: Sequence[str]) -> str:
    """SELECT the events that only these removed files hold (``change`` is -1), or only these added ones (1).

    A day that was staged again has its rows in both; those that are equal in every column are left out.

    Examples
    --------
    >>> changes_query([], []).startswith("SELECT change, ")
    True
    """
    again = {_day(path) for path in removed} & {_day(path) for path in added}
    parts = [
        f"SELECT CAST({change} AS INTEGER) AS change, {_NAMES} FROM ({_rows(paths)}) AS events"
        for change, files in ((-1, removed), (1, added))
        for paths in [[path for path in files if _day(path) not in again]]
    ]
    before, after = ([path for path in files if _day(path) in again] for files in (removed, added))
    if again:
        parts.append(
            f"SELECT CAST(sum(change) AS INTEGER) AS change, {_NAMES} FROM (SELECT -1 AS change, {_NAMES} FROM "
            f"({_rows(before)}) AS before UNION ALL SELECT 1 AS change, {_NAMES} FROM ({_rows(after)}) AS after) "
            f"AS both_files GROUP BY {_NAMES} HAVING sum(change) <> 0"
        )
    rows = " UNION ALL ".join(parts)
    return f"SELECT change, {_NAMES}, {session_id()} AS session_id FROM ({rows}) AS events"


def _rows(files: Sequence[str]) -> str:
    """SELECT the rows of files, with every column; a file lacks those that its source format cannot fill."""
    empty = ", ".join(f"CAST(NULL AS {_TYPES[column.type]}) AS {column.name}" for column in COLUMNS)
    rows = f"SELECT {empty} WHERE false"
    if files:
        listed = ", ".join(_text(path) for path in files)
        rows += (
            f" UNION ALL BY NAME SELECT * FROM read_parquet([{listed}], union_by_name = true, "
            "hive_partitioning = true, hive_types = {'event_date': 'DATE'})"
        )
    return rows


def _day(path: str) -> str:
    return path.rpartition("/")[0].rpartition("/")[2]


def catalogue_query(table: str, catalogue: Mapping[str, Sequence[str]]) -> str:
    """SELECT all staged rows of a table of the catalogue, ``products`` or ``categories``.

    Examples
    --------
    >>> catalogue_query("categories", {}).startswith("SELECT CAST(NULL AS VARCHAR) AS category_id")
    True
    """
    files = catalogue.get(table)
    if not files:
        empty = ", ".join(f"CAST(NULL AS {_TYPES[column.type]}) AS {column.name}" for column in CATALOGUE[table])
        return f"SELECT {empty} WHERE false"
    columns = ", ".join(column.name for column in CATALOGUE[table])
    return f"SELECT {columns} FROM read_parquet([{', '.join(_text(path) for path in files)}])"


def history_query(table: str, history: Mapping[str, str]) -> str:
    """SELECT all rows of a table of the history, ``runs`` or ``checks``.

    Examples
    --------
    >>> history_query("checks", {}).startswith("SELECT CAST(NULL AS VARCHAR) AS entry_id")
    True
    """
    if table not in history:
        empty = ", ".join(f"CAST(NULL AS {_TYPES[kind]}) AS {name}" for name, kind in HISTORY[table].items())
        return f"SELECT {empty} WHERE false"
    return f"SELECT {', '.join(HISTORY[table])} FROM read_parquet({_text(history[table])})"


def history_files() -> dict[str, str]:
    """The tables of the history as Parquet files, which go with this process: for a dbt that nobody gave any."""
    global _copies
    from ecom_analytics.config import Settings
    from ecom_analytics.history import History

    with _copying:  # the models that read them run at the same time
        if _copies is None:
            folder = tempfile.TemporaryDirectory(prefix="ecom-analytics-")
            History(Settings()).write_parquet(Path(folder.name))
            _copies = folder
        return {name: str(Path(_copies.name, f"{name}.parquet")) for name in HISTORY}


def batches_query(batches: Sequence[tuple[str, str]]) -> str:
    """SELECT the id and the name of each batch.

    Examples
    --------
    >>> batches_query([("ab12", "it's.csv")])
    "SELECT * FROM (VALUES ('ab12', 'it''s.csv')) AS batches (batch_id, name)"
    """
    if not batches:
        return "SELECT CAST(NULL AS VARCHAR) AS batch_id, CAST(NULL AS VARCHAR) AS name WHERE false"
    values = ", ".join(f"({_text(batch)}, {_text(name)})" for batch, name in batches)
    return f"SELECT * FROM (VALUES {values}) AS batches (batch_id, name)"


def _text(value: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'"
