"""Which channels transactions are credited to."""

from __future__ import annotations

from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column, change
from ecom_analytics.answers.ranges import Range

ATTRIBUTED = (
    Column("channel", "Channel"),
    Column("transactions", "Transactions", "number", "count"),
    Column("net_value", "Net order value", "number", "money"),
    Column("share", "Share", "number", "ratio"),
    Column("previous", "Compared with", "number", "count"),
    Column("change", "Change", "number", "ratio"),
)
MODELS = ("last_non_direct", "first", "last", "linear", "position")


def attribution(ask: Ask) -> Answer:
    """Which channels the transactions of a range are credited to."""
    if not ask.rows("SELECT 1 AS one FROM attribution LIMIT 1"):
        reason = "this data does not say where visits come from"
        return Answer({"model": ask["model"], "available": False, "reason": reason, "rows": []}, ATTRIBUTED, rows=[])

    def credited(days: Range) -> dict[str, dict[str, Any]]:
        found = ask.rows(
            "SELECT channel, sum(credit) AS transactions, sum(net_value) AS net_value FROM attribution "
            "WHERE model = $model AND transaction_date BETWEEN $start AND $end GROUP BY channel "
            "ORDER BY transactions DESC, channel",
            {"model": ask["model"], **ask.between(days)},
        )
        return {row["channel"]: row for row in found}

    now, base = credited(ask.range), ask.known_base
    before = credited(base) if base else {}
    total = sum(row["transactions"] for row in now.values())
    rows = []
    for channel, row in now.items():
        was = before.get(channel, {}).get("transactions", 0) if base else None
        share = float(row["transactions"] / total) if total else None
        rows.append({**row, "share": share, "previous": was, "change": change(row["transactions"], was)})
    data = {"model": ask["model"], "available": True, "reason": None, "rows": rows}
    return Answer(data, ATTRIBUTED, rows=rows)
