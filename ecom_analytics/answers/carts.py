"""What becomes of carts that were opened in a range."""

from __future__ import annotations

from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column, change
from ecom_analytics.answers.measures import Measures
from ecom_analytics.answers.ranges import Range

STATUSES = {
    "purchased": "Purchased",
    "recovered": "Recovered",
    "abandoned": "Abandoned",
    "emptied": "Emptied",
    "open": "Still open",
}
CARTS = (
    Column("status", "Status"),
    Column("label", "Carts"),
    Column("carts", "Count", "whole", "count"),
    Column("share", "Share", "number", "ratio"),
    Column("value", "Value left in them", "number", "money"),
    Column("previous", "Compared with", "whole", "count"),
    Column("change", "Change", "number", "ratio"),
)
RATES = ("cart_abandonment_rate", "session_cart_abandonment_rate")


def carts(ask: Ask) -> Answer:
    """Carts that were opened in the range, by what became of them; with the two rates of abandonment."""
    measures, base = Measures(ask), ask.known_base
    reason = measures.reason("carts")
    if reason:
        return Answer({"available": False, "reason": reason, "rows": [], "rates": []}, CARTS, rows=[])

    def counted(days: Range) -> dict[str, dict[str, Any]]:
        relation = ask.relation("carts")
        found = ask.rows(
            f"SELECT status, count(*) AS carts, sum(value) AS value FROM {relation.sql} AS mart "
            "WHERE opened_date BETWEEN $start AND $end GROUP BY status",
            {**relation.values, **ask.between(days)},
        )
        return {row["status"]: row for row in found}

    now, before = counted(ask.range), counted(base) if base else {}
    total = sum(row["carts"] for row in now.values())
    valued = measures.reason("net_value") is None
    told = [status for status in STATUSES if status != "emptied" or "remove_from_cart" in ask.capable]
    rows = []
    for status in told:
        row = now.get(status, {})
        count, was = row.get("carts", 0), before.get(status, {}).get("carts", 0) if base else None
        rows.append(
            {
                "status": status,
                "label": STATUSES[status],
                "carts": count,
                "share": count / total if total else None,
                "value": row.get("value", 0) if valued else None,
                "previous": was,
                "change": change(count, was),
            }
        )
    values, values_before = measures.totals(RATES, ask.range), measures.totals(RATES, base) if base else {}
    rates = [
        {
            "name": name,
            **measures.definition(name),
            "value": values[name],
            "previous": values_before.get(name),
            "reason": measures.reason(name),
        }
        for name in RATES
    ]
    return Answer({"available": True, "reason": None, "rows": rows, "rates": rates}, CARTS, rows=rows)
