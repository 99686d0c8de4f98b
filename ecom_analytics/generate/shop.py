"""A richer shop: prices, categories, brands, devices, countries, traffic sources, checkout, refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecom_analytics.generate.sessions import Day, Totals, scatter

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

EVENTS = 100_000
DAYS = 30
START = "2026-01-05"
COLUMNS = (
    "event_ts", "event_type", "visitor_id", "user_id", "product_id", "transaction_id", "quantity", "unit_price",
    "currency", "category", "brand", "traffic_source", "medium", "campaign", "device", "country", "order_discount",
    "order_tax", "order_shipping", "source_event_id", "source_session_id",
)  # fmt: skip
TIME, EVENT, VISITOR, ITEM, ORDER, EVENT_ID = 0, 1, 2, 4, 5, 19
PURCHASE = b"purchase"

_TYPES = ("view", "add_to_cart", "purchase", "checkout", "remove_from_cart", "search", "refund")
_CATEGORIES = (
    "Shoes > Running", "Shoes > Trail", "Shoes > Everyday", "Clothing > Jackets", "Clothing > Shirts",
    "Clothing > Trousers", "Outdoor > Tents", "Outdoor > Backpacks", "Outdoor > Lamps", "Sports > Yoga",
    "Sports > Swimming", "Accessories > Socks",
)  # fmt: skip
_PRICES = (95, 120, 80, 140, 35, 65, 260, 90, 30, 40, 28, 12)
_BRANDS = ("Alder", "Brightwater", "Corvo", "Dunlin", "Eskdale", "Fernway", "Grayling", "Harrow")
_SOURCES = (
    ("google", "organic", None), ("google", "cpc", "winter-sale"), (None, None, None),
    ("newsletter", "email", "weekly"), ("instagram", "social", "new-arrivals"),
    ("idealo", "referral", None), ("bing", "organic", None),
)  # fmt: skip
_SOURCE_SHARE = (0.34, 0.17, 0.24, 0.09, 0.08, 0.05, 0.03)
_DEVICES, _DEVICE_SHARE = ("mobile", "desktop", "tablet"), (0.58, 0.36, 0.06)
_COUNTRIES, _COUNTRY_SHARE = (
    ("DE", "FR", "NL", "AT", "IT", "ES", "PL", "CH"),
    (0.46, 0.13, 0.1, 0.09, 0.08, 0.06, 0.05, 0.03),
)


def totals(events: int, days: int) -> Totals:
    """Of 1,000 events: 60 adds, 9 lines of 6 orders, 6 checkouts, 10 removals, 55 searches, 1 refund; else views."""
    lines = round(events * 0.0095)
    orders = min(round(events * 0.006), lines) or min(lines, 1)
    carts = round(events * 0.06)
    views = events - carts - lines - orders - sum(_extras(events, lines))
    return Totals(
        days=days,
        views=views,
        carts=carts,
        lines=lines,
        transactions=orders,
        visitors=max(round(events * 0.12), 1),
        items=max(min(800, views // 4), 1),
        duplicates=0,
        sessions_per_view=0.26,
    )


def _extras(events: int, lines: int) -> tuple[int, int, int]:
    """How many removals, searches and refunds there are."""
    return round(events * 0.01), round(events * 0.055), round(lines * 0.06)


class Extras:
    """Removals, searches and refunds shared out over the days; what one day has no room for goes to the next."""

    def __init__(self, of: Totals, events: int) -> None:
        self._days = of.days
        self._left = list(_extras(events, of.lines))

    def of_day(self, day: Day) -> tuple[int, int, int]:
        """How many of each the day gets; the last day's searches take up what is left."""
        import numpy as np

        days_left = self._days - day.number
        room = (len(np.setdiff1d(day.cart_view, day.line_view)), len(day.item) * 10, len(day.line_order))
        given = [min(-(-left // days_left), most) for left, most in zip(self._left, room, strict=True)]
        self._left = [left - now for left, now in zip(self._left, given, strict=True)]
        if days_left == 1 and len(day.item):
            given[1] += sum(self._left)
        return given[0], given[1], given[2]


def rows(day: Day, of: Totals, extras: tuple[int, int, int]) -> pa.Table:
    """The day's events in no order, with their time in milliseconds in the first column."""
    import numpy as np

    removals, searches, refunds = extras
    removed = day.rng.choice(np.setdiff1d(day.cart_view, day.line_view), removals, replace=False)
    searched = (
        day.rng.choice(len(day.item), searches, replace=len(day.item) < searches) if searches else day.session[:0]
    )
    line = np.arange(len(day.line_order))
    refunded = day.rng.choice(line, refunds, replace=False)
    end = day.start + (of.days - day.number) * 86_400_000
    back = day.order_ts[day.line_order[refunded]] + day.rng.integers(1, 12 * 86_400_000, len(refunded))
    checkout = day.order_session
    # the view that each event is about; checkouts and searches have their session's view, but no product
    first_view = np.searchsorted(day.session, checkout)
    views = np.arange(len(day.item))
    at = np.concatenate([views, day.cart_view, day.line_view, first_view, removed, searched, day.line_view[refunded]])
    times = np.concatenate(
        [
            day.view_ts,
            day.cart_ts,
            day.order_ts[day.line_order],
            day.order_ts - day.rng.integers(20_000, 50_000, len(checkout)),
            day.view_ts[removed] + 19_500,
            day.view_ts[searched] - 1_000,
            np.minimum(back, end - 1),
        ]
    )
    counts = [len(views), len(day.cart_view), len(line), len(checkout), len(removed), len(searched), len(refunded)]
    kind = np.repeat(np.arange(7), counts)
    ordered = np.full(len(kind), -1)
    ordered[kind == 2] = day.line_order
    ordered[kind == 6] = day.line_order[refunded]
    quantity = np.full(len(kind), -1)
    bought = 1 + (day.rng.random(len(line)) < 0.14) + (day.rng.random(len(line)) < 0.04)
    quantity[kind == 2] = bought
    quantity[kind == 6] = bought[refunded]
    quantity[(kind == 1) | (kind == 4)] = 1
    return _table(day, of, at, times, kind, ordered, quantity)


def _table(
    day: Day, of: Totals, at: NDArray[np.int64], times: NDArray[np.int64], kind: NDArray[np.int64],
    ordered: NDArray[np.int64], quantity: NDArray[np.int64],
) -> pa.Table:  # fmt: skip
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    def named(values: tuple[Any, ...], index: NDArray[np.int64]) -> pa.Array:
        return pa.array(values, pa.string()).take(pa.array(index))

    def where(condition: NDArray[np.bool_], values: pa.Array) -> pa.Array:
        return pc.if_else(pa.array(condition), values, pa.scalar(None, values.type))

    def text(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
        return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")

    session, item = day.session[at], day.item[at]
    visitor = day.visitor[session]
    product = (kind != 3) & (kind != 5)
    category = item * 7 % len(_CATEGORIES)
    price = np.array(_PRICES)[category] * 100 * (0.6 + (item * 37 % 101) / 100) // 100 * 100 + 95
    sessions = len(day.visitor)
    source = day.rng.choice(len(_SOURCES), sessions, p=_SOURCE_SHARE)[session]
    device = day.rng.choice(3, sessions, p=_DEVICE_SHARE)[session]
    country = np.searchsorted(np.cumsum(_COUNTRY_SHARE), (visitor * 7919 % 1000) / 1000, side="right").clip(max=7)
    worth = np.zeros(len(day.order_ts))
    np.add.at(worth, ordered[kind == 2], (price * quantity)[kind == 2])
    discount = np.where(day.rng.random(len(worth)) < 0.2, np.round(worth * 0.1), 0)
    money = {
        "order_discount": discount,
        "order_tax": np.round((worth - discount) * 0.19 / 1.19),
        "order_shipping": np.where(worth >= 5_000, 0, 495),
    }
    bought = kind == 2
    cents = {name: where(bought, _cents(values[ordered])) if len(values) else pa.nulls(len(kind), pa.string())
             for name, values in money.items()}  # fmt: skip
    number = day.number * 100_000_000 + np.arange(len(kind))
    columns = {
        "event_ts": times,
        "event_type": named(_TYPES, kind),
        "visitor_id": text("v", scatter(visitor, of.visitors)),
        "user_id": where(visitor % 4 == 0, text("u", visitor)),
        "product_id": where(product, text("p", item + 1000)),
        "transaction_id": where(ordered >= 0, text("o", scatter(day.first_order + ordered, max(of.transactions, 1)))),
        "quantity": where(quantity > 0, pa.array(quantity).cast(pa.string())),
        "unit_price": where(product, _cents(price)),
        "currency": where(product, named(("EUR",), np.zeros(len(kind), dtype=np.int64))),
        "category": where(product, named(_CATEGORIES, category)),
        "brand": where(product, named(_BRANDS, item * 13 % len(_BRANDS))),
        "traffic_source": named(tuple(s for s, _, _ in _SOURCES), source),
        "medium": named(tuple(m for _, m, _ in _SOURCES), source),
        "campaign": named(tuple(c for _, _, c in _SOURCES), source),
        "device": named(_DEVICES, device),
        "country": named(_COUNTRIES, country),
        **cents,
        "source_event_id": text("e", number),
        "source_session_id": text("s", day.number * 10_000_000 + session),
    }
    return pa.table(columns)


def _cents(values: NDArray[Any]) -> pa.Array:
    """Cents as text with two decimals."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pa.array(values.astype("int64"))
    rest = pc.utf8_lpad(pc.subtract(whole, pc.multiply(pc.divide(whole, 100), 100)).cast(pa.string()), 2, "0")
    return pc.binary_join_element_wise(pc.divide(whole, 100).cast(pa.string()), rest, ".")
