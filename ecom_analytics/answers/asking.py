"""One question to one build: its parameters, its ranges, its filters, and the rows of its queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Protocol

from ecom_analytics import metrics
from ecom_analytics.answers import parameters, ranges
from ecom_analytics.answers.filters import Filters, Relation
from ecom_analytics.answers.parameters import BadParametersError, Parameter
from ecom_analytics.answers.ranges import Range
from ecom_analytics.warehouse import Build, parameters_of

_BEFORE_ALL = date(1970, 1, 1)


class Marts(Protocol):
    """A published build that can be asked."""

    build: Build
    memo: dict[str, Any]
    """What was found out of the build before: a build never changes."""

    def rows(self, sql: str, parameters: Any = ()) -> list[dict[str, Any]]:
        """All rows of a query."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer.

    Attributes
    ----------
    name, label : str
    type : str
        ``text``, ``day``, ``time``, ``whole``, ``number`` or ``flag``.
    unit : str
        ``count``, ``money``, ``ratio`` or nothing.
    """

    name: str
    label: str
    type: str = "text"
    unit: str = ""

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "label": self.label, "type": self.type, "unit": self.unit}


@dataclass(frozen=True)
class Answer:
    """What a route found out.

    Attributes
    ----------
    data : object
        What the JSON answer holds.
    columns : sequence of Column
        What is in its rows, in the order in which they are shown.
    rows : list of dict, optional
        The rows that a table and the CSV twin show; by default ``data``.
    more : str, optional
        Where the next page of a list begins.
    facts : dict
        What stands in ``meta`` beside what is the same for all.
    """

    data: Any
    columns: Sequence[Column] = ()
    rows: Sequence[dict[str, Any]] | None = None
    more: str | None = None
    facts: Mapping[str, Any] | None = None

    @property
    def table(self) -> Sequence[dict[str, Any]]:
        rows: Sequence[dict[str, Any]] = self.data if self.rows is None else self.rows
        return rows


class Ask:
    """One question to one build.

    Parameters
    ----------
    marts : Marts
    declared : sequence of Parameter
        The parameters that the route knows.
    given : mapping
        Name → texts, as in a query string.
    path : mapping, optional
        What the path of the route names.

    Raises
    ------
    BadParametersError
    """

    def __init__(
        self,
        marts: Marts,
        declared: Sequence[Parameter],
        given: Mapping[str, Sequence[str]],
        path: Mapping[str, str] | None = None,
    ) -> None:
        self.marts = marts
        self.info = marts.build.info
        self.path = dict(path or {})
        self.values, wrong = parameters.read(declared, given)
        names = {parameter.name for parameter in declared}
        self.days: Range | None = None
        self.compared: Range | None = None
        bounds = self.span or (_BEFORE_ALL, _BEFORE_ALL)
        if "period" in names:
            self.days = ranges.chosen(self.values, *bounds, wrong)
        if "compare" in names and self.days is not None:
            self.compared = ranges.compared(self.values, self.days, wrong)
        if wrong:
            raise BadParametersError(wrong)
        self.filters = Filters.read(self.values, self.zone, self._told_channels if self._names_channel else ())

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def range(self) -> Range:
        assert self.days is not None, "the route has no range"
        return self.days

    @property
    def zone(self) -> str:
        return str(self.info.get("timezone", "UTC"))

    @cached_property
    def open_day(self) -> date | None:
        """The day that is not over yet."""
        return ranges.open_day(self.info.get("as_of"), self.zone)

    @cached_property
    def span(self) -> tuple[date, date] | None:
        """The first and the last day of the data."""
        if "span" not in self.marts.memo:
            [row] = self.marts.rows("SELECT min(date) AS first, max(date) AS last FROM daily")
            self.marts.memo["span"] = (row["first"], row["last"]) if row["first"] is not None else None
        found: tuple[date, date] | None = self.marts.memo["span"]
        return found

    @property
    def known_base(self) -> Range | None:
        """What to compare with, if the data reach back so far: days before the first one are not empty, but unknown."""
        if self.compared is None or self.span is None or self.compared.first < self.span[0]:
            return None
        return self.compared

    @cached_property
    def metrics(self) -> dict[str, metrics.Metric]:
        if "metrics" not in self.marts.memo:
            self.marts.memo["metrics"] = metrics.catalogue(self.rows)
        found: dict[str, metrics.Metric] = self.marts.memo["metrics"]
        return found

    @cached_property
    def capable(self) -> set[str]:
        """What any source of the data can tell: the mart ``capabilities``."""
        return {name for names in self.info.get("capabilities", {}).values() for name in names}

    @property
    def _names_channel(self) -> bool:
        return bool(self.values.get("channel")) or "channel" in (*self.path.values(), self.values.get("split"))

    @cached_property
    def _told_channels(self) -> tuple[str, ...]:
        known = self.info.get("capabilities", {}).items()
        return tuple(source for source, names in known if {"traffic_source", "medium", "campaign"} & set(names))

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """All rows of a query with the parameters that it names."""
        named = parameters_of(sql)
        return self.marts.rows(sql, {name: value for name, value in (values or {}).items() if name in named})

    def relation(self, mart: str, *dimensions: str) -> Relation:
        """A mart as the filters let it through, with a column for each dimension.

        Raises
        ------
        UntoldError
        """
        return self.filters.relation(mart, *dimensions)

    def between(self, days: Range | None = None) -> dict[str, date]:
        """The parameters ``start`` and ``end``."""
        days = days or self.range
        return {"start": days.first, "end": days.last}


def change(value: Any, previous: Any) -> float | None:
    """The relative change; None when there is no base.

    Examples
    --------
    >>> change(120, 100), change(1, 0), change(None, 3)
    (0.2, None, None)
    """
    if value is None or not previous:
        return None
    return float(value - previous) / float(previous)
