"""What a metric is made up of: by the values of a dimension, by weekday and hour, by size."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from ecom_analytics.answers.about import WEEKDAYS, keyed, labelled
from ecom_analytics.answers.asking import Answer, Ask, Column, change
from ecom_analytics.answers.figures import known_metric
from ecom_analytics.answers.filters import DIMENSIONS, UntoldError
from ecom_analytics.answers.measures import Measures


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
            "key": key if dimension in ("weekday", "hour") else keyed(key),
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
