"""The shape of the RetailRocket events file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecom_analytics.generate.plan import Totals
from ecom_analytics.generate.sessions import Chunk, scatter
from ecom_analytics.generate.shape import Layout
from ecom_analytics.generate.text import Lines, coded, lines, plain, sparse

if TYPE_CHECKING:
    from ecom_analytics.generate.shape import Rows

EVENTS, VISITORS, ITEMS, CARTS, LINES, ORDERS, COPIES = 2_756_101, 1_407_580, 235_061, 69_332, 22_457, 17_672, 460
SESSIONS_PER_VIEW = 0.661


class RetailRocket:
    """The published counts of the real file, in proportion to ``events``."""

    default_events = EVENTS
    default_days = 138
    default_start = "2015-05-03"
    columns: tuple[str, ...] = ("timestamp", "visitorid", "event", "itemid", "transactionid")
    layout = Layout(time="timestamp", event="event", visitor="visitorid", item="itemid", order="transactionid")
    types: tuple[str, ...] = ("view", "addtocart", "transaction")
    view, purchase = 0, 2

    def __init__(self, events: int, days: int) -> None:
        def part(count: int) -> int:
            return round(count * events / EVENTS)

        copies = part(COPIES)
        views = events - part(CARTS) - part(LINES) - copies
        self.totals = Totals(
            days=days,
            views=views,
            carts=part(CARTS),
            lines=part(LINES),
            orders=min(max(part(ORDERS), 1), part(LINES)),
            visitors=min(max(part(VISITORS), 1), views),
            items=min(max(part(ITEMS), 1), views),
            copies=copies,
            sessions=max(round((views + copies) * SESSIONS_PER_VIEW), part(VISITORS), 1),
            steepness=3.2,
        )

    def rows(self, chunk: Chunk, chunks: int) -> Rows:
        """The chunk's events in no order."""
        import numpy as np

        views = np.concatenate([np.arange(len(chunk.item)), chunk.copied_views])
        at = np.concatenate([views, chunk.cart_view, chunk.line_view])
        count = len(chunk.line_order)
        position = np.arange(count) - np.searchsorted(chunk.line_order, chunk.line_order)
        times = [chunk.view_ts[views], chunk.cart_ts, chunk.order_ts[chunk.line_order] + position]
        order = np.full(len(at), -1)
        order[len(at) - count :] = chunk.first_order + chunk.line_order
        return {
            "ts": np.concatenate(times),
            "kind": np.repeat(np.arange(3), [len(views), len(chunk.cart_view), count]),
            "visitor": chunk.visitor[chunk.session[at]],
            "item": chunk.item[at],
            "order": order,
        }

    def lines(self, rows: Rows) -> Lines:
        """Rows as text."""
        bought = rows["order"] >= 0
        order = scatter(rows["order"][bought], self.totals.orders) if bought.any() else rows["order"][:0]
        return lines(
            plain(rows["ts"]),
            plain(scatter(rows["visitor"], self.totals.visitors)),
            coded(self.types, rows["kind"]),
            plain(scatter(rows["item"], self.totals.items)),
            sparse(bought, plain(order)),
        )

    def time(self, millis: int) -> bytes:
        """A time as text."""
        return b"%d" % millis

    def visitor(self, number: int) -> bytes:
        """The id of a visitor who is none of those that there are."""
        return b"%d" % (self.totals.visitors + number)
