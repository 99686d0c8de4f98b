"""A richer shop: prices, categories, brands, devices, countries, traffic sources, cart removals, checkouts, refunds."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ecom_analytics.generate.plan import DAY_MS, Totals
from ecom_analytics.generate.sessions import Chunk, scatter
from ecom_analytics.generate.shape import Layout
from ecom_analytics.generate.text import Lines, cents, coded, hexadecimal, iso, lines, padded, sparse

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from ecom_analytics.generate.shape import Rows

    Ints = NDArray[np.int64]

_CATEGORIES = (
    ("Shoes > Running", 95), ("Shoes > Trail", 120), ("Shoes > Everyday", 80), ("Clothing > Jackets", 140),
    ("Clothing > Shirts", 35), ("Clothing > Trousers", 65), ("Outdoor > Tents", 260), ("Outdoor > Backpacks", 90),
    ("Outdoor > Lamps", 30), ("Sports > Yoga", 40), ("Sports > Swimming", 28), ("Accessories > Socks", 12),
)  # fmt: skip
"""Categories, and what their products cost in the middle."""
_BRANDS = ("Alder", "Brightwater", "Corvo", "Dunlin", "Eskdale", "Fernway", "Grayling", "Harrow")
_SOURCES = (
    ("google,organic,", 0.34), ("google,cpc,winter-sale", 0.17), (",,", 0.24), ("newsletter,email,weekly", 0.09),
    ("instagram,social,new-arrivals", 0.08), ("idealo,referral,", 0.05), ("bing,organic,", 0.03),
)  # fmt: skip
_DEVICES = (("mobile", 0.58), ("desktop", 0.36), ("tablet", 0.06))
_COUNTRIES = (
    ("DE", 0.46), ("FR", 0.13), ("NL", 0.1), ("AT", 0.09), ("IT", 0.08), ("ES", 0.06), ("PL", 0.05), ("CH", 0.03)
)  # fmt: skip
_VIEW, _ADD, _BUY, _CHECKOUT, _REMOVE, _SEARCH, _REFUND = range(7)
_FREE_SHIPPING, _SHIPPING = 50_00, 4_95


class Shop:
    """Of 1,000 events: 60 adds, 10 removals, 55 searches, 10 checkouts, 9 lines of 6 orders, 1 refund; else views."""

    default_events = 100_000
    default_days = 30
    default_start = "2026-01-05"
    columns: tuple[str, ...] = (
        "event_ts", "event_type", "visitor_id", "user_id", "product_id", "transaction_id", "quantity", "unit_price",
        "currency", "category", "brand", "traffic_source", "medium", "campaign", "device", "country", "order_discount",
        "order_tax", "order_shipping", "source_event_id", "source_session_id",
    )  # fmt: skip
    layout = Layout(
        time="event_ts",
        event="event_type",
        visitor="visitor_id",
        item="product_id",
        order="transaction_id",
        of_purchase=("quantity", "order_discount", "order_tax", "order_shipping"),
        of_person=("user_id", "source_session_id"),
        event_id="source_event_id",
    )
    types: tuple[str, ...] = ("view", "add_to_cart", "purchase", "checkout", "remove_from_cart", "search", "refund")
    view, purchase = _VIEW, _BUY

    def __init__(self, events: int, days: int) -> None:
        def part(of_ten_thousand: float) -> int:
            return round(events * of_ten_thousand / 10_000)

        bought = part(95)
        orders = min(max(part(60), 1), bought)
        self._left = {"remove": part(100), "search": part(550), "refund": round(bought * 0.06), "leave": part(40)}
        views = events - part(600) - bought - orders - sum(self._left.values())
        self.totals = Totals(
            days=days,
            views=views,
            carts=min(part(600), views),
            lines=bought,
            orders=orders,
            visitors=max(part(1200), 1),
            items=max(min(max(800, events // 1_000), views // 4), 1),
            copies=0,
            sessions=max(part(2240), part(1200), 1),
            steepness=1.8,
        )

    def rows(self, chunk: Chunk, chunks: int) -> Rows:
        """The chunk's events in no order."""
        import numpy as np

        rng, line = chunk.rng, np.arange(len(chunk.line_order))
        unbought = rng.permutation(np.setdiff1d(chunk.cart_view, chunk.line_view))
        at_checkout = unbought[~np.isin(chunk.session[unbought], chunk.order_session)]
        given = self._share(chunk, chunks, remove=len(unbought), leave=len(at_checkout), refund=len(line))
        removed = unbought[: given["remove"]]
        left = at_checkout[len(at_checkout) - given["leave"] :]
        searched = rng.integers(0, len(chunk.item), given["search"])
        refunded = rng.choice(line, given["refund"], replace=False)

        # the view that each event is about; checkouts and searches have their session's view, but no product
        checkout = np.concatenate([np.searchsorted(chunk.session, chunk.order_session), left])
        about = [np.arange(len(chunk.item)), chunk.cart_view, chunk.line_view, checkout, removed, searched]
        about.append(chunk.line_view[refunded])
        order_ts = chunk.order_ts
        times = [
            chunk.view_ts,
            chunk.cart_ts,
            order_ts[chunk.line_order],
            order_ts - rng.integers(20_000, 50_000, len(order_ts)),
            chunk.view_ts[left] + rng.integers(25_000, 60_000, len(left)),
            chunk.view_ts[removed] + 19_500,
            np.maximum(chunk.view_ts[searched] - 1_000, chunk.start),
            _days_later(rng, order_ts[chunk.line_order[refunded]], chunk.end),
        ]
        at = np.concatenate(about)
        kind = np.repeat(np.arange(7), [len(of) for of in about])
        quantity = (kind == _ADD) | (kind == _REMOVE)
        bought = 1 + (rng.random(len(line)) < 0.14) + (rng.random(len(line)) < 0.04)
        return self._numbers(chunk, at, np.concatenate(times), kind, quantity.astype(np.int64), bought, refunded)

    def _share(self, chunk: Chunk, chunks: int, **room: int) -> dict[str, int]:
        """How many of the rarer events the chunk gets; the last searches take up what found no room."""
        most = {**room, "search": self._left["search"]}
        given = {name: min(-(-left // (chunks - chunk.number)), most[name]) for name, left in self._left.items()}
        if chunk.last:
            given = {name: min(left, most[name]) for name, left in self._left.items()}
            given["search"] = sum(self._left.values()) - sum(given.values()) + given["search"]
        for name, count in given.items():
            self._left[name] -= count
        return given

    def _numbers(
        self, chunk: Chunk, at: Ints, times: Ints, kind: Ints, quantity: Ints, bought: Ints, refunded: Ints
    ) -> Rows:  # fmt: skip
        import numpy as np

        item, session = chunk.item[at], chunk.session[at]
        lines_, refunds = np.flatnonzero(kind == _BUY), np.flatnonzero(kind == _REFUND)
        order, worth, discount = (np.full(len(at), -1) for _ in range(3))
        order[lines_] = chunk.line_order
        order[refunds] = chunk.line_order[refunded]
        quantity[lines_], quantity[refunds] = bought, bought[refunded]
        total = np.zeros(len(chunk.order_ts), dtype=np.int64)
        np.add.at(total, chunk.line_order, self._price[item[lines_]] * bought)
        rebate = np.where(chunk.rng.random(len(total)) < 0.2, (total + 5) // 10, 0)
        worth[lines_], discount[lines_] = total[chunk.line_order], rebate[chunk.line_order]
        order[order >= 0] += chunk.first_order
        visitor = chunk.visitor[session]
        source = _picked(chunk.rng.random(len(chunk.visitor)), _SOURCES)[session]
        source[refunds] = len(_SOURCES)  # made by the shop, not in a visit
        session = session + (chunk.number << 32)
        session[refunds] = -1
        return {
            "ts": times,
            "kind": kind,
            "visitor": visitor,
            "item": np.where((kind == _CHECKOUT) | (kind == _SEARCH), self.totals.items, item),
            "order": order,
            "quantity": quantity,
            "source": source,
            "worth": worth,
            "discount": discount,
            "session": session,
            "event": np.arange(len(at)) + (chunk.number << 32),
        }

    def lines(self, rows: Rows) -> Lines:
        """Rows as text; columns that go together are put together once."""
        visitor, order, session = rows["visitor"], rows["order"], rows["session"]
        # some users have a second browser: the visitor after each thirty-second is the same person
        person = visitor - (visitor % 32 == 1)
        logged_in = person % 4 == 0
        ordered, bought, visit = order >= 0, rows["worth"] >= 0, session >= 0
        return lines(
            iso(rows["ts"]),
            coded(self.types, rows["kind"]),
            padded("v", scatter(visitor, self.totals.visitors)),
            sparse(logged_in, padded("u", person[logged_in])),
            coded(self._products, rows["item"]),
            sparse(ordered, padded("o", scatter(order[ordered], max(self.totals.orders, 1)))),
            coded(("", "1", "2", "3"), rows["quantity"]),
            coded(self._offers, rows["item"]),
            coded(_origins(), _origin(rows["source"], visitor, person)),
            sparse(bought, _money(rows["worth"][bought], rows["discount"][bought]), ",,"),
            hexadecimal(rows["event"], 0x6B),
            sparse(visit, hexadecimal(session[visit], 0x5E5510)),
        )

    @cached_property
    def _price(self) -> Ints:
        import numpy as np

        item = np.arange(self.totals.items)
        middle = np.array([price for _, price in _CATEGORIES])[item * 7 % len(_CATEGORIES)]
        return middle * (60 + item * 37 % 101) // 100 * 100 + 95

    @cached_property
    def _products(self) -> pa.Array:
        import pyarrow as pa

        return pa.array([f"p{1_000 + item}" for item in range(self.totals.items)] + [""])

    @cached_property
    def _offers(self) -> pa.Array:
        """Price, currency, category and brand of each product, and of none."""
        import pyarrow as pa

        kinds = [(_CATEGORIES[item * 7 % 12][0], _BRANDS[item * 13 % 8]) for item in range(self.totals.items)]
        offers = [
            f"{price // 100}.{price % 100:02d},EUR,{category},{brand}"
            for price, (category, brand) in zip(self._price.tolist(), kinds, strict=True)
        ]
        return pa.array([*offers, ",,,"])

    def time(self, millis: int) -> bytes:
        """A time as text."""
        import numpy as np

        return str(iso(np.array([millis]))[0]).encode()

    def visitor(self, number: int) -> bytes:
        """The id of a visitor who is none of those that there are."""
        return b"v%09d" % (self.totals.visitors + number)


def _days_later(rng: np.random.Generator, ordered: Ints, end: int) -> Ints:
    """One to twelve days later, or sooner where the time ends before that."""
    import numpy as np

    most = np.minimum(end - 1 - ordered, 12 * DAY_MS)
    least = np.minimum(DAY_MS, most // 2)
    later: Ints = ordered + least + ((most - least) * rng.random(len(ordered))).astype(np.int64)
    return later


def _picked(chance: NDArray[np.float64], of: tuple[tuple[str, float], ...]) -> Ints:
    """Places in a table of names and shares, for numbers from 0 to 1."""
    import numpy as np

    until = np.cumsum([share for _, share in of])[:-1]
    return np.searchsorted(until, chance, side="right").astype(np.int64)


def _origin(source: Ints, visitor: Ints, person: Ints) -> Ints:
    """The code of source, device and country: a visitor keeps the device, a person the country."""
    device = _picked(visitor * 6_151 % 997 / 997, _DEVICES)
    device[source == len(_SOURCES)] = len(_DEVICES)
    country = _picked(person * 7_919 % 1_009 / 1_009, _COUNTRIES)
    return (source * (len(_DEVICES) + 1) + device) * len(_COUNTRIES) + country


def _origins() -> tuple[str, ...]:
    """Traffic source, medium, campaign, device and country of each code."""
    return tuple(
        f"{source},{device},{country}"
        for source, _ in (*_SOURCES, (",,", 0))
        for device, _ in (*_DEVICES, ("", 0))
        for country, _ in _COUNTRIES
    )


def _money(worth: Ints, discount: Ints) -> pa.Array:
    """Discount, tax and shipping of an order of this worth."""
    import numpy as np
    import pyarrow.compute as pc

    tax = (2 * (worth - discount) * 19 + 119) // 238
    shipping = np.where(worth >= _FREE_SHIPPING, 0, _SHIPPING)
    return pc.binary_join_element_wise(cents(discount), cents(tax), cents(shipping), ",")
