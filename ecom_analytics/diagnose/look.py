"""The staged tables as views of one DuckDB connection, and findings out of queries over them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ecom_analytics.diagnose.causes import CAUSES
from ecom_analytics.diagnose.report import Finding, Spot
from ecom_analytics.staging.state import State
from ecom_analytics.staging.tables import PARTITIONED, schema

if TYPE_CHECKING:
    import pyarrow as pa

    from ecom_analytics.config import Settings
    from ecom_analytics.lake import StagedFile


class Look:
    """Views ``events``, ``duplicates``, ``rejected`` and the table ``batches``, each with the columns of its schema.

    Parameters
    ----------
    settings : Settings
    state : State
        What is staged. Its place must be held.
    connection : duckdb.DuckDBPyConnection
    limit : int
        Spots in a finding, at most.
    """

    def __init__(self, state: State, connection: Any, limit: int) -> None:
        self.state = state
        self.limit = limit
        self._connection = connection
        self.names = {(row["source"], row["batch_id"]): row["name"] for row in state.batches.to_pylist()}
        self.register("batches", state.batches)
        days = {"events": state.events, "duplicates": state.duplicates}
        for table, by_day in days.items():
            self._view(table, [file for files in by_day.values() for file in files])
        self._view("rejected", state.rejected)

    def register(self, name: str, rows: pa.Table) -> None:
        """Make a table of rows."""
        self._connection.register(name, rows)

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Ask."""
        found: list[dict[str, Any]] = self._connection.execute(sql, parameters or None).to_arrow_table().to_pylist()
        return found

    def findings(self, cause: str, sql: str, **parameters: Any) -> Iterator[Finding]:
        """A finding for each ``detail`` of a query.

        Parameters
        ----------
        cause : str
        sql : str
            Gives ``detail``, ``source``, ``batch_id``, ``line`` and ``facts`` (a struct) of each record.
        **parameters
            Of the query.
        """
        found = self.rows(
            f"""WITH hits AS MATERIALIZED ({sql}),
            counted AS (
                SELECT detail, count(*) AS hits, count(DISTINCT (source, batch_id)) AS files FROM hits GROUP BY detail
            )
            SELECT hits.*, counted.hits, counted.files FROM hits JOIN counted USING (detail)
            QUALIFY row_number() OVER (PARTITION BY detail ORDER BY source, batch_id, line) <= $spots
            ORDER BY detail, source, batch_id, line""",
            spots=self.limit,
            **parameters,
        )
        by_detail: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            by_detail.setdefault(row["detail"], []).append(row)
        for detail, rows in by_detail.items():
            spots = tuple(self.spot(row) for row in rows)
            yield finding(cause, detail, rows[0]["hits"], rows[0]["files"], spots)

    def spot(self, row: dict[str, Any]) -> Spot:
        """The place of a row."""
        key = (row["source"], row["batch_id"])
        facts = {name: value for name, value in (row.get("facts") or {}).items() if value is not None}
        return Spot(self.names.get(key, row["batch_id"]), row["line"], *key, facts)

    def _view(self, table: str, files: list[StagedFile]) -> None:
        """All columns of the schema; those that no file has are NULL."""
        self._connection.register(f"no_{table}", schema(table).empty_table())
        empty = f"SELECT * FROM no_{table}"
        paths = self.state.place.paths([f"{table}/{file.path}" for file in files if file.rows])
        if not paths:
            self._connection.execute(f"CREATE TEMP VIEW {table} AS {empty}")
            return
        self._connection.execute(f"SET VARIABLE {table}_files = $1", [paths])
        days = ", hive_partitioning = true, hive_types = {'event_date': DATE}" if table in PARTITIONED else ""
        staged = f"SELECT * FROM read_parquet(getvariable('{table}_files'), union_by_name = true{days})"
        self._connection.execute(f"CREATE TEMP VIEW {table} AS {staged} UNION ALL BY NAME {empty}")


def finding(
    cause: str,
    detail: str,
    count: int,
    files: int = 0,
    spots: tuple[Spot, ...] = (),
    rows: tuple[dict[str, Any], ...] = (),
) -> Finding:
    """A finding, with what is said of its cause."""
    known = CAUSES[cause]
    return Finding(cause, detail, count, files, known.said(count, detail), known.advice, spots, rows)


@contextmanager
def looking(settings: Settings, state: State, limit: int) -> Iterator[Look]:
    """A look at what is staged; what does not fit into memory goes to a folder that is removed."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="ecom-diagnose-") as folder:
        config: dict[str, Any] = {
            "threads": settings.threads,
            "memory_limit": settings.memory_limit,
            "temp_directory": folder,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            yield Look(state, connection, limit)
