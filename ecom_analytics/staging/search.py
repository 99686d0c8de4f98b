"""Find a few rows in the staged tables: by the key of an event, or by the line of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.config import Settings
from ecom_analytics.events import NAMES
from ecom_analytics.keys import event_key, session_id
from ecom_analytics.lake import BatchKey, StagedFile
from ecom_analytics.staging.event_ids import ID_WINDOW
from ecom_analytics.staging.state import State
from ecom_analytics.staging.tables import PARTITIONED, schema

if TYPE_CHECKING:
    from types import TracebackType

CHUNK_ROWS = 400_000
"""Rows, give or take a file, that are hashed at a time to find a key."""

_PLACE = ("source", "batch_id", "source_line", "source_item", "event_date", "kept_batch_id", "kept_line")
_NEAR = 1 + -(-ID_WINDOW // timedelta(days=1))
"""Days around a row's own on which are the rows that it suppresses or loses to; one more, for days differ in length."""


@dataclass(frozen=True, slots=True)
class Found:
    """One row of a staged table.

    Attributes
    ----------
    table : str
    batch : (source, batch_id)
    line : int
    values : dict
        Its columns, and of an event its keys.
    kept : (batch_id, line) or None
        Of a duplicate, the row that was kept.
    is_identical : bool
        Whether it equals that row.
    """

    table: str
    batch: BatchKey
    line: int
    values: dict[str, Any]
    kept: tuple[str, int] | None = None
    is_identical: bool = False


