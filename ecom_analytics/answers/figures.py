"""Key figures, and their course."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import zip_longest
from typing import Any

from ecom_analytics.answers.about import keyed, labelled
from ecom_analytics.answers.asking import Answer, Ask, Column, change
from ecom_analytics.answers.filters import DIMENSIONS
from ecom_analytics.answers.measures import Measures
from ecom_analytics.answers.parameters import BadParametersError, bad
from ecom_analytics.answers.ranges import Range, as_long, bucket_start, over

KPIS = ("visitors", "sessions", "transactions", "session_conversion_rate", "net_value", "aov")
OF_LINES = ("views", "add_to_carts", "transactions", "purchasers", "units", "revenue")
"""The key figures of some products: visits are not told apart by product."""

MOST_SHOWN = 6
"""Values that a course is split into; the others are one, where they add up."""

CARDS = (
    Column("name", "Name"),
    Column("label", "Metric"),
    Column("unit", "Unit"),
    Column("value", "Value", "number"),
    Column("previous", "Compared with", "number"),
    Column("change", "Change", "number", "ratio"),
    Column("reason", "Why there is none"),
)


def kpis(ask: Ask) -> Answer:
    """The key figures of a range, with those it is compared with."""
    measures, days = Measures(ask), ask.range
    names = OF_LINES if ask.filters.of_lines else KPIS
    finished, base = over(days, ask.open_day), ask.known_base
    now, before = measures.totals(names, days), measures.totals(names, base) if base else {}
    # What is not over yet is left out of changes: days that are over are compared with as many.
    whole, whole_base = (now, before) if finished == days else ({}, {})
    meant = as_long(base, finished, days) if base and finished else None
    if base and finished and meant and finished != days:
        whole, whole_base = measures.totals(names, finished), measures.totals(names, meant)
    course = measures.series(names, days, ask["grain"])
    cards = []
    for name in names:
        reason = measures.reason(name)
        cards.append(
            {
                "name": name,
                **measures.definition(name),
                "value": now[name],
                "available": reason is None,
                "reason": reason,
                "previous": before.get(name),
                "change": change(whole.get(name), whole_base.get(name)),
                "series": course[name],
            }
        )
    facts = {
        "change_range": finished.to_dict() if meant and finished and finished != days else None,
        "change_compare_range": meant.to_dict() if meant and finished != days else None,
    }
    return Answer(cards, CARDS, facts=facts)


def timeseries(ask: Ask) -> Answer:
    """A metric by day, week or month."""
    measures, days, grain = Measures(ask), ask.range, ask["grain"]
    name = known_metric(ask, ask["metric"])
    if ask["split"]:
        return _split(ask, measures, name)
    reason = measures.reason(name)
    points = _pointed(ask, measures.series([name], days, grain)[name], days)
    base = ask.known_base or ask.compared
    previous = measures.series([name], base, grain)[name] if base and not reason else []
    first = ask.span[0] if ask.span else None
    for point in previous:
        if first and point["date"] < first:
            point["value"] = None
    data = {"metric": name, **measures.definition(name), "grain": grain, "available": reason is None, "reason": reason}
    shown: Iterable[tuple[dict[str, Any], dict[str, Any]]] = zip_longest(points, previous, fillvalue={})
    both = [
        {**now, **({"previous_date": then.get("date"), "previous_value": then.get("value")} if base else {})}
        for now, then in shown
    ]
    unit = data["unit"]
    columns = [
        Column("date", {"day": "Day", "week": "Week from", "month": "Month from"}[grain], "day"),
        Column("value", data["label"], "number", unit),
        Column("complete", "Over", "flag"),
    ]
    if base:
        columns += [
            Column("previous_date", "Compared with", "day"),
            Column("previous_value", "Value then", "number", unit),
        ]
    data |= {"points": points, "previous_points": previous}
    return Answer(data, columns, rows=both)


def _pointed(ask: Ask, points: list[dict[str, Any]], days: Range) -> list[dict[str, Any]]:
    """Each point with whether its days are over."""
    ends = [bucket.last for bucket in days.buckets(ask["grain"])]
    last = ask.span[1] if ask.span else None
    return [{**point, "complete": _is_over(end, ask.open_day, last)} for point, end in zip(points, ends, strict=False)]


def _is_over(end: date, open_day: date | None, last: date | None) -> bool:
    return end < open_day if open_day else last is None or end <= last


def _split(ask: Ask, measures: Measures, name: str) -> Answer:
    """The course of a metric by the values of a dimension: the largest ones, and the rest together if it adds up."""
    dimension, days, grain = ask["split"], ask.range, ask["grain"]
    reason = measures.reason(name, dimension)
    found = {} if reason else measures.split(name, dimension, days, grain)
    adds_up = ask.metrics[name].additivity == "all"
    ordered = sorted(found, key=lambda key: (-sum(float(v or 0) for v in found[key].values()), str(key)))
    shown, others = (ordered, []) if len(ordered) <= MOST_SHOWN else (ordered[:MOST_SHOWN], ordered[MOST_SHOWN:])
    nothing = None if ask.metrics[name].numerator else 0
    buckets = [(bucket.first, bucket_start(bucket.first, grain)) for bucket in days.buckets(grain)]

    def points(keys: list[Any]) -> list[dict[str, Any]]:
        return [
            {"date": first, "value": _sum([found[key].get(start, nothing) for key in keys])} for first, start in buckets
        ]

    series: list[dict[str, Any]] = [
        {"key": keyed(key), "label": labelled(dimension, key), "points": points([key])} for key in shown
    ]
    if others and adds_up:
        series.append({"key": None, "label": f"{len(others)} others", "points": points(others)})
    data: dict[str, Any] = {
        "metric": name,
        **measures.definition(name),
        "grain": grain,
        "split": dimension,
        "available": reason is None,
        "reason": reason,
        "points": [],
        "previous_points": [],
        "series": series,
    }
    rows = [{"key": one["label"], **point} for one in series for point in one["points"]]
    columns = (
        Column("key", DIMENSIONS.get(dimension, "Customers")),
        Column("date", "Day", "day"),
        Column("value", data["label"], "number", data["unit"]),
    )
    return Answer(data, columns, rows=rows)


def _sum(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else sum(value or 0 for value in values)


def known_metric(ask: Ask, name: str) -> str:
    """The metric, if the build has it.

    Raises
    ------
    BadParametersError
    """
    if name not in ask.metrics:
        raise BadParametersError([bad("metric", name, ", ".join(ask.metrics))])
    return name
