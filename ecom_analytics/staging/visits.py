"""Sessions by one sort: the rows of a chunk of days, each visitor's one after another in time.

Once they lie so, windows over the table as it lies say what windows over visitors do, and cost next to nothing: DuckDB
streams them. What makes a session is said by :func:`ecom_analytics.staging.expressions.with_breaks` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache

from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.staging.expressions import identical_rows, with_breaks

HASHED = "hash(source, visitor_id)"
"""What rows are sorted by before their time: a number is sorted faster than text."""

_VISITOR = ("source", "visitor_id")


class Visits:
    """Rows in the order of visits, in tables of two alternating names: one may be written while the next is made.

    Parameters
    ----------
    engine : DuckDBEngine
        Holds the view ``rows``: events, and rows with ``carry``. Where old rows are among them, ``was_start`` has the
        session's start as it is staged, NULL for what is not staged as an event.
    columns : dict of str to str
        The Ibis type of each column of ``rows``, without these two.
    timeout : datetime.timedelta
    """

    def __init__(self, engine: DuckDBEngine, columns: dict[str, str], timeout: timedelta) -> None:
        self._engine = engine
        self._names = list(columns)
        self._rules = {old: _rules(tuple(columns.items()), timeout, old=old) for old in (False, True)}
        moment = {name: columns[name] for name in (*_VISITOR, "event_ts")}
        self._rule_of_tail, _ = _rules(tuple(moment.items()), timeout, old=False)
        self._number = 0
        self._old = False
        self.table = self.losers = ""

    def sort(self, *, old: bool) -> None:
        """Make the table of what ``rows`` holds now, with old rows among them or not, and find the ties."""
        self._number += 1
        self._old = old
        self.table, self.losers = f"visits_{self._number % 2}", f"losers_{self._number % 2}"
        if self._mixed_when_sorted(HASHED):
            self._mixed_when_sorted("source, visitor_id")

    def _mixed_when_sorted(self, by: str) -> bool:
        """Whether several visitors have the same hash, so that their rows may lie mixed."""
        self._engine.execute(f"CREATE OR REPLACE TABLE {self.table} AS SELECT * FROM rows ORDER BY {by}, event_ts")
        ((found,),) = self._engine.rows(
            f"CREATE OR REPLACE TABLE ties AS SELECT source, visitor_id, event_ts, mixed FROM ({self._marked()}) "
            "WHERE tied OR mixed"
        )
        return bool(found) and bool(self._engine.rows("SELECT 1 FROM ties WHERE mixed LIMIT 1"))

    def find_losers(self) -> int:
        """Make the table of identical rows that do not win, and count them."""
        sql = self._rules[self._old][1].replace('"visits"', self.table)
        ((count,),) = self._engine.rows(f"CREATE OR REPLACE TABLE {self.losers} AS {sql}")
        return int(count)

    def events(self, *more: str) -> str:
        """SQL for the events with ``session_start``, and for more columns of the table."""
        return _with_sessions(self._marked(), [*self._names, "session_start", *more])

    def visitors(self) -> str:
        """SQL for a hash of each visitor that has events in the table, once."""
        return (
            f"SELECT {HASHED} FROM (SELECT source, visitor_id, {_SAME} AS same FROM {self.table} WHERE carry IS NULL) "
            "WHERE NOT same"
        )

    def since(self, moment: str) -> str:
        """SQL for the visitors that have events since a moment: of each its last event, and its session's start."""
        self._engine.execute(
            f"CREATE OR REPLACE TABLE tail AS SELECT source, visitor_id, event_ts, carry FROM {self.table} WHERE "
            f"{HASHED} IN (SELECT {HASHED} FROM {self.table} WHERE event_ts >= {moment} AND carry IS NULL) "
            "ORDER BY source, visitor_id, event_ts"
        )
        events = _with_sessions(_marked(self._rule_of_tail, "tail"), [*_VISITOR, "event_ts", "session_start"])
        return f"SELECT * FROM ({events}) WHERE event_ts >= {moment}"

    def _marked(self) -> str:
        return _marked(self._rules[self._old][0], self.table)


def _marked(rule: str, table: str) -> str:
    """SQL for the rows of a sorted table with the session that each begins."""
    return rule.replace('"neighbours"', f"({_NEIGHBOURS.format(table)})")


_SAME = "coalesce(visitor_id = lag(visitor_id) OVER () AND source = lag(source) OVER (), false)"
_NEIGHBOURS = (
    "SELECT *, CASE WHEN same THEN lag(event_ts) OVER () END AS previous_ts, "
    f"NOT same AND coalesce({HASHED} = lag({HASHED}) OVER (), false) AS mixed "
    f"FROM (SELECT *, {_SAME} AS same FROM {{0}})"
)


def _with_sessions(marked: str, names: Sequence[str]) -> str:
    return (
        f"SELECT {', '.join(names)} FROM (SELECT *, last_value(first_of_session IGNORE NULLS) OVER "
        f"(ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS session_start FROM ({marked})) WHERE carry IS NULL"
    )


@cache
def _rules(typed: tuple[tuple[str, str], ...], timeout: timedelta, *, old: bool) -> tuple[str, str]:
    """As SQL: what each row of ``neighbours`` begins, and which events of ``visits`` lose to identical ones."""
    import ibis

    columns = dict(typed)
    own = {"carry": "timestamp(6)", **({"was_start": "timestamp(6)"} if old else {})}
    rows = columns | own
    neighbours = ibis.table({**rows, "previous_ts": "timestamp(6)", "mixed": "boolean"}, name="neighbours")
    begun = str(ibis.to_sql(with_breaks(neighbours, timeout), dialect="duckdb"))
    if "batch_id" not in columns:
        return begun, ""
    visits = ibis.table(rows, name="visits")
    ties = ibis.table({name: columns[name] for name in (*_VISITOR, "event_ts")}, name="ties")
    losers = identical_rows(visits.filter(visits.carry.isnull()).drop(*own), ties)
    return begun, str(ibis.to_sql(losers, dialect="duckdb"))
