"""Metrics by their written formulas: the catalogue that every published build carries, and the values of a range."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import EcomError
from ecom_analytics.reports import Report

if TYPE_CHECKING:
    from ecom_analytics.warehouse import Warehouse

Rows = Callable[[str, dict[str, Any]], Sequence[Mapping[str, Any]]]
"""Asks a build: SQL and its parameters to rows."""


@dataclass(frozen=True, slots=True)
class Metric(Report):
    """One row of the mart ``metrics``; its columns say what each attribute is."""

    name: str
    label: str
    description: str
    formula: str
    mart: str | None
    during: str | None
    numerator: str | None
    denominator: str | None
    unit: str
    format: str
    grain: str
    additivity: str
    null_rule: str
    requires: str
    available: bool


def catalogue(rows: Rows) -> dict[str, Metric]:
    """The metrics of a build by their names, sorted.

    Parameters
    ----------
    rows : callable
        Asks the build.
    """
    return {row["name"]: Metric(**row) for row in rows("SELECT * FROM metrics ORDER BY name", {})}


def values(
    rows: Rows, metrics: Mapping[str, Metric], names: Iterable[str], start: date, end: date
) -> dict[str, int | float | Any]:
    """Metrics of a range of days, by their formulas: one query for each mart, however many metrics there are.

    Parameters
    ----------
    rows : callable
        Asks the build.
    metrics : mapping
        As :func:`catalogue` gives them.
    names : iterable of str
    start, end : datetime.date
        First and last day, inclusive, in the store's time zone.

    Returns
    -------
    dict
        Name → value: whole numbers and :class:`~decimal.Decimal` as the mart has them, ratios as float. None for what
        the data cannot tell, and for a ratio of which the denominator is 0.

    Raises
    ------
    EcomError
        There is no such metric.
    """
    wanted = list(names)
    needed = dict.fromkeys(part for name in wanted for part in _parts(metrics, name))
    queries: dict[tuple[str | None, str | None], list[str]] = {}
    for name in needed:
        if metrics[name].available:
            queries.setdefault((metrics[name].mart, metrics[name].during), []).append(name)
    found: dict[str, Any] = {}
    for (mart, during), together in queries.items():
        columns = ", ".join(f"{metrics[name].formula} AS {name}" for name in together)
        (row,) = rows(f"SELECT {columns} FROM {mart} WHERE {during}", {"start": start, "end": end})
        found |= row
    return {name: _value(metrics[name], found) for name in wanted}


def metric_values(warehouse: Warehouse, names: Iterable[str], start: date, end: date) -> dict[str, Any]:
    """Metrics of a range of days of the served build, by their formulas in its catalogue.

    Parameters
    ----------
    warehouse : Warehouse
    names : iterable of str
        Such as ``sessions`` and ``aov``; the mart ``metrics`` lists all.
    start, end : datetime.date
        First and last day, inclusive, in the store's time zone.

    Returns
    -------
    dict
        As :func:`values`.

    Raises
    ------
    EcomError
        There is no such metric.
    NotBuiltError
        Nothing was published yet.

    Examples
    --------
    ::

        metric_values(Warehouse(Settings()), ["sessions", "aov"], date(2026, 1, 1), date(2026, 1, 31))
    """
    with warehouse.connect() as connection:

        def rows(query: str, parameters: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
            answer: Any = connection.execute(query, parameters)
            listed: list[dict[str, Any]] = answer.to_arrow_table().to_pylist()
            return listed

        return values(rows, catalogue(rows), names, start, end)


def _parts(metrics: Mapping[str, Metric], name: str) -> list[str]:
    """The metrics with a formula of their own that this one is made of."""
    if name not in metrics:
        raise EcomError(f"there is no metric {name!r}", hint=f"the metrics are {', '.join(metrics)}")
    metric = metrics[name]
    if metric.numerator is None or metric.denominator is None:
        return [name]
    return [*_parts(metrics, metric.numerator), *_parts(metrics, metric.denominator)]


def _value(metric: Metric, found: Mapping[str, Any]) -> Any:
    if not metric.available:
        return None
    if metric.numerator is None:
        return found[metric.name]
    part, whole = found[metric.numerator], found[metric.denominator or ""]
    return None if part is None or not whole else float(part) / float(whole)
