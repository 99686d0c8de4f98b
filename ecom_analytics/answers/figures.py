"""Key figures, their course, and what they are made up of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from ecom_analytics.answers.about import WEEKDAYS, labelled
from ecom_analytics.answers.asking import Answer, Ask, Column, change
from ecom_analytics.answers.filters import DIMENSIONS
from ecom_analytics.answers.measures import Measures
from ecom_analytics.answers.parameters import BadParametersError, bad
from ecom_analytics.answers.ranges import Range, as_long, over

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
    buckets = [(bucket.first, _start(bucket.first, grain)) for bucket in days.buckets(grain)]

    def points(keys: list[Any]) -> list[dict[str, Any]]:
        return [
            {"date": first, "value": _sum([found[key].get(start, nothing) for key in keys])} for first, start in buckets
        ]

    series: list[dict[str, Any]] = [
        {"key": _key(key), "label": labelled(dimension, key), "points": points([key])} for key in shown
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


def _start(day: date, grain: str) -> date:
    from ecom_analytics.answers.ranges import bucket_start

    return bucket_start(day, grain)


def _key(key: Any) -> str:
    return "" if key is None else str(key)


def known_metric(ask: Ask, name: str) -> str:
    """The metric, if the build has it.

    Raises
    ------
    BadParametersError
    """
    if name not in ask.metrics:
        raise BadParametersError([bad("metric", name, ", ".join(ask.metrics))])
    return name


def breakdown(ask: Ask) -> Answer:
    """A metric by the values of a dimension."""
    measures, dimension, days = Measures(ask), ask.path["dimension"], ask.range
    name = known_metric(ask, ask["metric"])
    if dimension in ("order_value", "orders_per_customer"):
        return _histogram(ask, measures, dimension)
    if dimension == "weekday_hour":
        return _heat(ask, measures, name)
    reason = measures.reason(name, dimension)
    found = {} if reason else {key: row[name] for key, row in measures.by([name], dimension, days).items()}
    base = ask.known_base
    before = {} if reason or not base else {k: row[name] for k, row in measures.by([name], dimension, base).items()}
    ordered: list[Any] = sorted(found, key=lambda key: (-float(found[key] or 0), str(key)))
    if dimension in ("weekday", "hour"):
        ordered = [] if reason else list(range(1, 8) if dimension == "weekday" else range(24))
    adds_up = ask.metrics[name].additivity == "all"
    nothing = None if ask.metrics[name].numerator else 0
    total = sum(float(value or 0) for value in found.values()) if adds_up else None
    counts = [day.isoweekday() for day in days.days] if dimension == "weekday" else []
    rows = []
    for key in ordered[: None if dimension in ("weekday", "hour") else ask["limit"]]:
        value = found.get(key, nothing)
        was = before.get(key, nothing) if base else None
        row = {
            "key": key if dimension in ("weekday", "hour") else _key(key),
            "label": labelled(dimension, key),
            "value": value,
            "share": float(value or 0) / total if total else None,
            "previous": was,
            "change": change(value, was),
        }
        rows.append({**row, "days": counts.count(key)} if dimension == "weekday" else row)
    definition = measures.definition(name)
    data = {"dimension": dimension, "metric": name, **definition, "available": reason is None, "reason": reason}
    unit = definition["unit"]
    columns = [
        Column("key", "Key"),
        Column("label", DIMENSIONS.get(dimension, "Customers")),
        Column("value", definition["label"], "number", unit),
        Column("share", "Share", "number", "ratio"),
    ]
    if base:
        columns += [Column("previous", "Compared with", "number", unit), Column("change", "Change", "number", "ratio")]
    if dimension == "weekday":
        columns.append(Column("days", "Days", "whole", "count"))
    return Answer(data | {"rows": rows, "others": max(len(ordered) - len(rows), 0)}, columns, rows=rows)


def _heat(ask: Ask, measures: Measures, name: str) -> Answer:
    """A metric by weekday and hour, all 168 of them."""
    from ecom_analytics.answers.filters import UntoldError

    metric, reason = ask.metrics[name], measures.reason(name, "weekday")
    found: dict[tuple[int, int], Any] = {}
    if reason is None:
        try:
            relation = ask.relation(str(metric.mart), "weekday", "hour")
            if metric.numerator is not None or name == "visitors":
                raise UntoldError("hour")
            rows = ask.rows(
                f"SELECT weekday, hour, {metric.formula} AS value FROM {relation.sql} AS mart WHERE {metric.during} "
                "GROUP BY ALL",
                {**relation.values, **ask.between()},
            )
            found = {(row["weekday"], row["hour"]): row["value"] for row in rows}
        except UntoldError:
            reason = f"{metric.label.lower()} cannot be told by hour"
    cells = [] if reason else [(weekday, hour) for weekday in range(1, 8) for hour in range(24)]
    shown = [
        {
            "key": f"{weekday}-{hour}",
            "label": f"{WEEKDAYS[weekday - 1]} {hour:02}:00",
            "weekday": weekday,
            "hour": hour,
            "value": found.get((weekday, hour), 0),
        }
        for weekday, hour in cells
    ]
    definition = measures.definition(name)
    data = {"dimension": "weekday_hour", "metric": name, **definition, "available": reason is None, "reason": reason}
    columns = (
        Column("key", "Key"),
        Column("label", "Weekday and hour"),
        Column("weekday", "Weekday", "whole"),
        Column("hour", "Hour", "whole"),
        Column("value", definition["label"], "number", definition["unit"]),
    )
    return Answer(data | {"rows": shown, "others": 0}, columns, rows=shown)


def _histogram(ask: Ask, measures: Measures, dimension: str) -> Answer:
    """Transactions by their value, or customers by their number of transactions."""
    of_values = dimension == "order_value"
    reason = measures.reason("net_value") if of_values else measures.reason("transactions")
    rows = [] if reason else (_by_value(ask) if of_values else _by_orders(ask))
    total = sum(row["value"] for row in rows)
    rows = [{**row, "share": row["value"] / total if total else None} for row in rows]
    label, unit = ("Transactions", "money") if of_values else ("Customers", "count")
    about = (
        "Transactions by their net order value." if of_values else "Users by their number of transactions in the range."
    )
    data: dict[str, Any] = {"dimension": dimension, "metric": "transactions", "label": label, "definition": about}
    data |= {"unit": "count", "available": reason is None, "reason": reason, "rows": rows, "others": 0}
    columns = (
        Column("key", "Key"),
        Column("from", "From", "number", unit),
        Column("to", "To less than" if of_values else "To", "number", unit),
        Column("value", label, "whole", "count"),
        Column("share", "Share", "number", "ratio"),
    )
    return Answer(data, columns, rows=rows)


def _by_value(ask: Ask) -> list[dict[str, Any]]:
    relation = ask.relation("transactions")
    values = {**relation.values, **ask.between()}
    where = "transaction_date BETWEEN $start AND $end AND net_value IS NOT NULL"
    [row] = ask.rows(
        "SELECT quantile_disc(net_value, 0.97) AS high, min(net_value) AS low "
        f"FROM {relation.sql} AS mart WHERE {where}",
        values,
    )
    if row["high"] is None:
        return []
    width = nice(max(float(row["high"]), 1.0) / 14)
    found = ask.rows(
        f"SELECT CAST(least(floor(net_value / CAST($width AS DECIMAL(18, 4))), 15) AS BIGINT) AS place, "
        f"count(*) AS value FROM {relation.sql} AS mart WHERE {where} GROUP BY 1 ORDER BY 1",
        {**values, "width": Decimal(str(width))},
    )
    counts = {entry["place"]: entry["value"] for entry in found}
    return [
        {
            "key": str(place),
            "label": None,
            "from": Decimal(str(width)) * place,
            "to": None if place == 15 else Decimal(str(width)) * (place + 1),
            "value": counts.get(place, 0),
        }
        for place in range(min(0, *counts), max(counts) + 1)
    ]


def _by_orders(ask: Ask) -> list[dict[str, Any]]:
    relation = ask.relation("transactions")
    found = ask.rows(
        "SELECT least(orders, 6) AS place, count(*) AS value FROM ("
        f"SELECT source, user_id, count(*) AS orders FROM {relation.sql} AS mart "
        "WHERE transaction_date BETWEEN $start AND $end GROUP BY source, user_id) AS customers GROUP BY 1",
        {**relation.values, **ask.between()},
    )
    counts = {entry["place"]: entry["value"] for entry in found}
    return [
        {
            "key": str(n),
            "label": f"{n} or more" if n == 6 else str(n),
            "from": n,
            "to": None if n == 6 else n,
            "value": counts.get(n, 0),
        }
        for n in range(1, 7)
        if counts
    ]


def nice(width: float) -> float:
    """The next of 1, 2 and 5 times a power of ten.

    Examples
    --------
    >>> nice(0.7), nice(3.1), nice(17)
    (1.0, 5.0, 20.0)
    """
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width - 1e-12)
