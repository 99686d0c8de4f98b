"""Metrics over ranges, by days, weeks and months, and by dimensions: always by the formulas of the build."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from ecom_analytics.answers.asking import Ask
from ecom_analytics.answers.filters import DIMENSIONS, LINE, Relation, UntoldError
from ecom_analytics.answers.ranges import Range, bucket_start
from ecom_analytics.metrics import Metric

NO_PRICES = "this data has no prices"
SEVERAL_CURRENCIES = "this data has several currencies, and amounts in different ones are not added"

_DURING = re.compile(r"(\w+) between \$start and \$end")
_BY_DAY = {
    "visitors": "visitors", "sessions": "sessions", "events": "events", "views": "views",
    "add_to_carts": "add_to_carts", "purchasers": "purchasers", "converting_sessions": "converting_sessions",
    "transactions": "transactions", "units": "quantity", "net_value": "net_value",
}  # fmt: skip
"""Metric → its column of the mart ``daily``."""

_OF_WHOLE = ("gross_value", "refunds", "net_value")
"""Amounts of whole transactions: not of the lines of one category."""

_OF_LINES = {
    "units": "case when count(*) = 0 then 0 else sum(quantity) end",
    "transactions": "count(DISTINCT concat(source, '|', transaction_id))",
}
"""The same by the lines of transactions, for where lines are told apart."""

_VISIT_DAYS = (
    "SELECT source, visitor_id, {dimensions} session_date AS date FROM {sql} AS s "
    "UNION ALL SELECT source, visitor_id, {dimensions} "
    "CAST(unnest(generate_series(session_date + INTERVAL 1 DAY, session_end_date, INTERVAL 1 DAY)) AS DATE) "
    "FROM {sql} AS s WHERE session_end_date > session_date"
)


class Source(NamedTuple):
    """What a metric is read from: a mart, by its rows of which days."""

    mart: str
    during: str


class Measures:
    """The metrics of one question's build, filtered as the question says.

    Parameters
    ----------
    ask : Ask
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._metrics = ask.metrics

    def definition(self, name: str) -> dict[str, Any]:
        """Label, definition and unit of a metric, as the build carries them."""
        known = self._metrics[name]
        unit = known.unit if known.unit in ("money", "ratio") else "count"
        return {"label": known.label, "definition": known.description, "unit": unit}

    def reason(self, name: str, *dimensions: str) -> str | None:
        """Why a metric cannot be told, of these data or by these filters and dimensions; None if it can."""
        known = self._metrics[name]
        if not known.available:
            return self._lacking(known)
        for part in self._parts([name]):
            try:
                self._relation(part, *dimensions)
            except UntoldError as error:
                dimension = DIMENSIONS.get(error.dimension, error.dimension).lower()
                return f"{known.label.lower()} cannot be told by {dimension}"
        return None

    def _lacking(self, known: Metric) -> str:
        lacking = [name for name in known.requires.split(",") if name and name not in self._ask.capable]
        if "values" in lacking:
            return SEVERAL_CURRENCIES if "unit_price" in self._ask.capable else NO_PRICES
        words = " and ".join(name.replace("_", " ") for name in lacking) or "what it is made of"
        return f"this data has no {words}"

    def totals(self, names: Iterable[str], days: Range) -> dict[str, Any]:
        """Metrics over a range; None for what cannot be told."""
        told = [name for name in names if self.reason(name) is None]
        parts, found = self._parts(told), {}
        if not self._ask.filters:
            added = [part for part in parts if part in _BY_DAY and self._metrics[part].additivity == "all"]
            parts = [part for part in parts if part not in added]
            found = self._sum_of_days(added, days) if added else {}
        for source, together in self._grouped(parts):
            found |= self._total(source, together, days)
        return {name: self._value(name, found) if name in told else None for name in names}

    def _sum_of_days(self, names: Sequence[str], days: Range) -> dict[str, Any]:
        """What adds up over days, from the mart ``daily``; tests of the build prove that both are the same."""
        sums = ", ".join(f"sum({_BY_DAY[name]}) AS {name}" for name in names)
        [row] = self._ask.rows(
            f"SELECT count(*) AS days, {sums} FROM daily WHERE date BETWEEN $start AND $end", self._ask.between(days)
        )
        return {name: row[name] if row["days"] else 0 for name in names}

    def _total(self, source: Source, names: list[str], days: Range) -> dict[str, Any]:
        if names == ["visitors"] and self._counted_by_day:
            return {"visitors": self._visitors(days, "day")[0]}
        relation = self._relation(names[0])
        [row] = self._ask.rows(
            f"SELECT {self._formulas(names)} FROM {relation.sql} AS {source.mart} WHERE {source.during}",
            {**relation.values, **self._ask.between(days)},
        )
        return row

    def series(self, names: Sequence[str], days: Range, grain: str = "day") -> dict[str, list[dict[str, Any]]]:
        """Metrics in every day, week or month: 0 where nothing happened, None where a ratio has no denominator.

        Returns
        -------
        dict
            Name → points ``{"date", "value"}`` by the first day that the point is of.
        """
        told = [name for name in names if self.reason(name) is None]
        found: dict[date, dict[str, Any]] = {}
        parts = self._parts(told)
        simple = grain == "day" and not self._ask.filters and all(part in _BY_DAY for part in parts)
        if simple and parts:
            self._merge(found, self._of_daily(parts, days), parts)
        elif parts:
            for source, together in self._grouped(parts):
                self._merge(found, self._by_bucket(source, together, days, grain), together)
        starts = [(bucket.first, bucket_start(bucket.first, grain)) for bucket in days.buckets(grain)]
        return {
            name: [{"date": start, "value": self._value(name, found.get(bucket, {}))} for start, bucket in starts]
            if name in told
            else []
            for name in names
        }

    def by(self, names: Sequence[str], dimension: str, days: Range) -> dict[Any, dict[str, Any]]:
        """Metrics told apart by a dimension: value → name → value. None for what cannot be told."""
        told = [name for name in names if self.reason(name, dimension) is None]
        found: dict[Any, dict[str, Any]] = {}
        for source, together in self._grouped(self._parts(told), dimension):
            relation = self._relation(together[0], dimension)
            rows = self._ask.rows(
                f"SELECT {dimension} AS key, {self._formulas(together, dimension)} FROM {relation.sql} "
                f"AS {source.mart} WHERE {source.during} GROUP BY ALL",
                {**relation.values, **self._ask.between(days)},
            )
            self._merge(found, {row["key"]: row for row in rows}, together)
        return {
            key: {name: self._value(name, row) if name in told else None for name in names}
            for key, row in found.items()
        }

    def split(self, name: str, dimension: str, days: Range, grain: str) -> dict[Any, dict[date, Any]]:
        """A metric by the values of a dimension, and in every bucket: value → first day of the bucket → value."""
        found: dict[Any, dict[date, dict[str, Any]]] = {}
        parts = self._parts([name])
        for source, together in self._grouped(parts, dimension):
            relation, column = self._dated(source, together[0], dimension)
            rows = self._ask.rows(
                f"SELECT {dimension} AS key, {bucket_sql(column, grain)} AS date, "
                f"{self._formulas(together, dimension)} FROM {relation.sql} AS {source.mart} "
                f"WHERE {column} BETWEEN $start AND $end GROUP BY ALL",
                {**relation.values, **self._ask.between(days)},
            )
            for row in rows:
                known = found.setdefault(row["key"], {}).setdefault(row["date"], {})
                known |= {part: row[part] for part in together}
        return {key: {day: self._value(name, row) for day, row in by_day.items()} for key, by_day in found.items()}

    # How a metric is computed

    @property
    def _counted_by_day(self) -> bool:
        """Whether visitors can be counted without reading sessions."""
        return not (self._ask.filters.values.keys() - {"source"})

    def _visitors(self, days: Range, grain: str) -> tuple[int, dict[date, int]]:
        """Visitors of a range, and of each bucket of it, from the mart ``daily_visitors``."""
        filters = self._ask.filters
        where = "date BETWEEN $start AND $end" + ("" if filters.bots else " AND NOT is_bot")
        if "source" in filters:
            where += " AND list_contains($only_source, source)"
        rows = self._ask.rows(
            "SELECT bucket, sum(visitors) FILTER (date_before IS NULL OR date_before < $start) AS first_of_all, "
            "sum(visitors) FILTER (date_before IS NULL OR date_before < greatest(bucket, $start)) AS visitors "
            f"FROM (SELECT *, {bucket_sql('date', grain)} AS bucket FROM daily_visitors WHERE {where}) AS counted "
            "GROUP BY bucket",
            {**self._ask.between(days), "only_source": list(filters.values.get("source", ()))},
        )
        by_bucket = {row["bucket"]: int(row["visitors"] or 0) for row in rows}
        return sum(int(row["first_of_all"] or 0) for row in rows), by_bucket

    def _of_daily(self, parts: Sequence[str], days: Range) -> dict[date, dict[str, Any]]:
        columns = ", ".join(f"{_BY_DAY[part]} AS {part}" for part in parts)
        rows = self._ask.rows(
            f"SELECT date, {columns} FROM daily WHERE date BETWEEN $start AND $end", self._ask.between(days)
        )
        return {row["date"]: row for row in rows}

    def _by_bucket(self, source: Source, names: list[str], days: Range, grain: str) -> dict[date, dict[str, Any]]:
        if names == ["visitors"] and self._counted_by_day:
            return {day: {"visitors": count} for day, count in self._visitors(days, grain)[1].items()}
        relation, column = self._dated(source, names[0])
        rows = self._ask.rows(
            f"SELECT {bucket_sql(column, grain)} AS date, {self._formulas(names)} FROM {relation.sql} AS {source.mart} "
            f"WHERE {column} BETWEEN $start AND $end GROUP BY ALL",
            {**relation.values, **self._ask.between(days)},
        )
        return {row["date"]: row for row in rows}

    def _dated(self, source: Source, name: str, *dimensions: str) -> tuple[Relation, str]:
        """The relation of a metric, and its column of the day."""
        relation = self._relation(name, *dimensions)
        named = _DURING.fullmatch(source.during)
        if named:
            return relation, named[1]
        # Visitors are of every day of their sessions.
        more = "".join(f"{dimension}, " for dimension in dimensions)
        return Relation(f"({_VISIT_DAYS.format(sql=relation.sql, dimensions=more)})", relation.values), "date"

    def _relation(self, name: str, *dimensions: str) -> Relation:
        line = next((one for one in (*self._ask.filters.values, *dimensions) if one in LINE), None)
        if line and name in _OF_WHOLE:
            raise UntoldError(line)
        return self._ask.filters.relation(self._source(name, *dimensions).mart, *dimensions)

    def _by_line(self, name: str, *dimensions: str) -> bool:
        shown = any(one in LINE for one in dimensions)
        return name in _OF_LINES and (shown or (self._ask.filters.of_lines and name != "transactions"))

    def _source(self, name: str, *dimensions: str) -> Source:
        if self._by_line(name, *dimensions):
            return Source("transaction_lines", "event_date between $start and $end")
        metric = self._metrics[name]
        return Source(str(metric.mart), str(metric.during))

    def _formulas(self, names: Iterable[str], *dimensions: str) -> str:
        def formula(name: str) -> str:
            return _OF_LINES[name] if self._by_line(name, *dimensions) else self._metrics[name].formula

        return ", ".join(f"{formula(name)} AS {name}" for name in names)

    def _grouped(self, names: Iterable[str], *dimensions: str) -> list[tuple[Source, list[str]]]:
        """The metrics that one query can answer."""
        found: dict[Source, list[str]] = {}
        for name in names:
            found.setdefault(self._source(name, *dimensions), []).append(name)
        return list(found.items())

    def _parts(self, names: Iterable[str]) -> list[str]:
        """The metrics with a formula of their own that these are made of."""
        found: dict[str, None] = {}
        for name in names:
            metric = self._metrics[name]
            if metric.numerator is None or metric.denominator is None:
                found[name] = None
            else:
                found |= dict.fromkeys(self._parts([metric.numerator, metric.denominator]))
        return list(found)

    def _value(self, name: str, found: Mapping[str, Any]) -> Any:
        metric = self._metrics[name]
        if metric.numerator is None:
            return found.get(name, 0)
        part, whole = self._value(metric.numerator, found), self._value(metric.denominator or "", found)
        return None if part is None or not whole else float(part) / float(whole)

    @staticmethod
    def _merge(into: dict[Any, dict[str, Any]], rows: Mapping[Any, Mapping[str, Any]], names: Sequence[str]) -> None:
        for key, row in rows.items():
            into.setdefault(key, {}).update({name: row[name] for name in names})


def bucket_sql(column: str, grain: str) -> str:
    """The first day of the week or month of a column, in SQL: :func:`~.ranges.bucket_start` in Python."""
    return column if grain == "day" else f"CAST(date_trunc('{grain}', {column}) AS DATE)"
