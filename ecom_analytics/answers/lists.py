"""Lists of products, transactions, users and conflicts: searched, sorted, in pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column
from ecom_analytics.answers.filters import UntoldError
from ecom_analytics.answers.parameters import Parameter

LIMIT = Parameter("limit", "Most rows of one page.", "whole", 10, least=1, most=1000)
NEXT = Parameter(
    "next", "Where the page begins: what an earlier answer gave as next.", pattern="p[0-9]{1,9}",
    allowed="what an earlier answer gave as next",
)  # fmt: skip
Q = Parameter("q", "Only rows with this in one of their names, in small or capital letters.")


def sorting(columns: tuple[Column, ...], default: str) -> Parameter:
    """The parameter ``sort`` over these columns."""
    names = tuple(f"{sign}{column.name}" for column in columns for sign in ("", "-"))
    return Parameter("sort", "Column to sort by; with - before it the largest first.", "choice", default, names)


@dataclass(frozen=True)
class Listing:
    """Rows that can be sorted by each of their columns.

    Attributes
    ----------
    columns : tuple of Column
    sort : str
        How they are sorted by default.
    ties : str
        SQL that puts equal rows in one order.
    searched : tuple of str
        Columns that ``q`` looks into.
    """

    columns: tuple[Column, ...]
    sort: str
    ties: str
    searched: tuple[str, ...]

    def page(self, ask: Ask, sql: str, values: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        """The rows of a page, and where the next one begins."""
        offset = _offset(ask["next"])
        descending, name = ask["sort"].startswith("-"), ask["sort"].removeprefix("-")
        named = " OR ".join(f"contains(lower(coalesce({column}, '')), lower($q))" for column in self.searched)
        where = f"WHERE {named}" if ask["q"] else ""
        order = f'"{name}" {"DESC" if descending else "ASC"} NULLS LAST, {self.ties}'
        columns = ", ".join(f'"{column.name}"' for column in self.columns)
        rows = ask.rows(
            f"SELECT {columns} FROM ({sql}) AS listed {where} ORDER BY {order} LIMIT $most OFFSET $passed",
            {**values, "q": ask["q"], "most": ask["limit"] + 1, "passed": offset},
        )
        more = page_after(offset + ask["limit"]) if len(rows) > ask["limit"] else None
        return rows[: ask["limit"]], more


def page_after(offset: int) -> str:
    """The name of the page that begins at ``offset``."""
    return f"p{offset}"


def _offset(page: str | None) -> int:
    return int(page[1:]) if page else 0


PRODUCTS = Listing(
    (
        Column("source", "Source"),
        Column("product_id", "Product"),
        Column("name", "Name"),
        Column("category", "Category"),
        Column("brand", "Brand"),
        Column("views", "Views", "whole", "count"),
        Column("add_to_carts", "Added to cart", "whole", "count"),
        Column("purchases", "Bought", "whole", "count"),
        Column("quantity", "Units", "number", "count"),
        Column("revenue", "Revenue", "number", "money"),
        Column("conversion", "Conversion, all dates", "number", "ratio"),
        Column("cart_to_purchase", "Bought per add to cart", "number", "ratio"),
        Column("previous", "Bought before", "whole", "count"),
        Column("change", "Change", "number", "ratio"),
    ),
    "-purchases",
    "source, product_id",
    ("product_id", "name", "category", "brand"),
)
USERS = Listing(
    (
        Column("source", "Source"),
        Column("user_id", "User"),
        Column("sessions", "Sessions", "whole", "count"),
        Column("views", "Views", "whole", "count"),
        Column("add_to_carts", "Added to cart", "whole", "count"),
        Column("transactions", "Transactions", "whole", "count"),
        Column("net_value", "Net order value", "number", "money"),
        Column("last_seen", "Last seen", "time"),
    ),
    "-transactions",
    "sessions DESC, source, user_id",
    ("user_id",),
)
TRANSACTIONS = Listing(
    (
        Column("source", "Source"),
        Column("transaction_id", "Transaction"),
        Column("transaction_ts", "Time", "time"),
        Column("user_id", "User"),
        Column("lines", "Lines", "whole", "count"),
        Column("quantity", "Units", "number", "count"),
        Column("net_value", "Net order value", "number", "money"),
        Column("currency", "Currency"),
        Column("customer_sequence", "Customer's order no.", "whole", "count"),
    ),
    "-transaction_ts",
    "source, transaction_id",
    ("transaction_id", "user_id"),
)
CONFLICTS = Listing(
    (
        Column("source", "Source"),
        Column("transaction_id", "Transaction"),
        Column("kind", "Kind"),
        Column("message", "What is wrong"),
        Column("file", "File"),
        Column("line", "Line", "whole"),
        Column("value_left_out", "Value left out", "number", "money"),
    ),
    "transaction_id",
    "source, transaction_id, file, line",
    ("transaction_id", "message", "file"),
)
AFFINITY = Listing(
    (
        Column("source", "Source"),
        Column("product_id", "Product"),
        Column("other_product_id", "Bought with"),
        Column("together", "Together", "whole", "count"),
        Column("transactions", "Its orders", "whole", "count"),
        Column("other_transactions", "Of the other", "whole", "count"),
        Column("support", "Support", "number", "ratio"),
        Column("confidence", "Confidence", "number", "ratio"),
        Column("lift", "Lift", "number"),
    ),
    "-together",
    "lift DESC, source, product_id, other_product_id",
    ("product_id", "other_product_id"),
)
_LEFT_OUT = "by these filters sales are told, views and carts are not"
_SUMS = {name: name for name in ("views", "add_to_carts", "purchases", "quantity", "revenue")}
_OF_LINES = {"views": "NULL::BIGINT", "add_to_carts": "NULL::BIGINT", "purchases": "1"}
"""What is summed instead where only lines of transactions are told apart."""

_OF_ALL = f"SELECT source, product_id, {', '.join(_SUMS)} FROM products WHERE events > 0"
_MARKS = {
    "views": "views", "add_to_carts": "add_to_carts", "purchases": "purchases", "quantity": "purchases",
    "revenue": "purchases",
}  # fmt: skip
"""What is summed → what a product has on each day that adds to it."""


def products(ask: Ask) -> Answer:
    """Products with an event in the range, or, where events are not told apart so, that were bought in it."""
    base = ask.known_base
    try:
        relation, date, sums, told = ask.relation("daily_products"), "date", _SUMS, True
    except UntoldError:
        relation, date, sums, told = ask.relation("transaction_lines"), "event_date", _SUMS | _OF_LINES, False
    values: dict[str, Any] = {**relation.values, **ask.between()}
    if base:
        values |= {"base_start": base.first, "base_end": base.last}
    summed = ", ".join(f"sum({sums[name]}) AS {name}" for name in sums)

    def counted(start: str, end: str, only: str = "") -> str:
        return (
            f"SELECT source, product_id, {summed} FROM {relation.sql} AS mart "
            f"WHERE {date} BETWEEN ${start} AND ${end} {only} GROUP BY source, product_id"
        )

    only, offset, of_all = "", _offset(ask["next"]), _is_all(ask)
    if told and not of_all and not ask["q"] and ask["sort"] in [f"-{name}" for name in _MARKS]:
        # Those of the page are found first, by one sum, and only their days are read.
        name = ask["sort"].removeprefix("-")
        first = ask.rows(
            f"SELECT source, product_id, sum({name}) AS sorted FROM {relation.sql} AS mart "
            f"WHERE {date} BETWEEN $start AND $end AND {_MARKS[name]} > 0 GROUP BY source, product_id "
            "ORDER BY sorted DESC NULLS LAST, source, product_id LIMIT $most",
            {**values, "most": offset + ask["limit"] + 2},
        )
        # The last one tells where those begin that have none, if it has less than all of the page.
        if len(first) == offset + ask["limit"] + 2 and first[-1]["sorted"]:
            only = "AND product_id IN (SELECT unnest($ids))"
            values["ids"] = [row["product_id"] for row in first]
    before = "SELECT NULL::VARCHAR AS source, NULL::VARCHAR AS product_id, NULL::BIGINT AS purchases WHERE false"
    if base:
        before = counted("base_start", "base_end", only)
    sql = (
        "SELECT counted.source, counted.product_id, products.name, products.category, products.brand, "
        "CAST(counted.views AS BIGINT) AS views, CAST(counted.add_to_carts AS BIGINT) AS add_to_carts, "
        "CAST(counted.purchases AS BIGINT) AS purchases, counted.quantity, counted.revenue, "
        "CASE WHEN products.viewers > 0 THEN products.buyers / products.viewers END AS conversion, "
        "CASE WHEN counted.add_to_carts > 0 THEN counted.purchases / counted.add_to_carts END AS cart_to_purchase, "
        f"{'CAST(coalesce(before.purchases, 0) AS BIGINT)' if base else 'NULL::BIGINT'} AS previous, "
        "CASE WHEN before.purchases > 0 THEN counted.purchases / before.purchases - 1 END AS change "
        f"FROM ({_OF_ALL if of_all else counted('start', 'end', only)}) AS counted "
        f"LEFT JOIN ({before}) AS before ON before.source = counted.source AND before.product_id = counted.product_id "
        f"LEFT JOIN (SELECT * FROM products WHERE true {only}) AS products "
        "ON products.source = counted.source AND products.product_id = counted.product_id"
    )
    rows, columns, _, more, facts = paged(PRODUCTS, ask, sql, values)
    return Answer(rows, columns, more=more, facts={**facts, "remark": None if told else _LEFT_OUT})


def _is_all(ask: Ask) -> bool:
    """Whether nothing is left out: then the marts hold the sums."""
    span = ask.span
    whole = span is not None and ask.range.first <= span[0] and ask.range.last >= span[1]
    return whole and not ask.filters


def users(ask: Ask) -> Answer:
    """Users of a range, by what they did in sessions that started in it."""
    relation = ask.relation("sessions")
    values: dict[str, Any] = {**relation.values, **ask.between()}
    grouped = (
        "SELECT source, user_id, count(*) AS sessions, sum(views)::BIGINT AS views, "
        "sum(add_to_carts)::BIGINT AS add_to_carts, sum(transactions)::BIGINT AS transactions, "
        "sum(net_value) AS net_value, max(session_end) AS last_seen FROM {0} AS mart "
        "WHERE session_date BETWEEN $start AND $end {1} GROUP BY source, user_id"
    )
    if _is_all(ask):
        sql = "SELECT source, user_id, sessions, views, add_to_carts, transactions, net_value, last_seen FROM users"
        return Answer(*paged(USERS, ask, sql, values))
    if ask["sort"] in ("-transactions", "-net_value") and not ask["q"]:
        # Few of the users buy: those that do are found first, and only their sessions are read.
        buyers = (
            f"SELECT DISTINCT source, user_id FROM {relation.sql} AS mart "
            "WHERE session_date BETWEEN $start AND $end AND transactions > 0"
        )
        [row] = ask.rows(f"SELECT count(*) AS buyers FROM ({buyers}) AS bought", values)
        if row["buyers"] > _offset(ask["next"]) + ask["limit"]:
            only = f"AND (source, user_id) IN ({buyers})"
            return Answer(*paged(USERS, ask, grouped.format(relation.sql, only), values))
    return Answer(*paged(USERS, ask, grouped.format(relation.sql, ""), values))


def transactions(ask: Ask) -> Answer:
    """A page of transactions."""
    relation = ask.relation("transactions")
    sql = f"SELECT * FROM {relation.sql} AS mart WHERE transaction_date BETWEEN $start AND $end"
    return Answer(*paged(TRANSACTIONS, ask, sql, {**relation.values, **ask.between()}))


def conflicts(ask: Ask) -> Answer:
    """A page of transaction ids that are used twice."""
    return Answer(*paged(CONFLICTS, ask, "SELECT * FROM conflicts", {}))


def affinity(ask: Ask) -> Answer:
    """A page of pairs of products that are bought together."""
    sql = "SELECT * FROM affinity WHERE $product_id IS NULL OR product_id = $product_id"
    return Answer(*paged(AFFINITY, ask, sql, {"product_id": ask["product_id"]}))


def paged(listing: Listing, ask: Ask, sql: str, values: dict[str, Any]) -> tuple[Any, ...]:
    """What an answer with one page of a listing is made of."""
    rows, more = listing.page(ask, sql, values)
    return rows, listing.columns, None, more, {"sort": ask["sort"]}
