"""What is known of one product, transaction or user."""

from __future__ import annotations

from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column
from ecom_analytics.answers.parameters import NotThereError


def _one(ask: Ask, what: str, rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    if not rows:
        raise NotThereError(f"there is no {what} {name!r} in build {ask.marts.build.build_id}")
    return rows[0]


PRODUCT_DAYS = (
    Column("date", "Day", "day"),
    Column("views", "Views", "whole", "count"),
    Column("add_to_carts", "Added to cart", "whole", "count"),
    Column("purchases", "Bought", "whole", "count"),
    Column("quantity", "Units", "number", "count"),
    Column("revenue", "Revenue", "number", "money"),
)


def product(ask: Ask) -> Answer:
    """What is known of a product, and its days of the range."""
    name = ask.path["product_id"]
    values = {"product_id": name, "of_source": ask["of_source"]}
    found = ask.rows(
        "SELECT *, CASE WHEN viewers > 0 THEN buyers / viewers END AS conversion FROM products "
        "WHERE product_id = $product_id AND ($of_source IS NULL OR source = $of_source) ORDER BY views DESC, source",
        values,
    )
    known = _one(ask, "product", found, name)
    values |= {"of_source": known["source"]}
    counted = ask.rows(
        "SELECT date, views, add_to_carts, purchases, quantity, revenue FROM daily_products "
        "WHERE product_id = $product_id AND source = $of_source AND date BETWEEN $start AND $end ORDER BY date",
        {**values, **ask.between()},
    )
    by_day = {row["date"]: row for row in counted}
    nothing = {"views": 0, "add_to_carts": 0, "purchases": 0}
    valued = {"quantity": None if known["quantity"] is None else 0, "revenue": None if known["revenue"] is None else 0}
    days = [by_day.get(day, {"date": day, **nothing, **valued}) for day in ask.range.days]
    together = ask.rows(
        "SELECT other_product_id, together, confidence, lift FROM affinity "
        "WHERE product_id = $product_id AND source = $of_source ORDER BY together DESC, lift DESC, 1 LIMIT 10",
        values,
    )
    data = {"product": known, "sources": [row["source"] for row in found], "days": days, "bought_with": together}
    return Answer(data, PRODUCT_DAYS, rows=days)


LINES = (
    Column("line_number", "Line", "whole"),
    Column("product_id", "Product"),
    Column("category", "Category"),
    Column("brand", "Brand"),
    Column("quantity", "Units", "number", "count"),
    Column("unit_price", "Unit price", "number", "money"),
    Column("revenue", "Revenue", "number", "money"),
    Column("event_ts", "Time", "time"),
    Column("file", "File"),
    Column("source_line", "Line of the file", "whole"),
)


def transaction(ask: Ask) -> Answer:
    """A transaction with its lines, each with the file and the line that it was read from."""
    name = ask.path["transaction_id"]
    found = ask.rows(
        "SELECT * FROM transactions WHERE transaction_id = $transaction_id "
        "AND ($of_source IS NULL OR source = $of_source) ORDER BY transaction_ts, source",
        {"transaction_id": name, "of_source": ask["of_source"]},
    )
    known = _one(ask, "transaction", found, name)
    values = {"transaction_id": name, "of_source": known["source"]}
    lines = ask.rows(
        "SELECT lines.line_number, lines.product_id, lines.category, lines.brand, lines.quantity, lines.unit_price, "
        "lines.revenue, lines.event_ts, coalesce(batches.file, lines.batch_id) AS file, lines.source_line "
        "FROM transaction_lines AS lines LEFT JOIN batches ON batches.batch_id = lines.batch_id "
        "WHERE lines.transaction_id = $transaction_id AND lines.source = $of_source ORDER BY lines.line_number",
        values,
    )
    disputed = ask.rows(
        "SELECT kind, message, file, line, value_left_out FROM conflicts "
        "WHERE transaction_id = $transaction_id AND source = $of_source ORDER BY file, line",
        values,
    )
    data = {"transaction": known, "sources": [row["source"] for row in found], "lines": lines, "conflicts": disputed}
    return Answer(data, LINES, rows=lines)


TIMELINE = (
    Column("moment", "Time", "time"),
    Column("kind", "What"),
    Column("title", "Title"),
    Column("detail", "Detail"),
    Column("value", "Value", "number", "money"),
)
MOST_OF_TIMELINE = 500


def user(ask: Ask) -> Answer:
    """A user, and all that they did, the newest first."""
    name = ask.path["user_id"]
    found = ask.rows(
        "SELECT users.*, rfm.segment, rfm.r, rfm.f, rfm.m FROM users "
        "LEFT JOIN rfm ON rfm.source = users.source AND rfm.user_id = users.user_id "
        "WHERE users.user_id = $user_id AND ($of_source IS NULL OR users.source = $of_source) "
        "ORDER BY users.sessions DESC, users.source",
        {"user_id": name, "of_source": ask["of_source"]},
    )
    known = _one(ask, "user", found, name)
    values = {"user_id": name, "of_source": known["source"], "most": MOST_OF_TIMELINE + 1}
    rows = ask.rows(
        "SELECT * FROM ("
        "SELECT session_start AS moment, 'session' AS kind, 'Visit' AS title, concat_ws(' · ', "
        "concat(events, CASE WHEN events = 1 THEN ' event' ELSE ' events' END), "
        "CASE WHEN views > 0 THEN concat(views, CASE WHEN views = 1 THEN ' view' ELSE ' views' END) END, "
        "CASE WHEN add_to_carts > 0 THEN concat(add_to_carts, ' added to cart') END, traffic_source, device, country) "
        "AS detail, CAST(NULL AS DECIMAL(18, 4)) AS value, session_id AS id FROM sessions "
        "WHERE user_id = $user_id AND source = $of_source "
        "UNION ALL SELECT transaction_ts, 'transaction', concat('Transaction ', transaction_id), concat_ws(' · ', "
        "concat(lines, CASE WHEN lines = 1 THEN ' line' ELSE ' lines' END), concat('order ', customer_sequence, "
        "' of this customer')), net_value, transaction_id FROM transactions "
        "WHERE user_id = $user_id AND source = $of_source "
        "UNION ALL SELECT coalesce(closed_at, last_activity_at), 'cart', concat('Cart ', status), "
        "concat(items, CASE WHEN items = 1 THEN ' product' ELSE ' products' END), value, "
        "CAST(cart_number AS VARCHAR) FROM carts "
        "WHERE user_id = $user_id AND source = $of_source AND status IN ('abandoned', 'emptied', 'open')"
        ") AS timeline ORDER BY moment DESC, kind DESC, id LIMIT $most",
        values,
    )
    data = {
        "user": known,
        "sources": [row["source"] for row in found],
        "timeline": rows[:MOST_OF_TIMELINE],
        "has_more": len(rows) > MOST_OF_TIMELINE,
    }
    return Answer(data, TIMELINE, rows=rows[:MOST_OF_TIMELINE])
