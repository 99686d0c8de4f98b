"""Who comes back, who buys again, and what they are worth."""

from __future__ import annotations

from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column
from ecom_analytics.answers.measures import Measures

MEASURES = {
    "rate": ("Share that came back", "ratio"),
    "people": ("Came back", "count"),
    "revenue": ("Net order value", "money"),
    "ltv": ("Net order value by customer so far", "money"),
}
COHORTS = (
    Column("cohort", "Cohort", "day"),
    Column("period", "Period", "whole"),
    Column("period_start", "Begins", "day"),
    Column("users", "Customers", "whole", "count"),
    Column("value", "Value", "number"),
    Column("is_complete", "Over", "flag"),
)
_SUMS = {
    "rate": "sum({active})",
    "people": "CAST(sum({active}) AS BIGINT)",
    "revenue": "sum(net_value)",
    "ltv": "sum(net_value_to_date)",
}
_BY_PERSON = ("rate", "ltv")
"""Measures that are a sum divided by the customers of the cohort."""
_ACTIVE = {"on": "active", "on_or_after": "active_on_or_after"}
MOST_PERIODS = 60


def cohorts(ask: Ask) -> Answer:
    """The newest cohorts by their periods; a cell that cannot be observed yet is None, and its part of averages too."""
    measure, mode = ask["measure"], ask["mode"]
    label, unit = MEASURES[measure]
    data: dict[str, Any] = {name: ask[name] for name in ("kind", "cohort_grain", "measure", "mode")}
    data |= {"label": label, "unit": unit}
    reason = Measures(ask).reason("net_value") if unit == "money" else None
    named = [name for name in ask.filters.values if name != "source"]
    if named or not ask.filters.bots:
        reason = f"cohorts cannot be told by {named[0].replace('_', ' ') if named else 'bots'}"
    if reason:
        return Answer({**data, "available": False, "reason": reason, "cohorts": [], "averages": []}, COHORTS, rows=[])
    where = "kind = $kind AND grain = $grain" + (
        " AND list_contains($only_source, source)" if "source" in ask.filters else ""
    )
    values = {
        "kind": ask["kind"],
        "grain": ask["cohort_grain"],
        "only_source": list(ask.filters.values.get("source", ())),
        "most": ask["limit"],
        "periods": MOST_PERIODS,
    }
    part = _SUMS[measure].format(active=_ACTIVE[mode])
    value = f"{part} / sum(users)" if measure in _BY_PERSON else part
    rows = ask.rows(
        f"SELECT cohort, period, min(period_start) AS period_start, bool_and(is_complete) AS is_complete, "
        f"CAST(sum(users) AS BIGINT) AS users, {value} AS value, {part} AS part "
        f"FROM cohorts WHERE {where} AND period < $periods AND cohort IN "
        f"(SELECT DISTINCT cohort FROM cohorts WHERE {where} ORDER BY cohort DESC LIMIT $most) "
        "GROUP BY cohort, period ORDER BY cohort DESC, period",
        values,
    )
    by_cohort: dict[Any, dict[str, Any]] = {}
    for row in rows:
        one = by_cohort.setdefault(row["cohort"], {"cohort": row["cohort"], "users": row["users"], "cells": []})
        one["cells"].append({key: row[key] for key in ("period", "period_start", "is_complete", "value")})
    data |= {
        "available": True,
        "reason": None,
        "cohorts": list(by_cohort.values()),
        "averages": _averages(rows, measure),
    }
    table = [{column.name: row[column.name] for column in COHORTS} for row in rows]
    columns = [Column("value", label, "number", unit) if column.name == "value" else column for column in COHORTS]
    return Answer(data, columns, rows=table)


def _averages(rows: list[dict[str, Any]], measure: str) -> list[dict[str, Any]]:
    """Of each period, over the customers of the cohorts that could be observed in the whole of it."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["is_complete"] and row["part"] is not None:
            found.setdefault(row["period"], []).append(row)
    averages = []
    for period, cells in sorted(found.items()):
        users = sum(cell["users"] for cell in cells)
        parts = sum(cell["part"] for cell in cells)
        by = users if measure in _BY_PERSON else len(cells)
        averages.append({"period": period, "value": float(parts) / by if by else None, "users": users})
    return averages


RFM = (
    Column("segment", "Segment"),
    Column("customers", "Customers", "whole", "count"),
    Column("share", "Share", "number", "ratio"),
    Column("transactions", "Transactions", "whole", "count"),
    Column("net_value", "Net order value", "number", "money"),
    Column("value_share", "Share of value", "number", "ratio"),
    Column("recency_days", "Days since the last one", "number", "count"),
    Column("frequency", "Transactions each", "number", "count"),
)


def rfm(ask: Ask) -> Answer:
    """Customers by segment, as of the last event of the data."""
    named = [name for name in ask.filters.values if name not in ("source", "segment")]
    if named or not ask.filters.bots:
        reason = f"segments cannot be told by {named[0].replace('_', ' ') if named else 'bots'}"
        return Answer({"available": False, "reason": reason, "rows": []}, RFM, rows=[])
    relation = ask.relation("rfm")
    valued = Measures(ask).reason("net_value") is None
    rows = ask.rows(
        "SELECT segment, count(*) AS customers, count(*) / sum(count(*)) OVER () AS share, "
        "CAST(sum(frequency) AS BIGINT) AS transactions, "
        f"{'sum(monetary)' if valued else 'NULL'} AS net_value, "
        f"{'CAST(sum(monetary) AS DOUBLE) / nullif(sum(sum(monetary)) OVER (), 0)' if valued else 'NULL'} "
        "AS value_share, avg(recency_days) AS recency_days, avg(frequency) AS frequency "
        f"FROM {relation.sql} AS mart GROUP BY segment ORDER BY customers DESC, segment",
        relation.values,
    )
    return Answer({"available": True, "reason": None, "rows": rows}, RFM, rows=rows)
