"""Lists of products, transactions, users and conflicts: searched, sorted, in pages; and what is known of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column, change
from ecom_analytics.answers.filters import LINE, UntoldError
from ecom_analytics.answers.parameters import NotThereError, Parameter
from ecom_analytics.answers.ranges import Range

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
        Column("cart_to_purchase", "Bought of those in a cart", "number", "ratio"),
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
        Column("customer_sequence", "Order number of the customer", "whole", "count"),
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
        Column("transactions", "Transactions of the product", "whole", "count"),
        Column("other_transactions", "Of the other one", "whole", "count"),
        Column("support", "Support", "number", "ratio"),
        Column("confidence", "Confidence", "number", "ratio"),
        Column("lift", "Lift", "number"),
    ),
    "-together",
    "lift DESC, source, product_id, other_product_id",
    ("product_id", "other_product_id"),
)
_LEFT_OUT = "by these filters sales are told, views and carts are not"


_SUMS = {"views": "views", "add_to_carts": "add_to_carts", "purchases": "purchases", "quantity": "quantity",
         "revenue": "revenue"}  # fmt: skip
_SOLD = ("-purchases", "-quantity", "-revenue")


def products(ask: Ask) -> Answer:
    """Products with an event in the range, or, where events are not told apart so, that were bought in it."""
    base = ask.known_base
    try:
        relation, date, told = ask.relation("daily_products", *LINE), "date", True
        sums = dict(_SUMS)
    except UntoldError:
        relation, date, told = ask.relation("transaction_lines"), "event_date", False
        sums = {
            "views": "NULL::BIGINT",
            "add_to_carts": "NULL::BIGINT",
            "purchases": "1",
            **dict(list(_SUMS.items())[3:]),
        }
    values: dict[str, Any] = {**relation.values, **ask.between()}
    if base:
        values |= {"base_start": base.first, "base_end": base.last}
    summed = ", ".join(f"sum({sums[name]}) AS {name}" for name in sums)

    def counted(start: str, end: str, only: str = "") -> str:
        return (
            f"SELECT source, product_id, {summed} FROM {relation.sql} AS mart "
            f"WHERE {date} BETWEEN ${start} AND ${end} {only} GROUP BY source, product_id"
        )

    only, offset = "", _offset(ask["next"])
    if told and not ask["q"] and ask["sort"] in _SOLD:
        # Few products are sold: those of the page are found among them, and only their days are read.
        name = ask["sort"].removeprefix("-")
        first = ask.rows(
            f"SELECT source, product_id, sum({name}) AS sorted FROM {relation.sql} AS mart "
            f"WHERE {date} BETWEEN $start AND $end AND purchases > 0 GROUP BY source, product_id "
            "ORDER BY sorted DESC NULLS LAST, source, product_id LIMIT $most",
            {**values, "most": offset + ask["limit"] + 2},
        )
        # The last one tells where those begin that have none, if it has less than all of the page.
        if len(first) == offset + ask["limit"] + 2 and first[-1]["sorted"]:
            only = "AND list_contains($ids, product_id)"
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
        f"FROM ({counted('start', 'end', only)}) AS counted "
        f"LEFT JOIN ({before}) AS before ON before.source = counted.source AND before.product_id = counted.product_id "
        "LEFT JOIN products ON products.source = counted.source AND products.product_id = counted.product_id"
    )
    rows, more = PRODUCTS.page(ask, sql, values)
    return Answer(rows, PRODUCTS.columns, more=more, facts={"remark": None if told else _LEFT_OUT})


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
    whole = ask.span and ask.range.first <= ask.span[0] and ask.range.last >= ask.span[1]
    if whole and not ask.filters:
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
    """One page of a listing, and where the next one begins."""
    rows, more = listing.page(ask, sql, values)
    return rows, listing.columns, None, more


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
