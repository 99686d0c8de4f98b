"""Lists of the API: users, products, transactions, conflicts; sorted and in pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecom_analytics.dashboard.answers import Answer
from ecom_analytics.dashboard.generations import Generation
from ecom_analytics.dashboard.parameters import Parameters, Range, page_after


@dataclass(frozen=True)
class Listing:
    """A query over public marts whose columns can be sorted by.

    ``ranged`` ones have two parameters, the first and the last day. ``ties`` puts equal rows in one order.
    """

    sql: str
    columns: tuple[str, ...]
    sort: str
    ties: str
    ranged: bool = True


LISTINGS = {
    "users": Listing(
        "SELECT source, coalesce(user_id, visitor_id) AS user_id, count(*) AS sessions, sum(views)::BIGINT AS views, "
        "sum(add_to_carts)::BIGINT AS add_to_carts, sum(transactions)::BIGINT AS transactions, "
        "sum(net_value) AS net_value, max(session_end) AS last_seen FROM sessions "
        "WHERE session_date BETWEEN ? AND ? GROUP BY 1, 2",
        ("source", "user_id", "sessions", "views", "add_to_carts", "transactions", "net_value", "last_seen"),
        "-transactions",
        "sessions DESC, source, user_id",
    ),
    "products": Listing(
        "SELECT source, product_id, category, brand, views, add_to_carts, purchases, quantity, revenue, "
        "CASE WHEN viewers > 0 THEN buyers / viewers END AS conversion FROM products",
        ("source", "product_id", "category", "brand", "views", "add_to_carts", "purchases", "quantity", "revenue",
         "conversion"),
        "-purchases",
        "views DESC, source, product_id",
        ranged=False,
    ),
    "transactions": Listing(
        "SELECT source, transaction_id, transaction_ts, user_id, lines, quantity, net_value, currency, "
        "customer_sequence FROM transactions WHERE transaction_date BETWEEN ? AND ?",
        ("source", "transaction_id", "transaction_ts", "user_id", "lines", "quantity", "net_value", "currency",
         "customer_sequence"),
        "-transaction_ts",
        "source, transaction_id",
    ),
    "conflicts": Listing(
        "SELECT source, transaction_id, kind, message, file, line, value_left_out FROM conflicts",
        ("source", "transaction_id", "kind", "message", "file", "line", "value_left_out"),
        "transaction_id",
        "source, transaction_id, file, line",
        ranged=False,
    ),
}  # fmt: skip
"""Route → what it lists."""


def answer(name: str, generation: Generation, parameters: Parameters, days: Range | None) -> Answer:
    """One page of a list."""
    listing = LISTINGS[name]
    column, descending = parameters.sort(listing.columns, listing.sort)
    limit, offset = parameters.limit(), parameters.offset()
    parameters.check()
    order = f'"{column}" {"DESC" if descending else "ASC"} NULLS LAST, {listing.ties}'
    values: list[Any] = [days.first, days.last] if days is not None else []
    page = f"SELECT * FROM ({listing.sql}) ORDER BY {order} LIMIT ? OFFSET ?"
    rows = generation.rows(page, [*values, limit + 1, offset])
    more = page_after(offset + limit) if len(rows) > limit else None
    return Answer(rows[:limit], range=days, next=more, columns=listing.columns)
