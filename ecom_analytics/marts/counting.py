"""How many rows each model reads and writes: DuckDB's profile of every statement that dbt runs for a node."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

SETTINGS = """
SET enable_profiling = 'no_output';
SET custom_profiling_settings = '{"OPERATOR_CARDINALITY": "true", "OPERATOR_TYPE": "true"}'
"""
WRITERS = {"CREATE_TABLE_AS", "BATCH_CREATE_TABLE_AS", "INSERT", "BATCH_INSERT"}
_TEMPORARY = re.compile(r'\s*create\s+(or\s+replace\s+)?(temp|table\s+\S+__placed"?\s)', re.IGNORECASE)
"""Tables that do not stay: dbt's own, and the rows that an incremental strategy puts aside (macro ``placed``)."""
_COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)


class Counts:
    """Rows read and written by node, added up over its statements.

    Rows read are those that come out of scans of tables and files, once for each scan: what a filter lets DuckDB skip
    is not among them. Rows written go into tables that stay.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[str, int] = defaultdict(int)
        self._written: dict[str, int] = defaultdict(int)

    def add(self, node: str, sql: str, profile: str) -> None:
        """Add what a statement did, from DuckDB's profile of it as JSON.

        Examples
        --------
        >>> counts = Counts()
        >>> scan = {"operator_type": "TABLE_SCAN", "operator_cardinality": 5}
        >>> insert = {"operator_type": "INSERT", "operator_cardinality": 1, "children": [scan]}
        >>> counts.add("a", "insert into t from s", json.dumps({"children": [insert]}))
        >>> counts.of("a")
        (5, 5)
        """
        read = written = 0
        for operator in _operators(json.loads(profile)):
            if operator["operator_type"] == "TABLE_SCAN":
                read += operator["operator_cardinality"]
            elif operator["operator_type"] in WRITERS:
                written += sum(child["operator_cardinality"] for child in operator.get("children", ()))
        if _TEMPORARY.match(_COMMENTS.sub("", sql)):
            written = 0
        with self._lock:
            self._read[node] += read
            self._written[node] += written

    def of(self, node: str) -> tuple[int | None, int | None]:
        """Rows read and written by a node; None if no statement of it was counted."""
        with self._lock:
            return self._read.get(node), self._written.get(node)


def count() -> Counts:
    """Count from now on what dbt runs in this process."""
    from dbt.adapters.duckdb.environments import local
    from dbt_common.events.contextvars import get_node_info

    counts = Counts()

    class Cursor(local.DuckDBCursorWrapper):  # type: ignore[misc]
        counts_now = False

        def execute(self, sql: str, bindings: Any = None) -> Any:
            node = get_node_info().get("unique_id", "")
            if bindings is not None or not node.startswith("model."):
                return super().execute(sql, bindings)
            if not self.counts_now:
                self._cursor.execute(SETTINGS)
                self.counts_now = True
            done = None
            for statement in self._cursor.extract_statements(sql):  # a profile is of the last statement only
                done = super().execute(statement)
                if statement.type.name in {"CREATE", "INSERT", "DELETE"}:
                    counts.add(node, statement.query, self._cursor.get_profiling_information(format="json"))
            return done

    local.DuckDBCursorWrapper = Cursor
    return counts


def _operators(profile: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in profile.get("children", ()):
        if "operator_type" in child:
            yield child
        yield from _operators(child)