class Search:
    """Looks through what is staged, with a connection to DuckDB of its own.

    Parameters
    ----------
    settings : Settings
        Give the memory limit and the number of threads.
    state : State
        What is staged. Its place must be held.
    """

    def __init__(self, settings: Settings, state: State) -> None:
        import duckdb

        self._state = state
        self._views: dict[str, list[str]] = {}
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": settings.threads,
                "memory_limit": settings.memory_limit,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET enable_progress_bar = false")

    def __enter__(self) -> Search:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._connection.close()

    def of_key(self, key: str) -> list[Found]:
        """The row that was kept of an event, then those that it suppressed; nothing if there is no such event."""
        row = next(self._of_key(key), None)
        if row is None:
            return []
        kept = (row.get("kept_batch_id", row["batch_id"]), row.get("kept_line", row["source_line"]))
        return self._family(row["source"], kept, row.get("source_item"), row["event_date"])

    def _of_key(self, key: str) -> Iterator[dict[str, Any]]:
        """Rows of that key: those that were kept first, the newest days first; a key is hashed from whole rows."""
        for table in PARTITIONED:
            files = sorted(self._files(table), key=lambda file: str(file.day), reverse=True)
            for number, some in enumerate(_chunks(files)):
                columns = self._view(table, f"{table}_chunk_{number}", some)
                own = [name for name in columns if name in _PLACE]
                yield from self._query(
                    f"SELECT {', '.join(own)} FROM {table}_chunk_{number} WHERE {event_key(columns)} = $key LIMIT 1",
                    key=key,
                )

    def of_line(self, keys: Sequence[BatchKey], line: int) -> list[Found]:
        """The rows of a line, then those that were kept in place of its duplicates, and those that it suppressed."""
        found = []
        for table in (*PARTITIONED, *CATALOGUE):
            self._view(table)
            for source, batch_id in keys:
                where = "source = $source AND batch_id = $batch_id AND source_line = $line"
                rows = self._query(f"SELECT * FROM {table} WHERE {where}", source=source, batch_id=batch_id, line=line)
                found += [(table, row) for row in rows]
        own: list[Found] = []
        others: list[Found] = []
        for table, row in found:
            if table in CATALOGUE:
                own.append(Found(table, (row["source"], row["batch_id"]), line, row))
                continue
            kept = (row.get("kept_batch_id", row["batch_id"]), row.get("kept_line", line))
            for one in self._family(row["source"], kept, row.get("source_item"), row["event_date"]):
                is_own = one.batch == (row["source"], row["batch_id"]) and one.line == line
                (own if is_own else others).append(one)
        unique = {(one.table, one.batch, one.line, one.values.get("source_item")): one for one in [*own, *others]}
        return sorted(unique.values(), key=lambda one: (one.batch not in keys or one.line != line, _order(one)))

    def rejects_of_line(self, keys: Sequence[BatchKey], line: int) -> list[dict[str, Any]]:
        """The rejected records of a line."""
        self._view("rejected")
        return [
            row
            for source, batch_id in keys
            for row in self._query(
                "SELECT * FROM rejected WHERE source = $source AND batch_id = $batch_id AND source_line = $line",
                source=source, batch_id=batch_id, line=line,
            )
        ]  # fmt: skip

    def first_line(self, keys: Sequence[BatchKey], line: int) -> int | None:
        """The last line, not after this one, on which a record of the file begins that is not blank."""
        tables = (*PARTITIONED, *CATALOGUE, "rejected")
        for table in tables:
            self._view(table)
        rows = " UNION ALL ".join(f"SELECT batch_id, source, source_line FROM {table}" for table in tables)
        source, batch_id = keys[0]
        [found] = self._query(
            f"SELECT max(source_line) AS line FROM ({rows}) "
            "WHERE source = $source AND batch_id = $batch_id AND source_line <= $line",
            source=source, batch_id=batch_id, line=line,
        )  # fmt: skip
        return None if found["line"] is None else int(found["line"])

    def _family(self, source: str, kept: tuple[str, int], item: int | None, day: date) -> list[Found]:
        """A row that was kept, then those that it suppressed in the order of their files and lines."""
        same = "source = $source AND {} = $batch_id AND {} = $line"
        where = {
            "events": same.format("batch_id", "source_line"),
            "duplicates": same.format("kept_batch_id", "kept_line"),
        }
        found: list[Found] = []
        for table in PARTITIONED:
            view, columns = self._near(table, day)
            has_item = "source_item" in columns
            if has_item:
                where[table] += " AND source_item IS NOT DISTINCT FROM $item"
            values = {"source": source, "batch_id": kept[0], "line": kept[1], **({"item": item} if has_item else {})}
            session = "NULL" if table == "duplicates" else session_id()
            keys = f"{event_key(columns)} AS event_key, {session} AS session_id"
            rows = self._query(f"SELECT *, {keys} FROM {view} WHERE {where[table]}", **values)
            found += [self._found(table, row, found) for row in rows]
        return sorted(found, key=_order)

    def _found(self, table: str, row: dict[str, Any], kept: list[Found]) -> Found:
        """A row as an event, with all columns that there can be."""
        values = {name: row.get(name) for name in (*NAMES, "event_key", "session_id")}
        batch, line = (row["source"], row["batch_id"]), row["source_line"]
        if table == "events":
            return Found(table, batch, line, values)
        is_identical = any(one.values["event_key"] == values["event_key"] for one in kept if one.table == "events")
        return Found(table, batch, line, values, (row["kept_batch_id"], row["kept_line"]), is_identical)

    def _files(self, table: str) -> list[StagedFile]:
        if table in CATALOGUE:
            return self._state.catalogue[table]
        if table == "rejected":
            return self._state.rejected
        days = self._state.events if table == "events" else self._state.duplicates
        return [file for files in days.values() for file in files]

    def _near(self, table: str, day: date) -> tuple[str, list[str]]:
        """A view of a staged table's days around one, and its columns."""
        first, last = (str(day + timedelta(days=days)) for days in (-_NEAR, _NEAR))
        name = f"{table}_{day:%Y%m%d}"
        return name, self._view(table, name, [file for file in self._files(table) if first <= str(file.day) <= last])

    def _view(self, table: str, name: str = "", files: Sequence[StagedFile] | None = None) -> list[str]:
        """Make a view of a staged table, or of some of its files; the columns that these have."""
        name = name or table
        if name in self._views:
            return self._views[name]
        wanted = [file for file in (self._files(table) if files is None else files) if file.rows]
        if wanted:
            paths = self._state.place.paths([f"{table}/{file.path}" for file in wanted])
            self._connection.execute(f"SET VARIABLE {name}_files = $1", [paths])
            days = ", hive_partitioning = true, hive_types = {'event_date': DATE}" if table in PARTITIONED else ""
            rows = f"SELECT * FROM read_parquet(getvariable('{name}_files'), union_by_name = true{days})"
        else:
            self._connection.register(f"no_{table}", schema(table).empty_table())
            rows = f"SELECT * FROM no_{table}"
        self._connection.execute(f"CREATE TEMP VIEW {name} AS {rows}")
        described = self._connection.execute(f"DESCRIBE {name}").fetchall()
        self._views[name] = [column for column, *_ in described]
        return self._views[name]

    def _query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._connection.execute(sql, parameters).to_arrow_table().to_pylist()
        return rows


def _chunks(files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
    """The files, some at a time: about as many rows."""
    chunk: list[StagedFile] = []
    for file in files:
        chunk.append(file)
        if sum(one.rows for one in chunk) >= CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _order(one: Found) -> tuple[bool, str, int, int]:
    return one.kept is not None, one.batch[1], one.line, one.values.get("source_item") or 0
