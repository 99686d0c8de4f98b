"""The shape of the RetailRocket events file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecom_analytics.generate.sessions import Day, Totals, scatter

if TYPE_CHECKING:
    import pyarrow as pa

EVENTS = 2_756_101
DAYS = 138
START = "2015-05-03"
COLUMNS = ("timestamp", "visitorid", "event", "itemid", "transactionid")
TIME, VISITOR, EVENT, ITEM, ORDER = range(5)
PURCHASE = b"transaction"


def totals(events: int, days: int) -> Totals:
    """The published counts of the real file, in proportion to ``events``."""

    def part(count: int) -> int:
        return round(count * events / EVENTS)

    carts, lines = part(69_332), part(22_457)
    views = events - carts - lines
    orders = min(part(17_672), lines) or min(lines, 1)
    return Totals(
        days=days,
        views=views,
        carts=carts,
        lines=lines,
        transactions=orders,
        visitors=max(part(1_407_580), 1),
        items=max(min(part(235_061), views - part(460)), 1),
        duplicates=part(460),
        sessions_per_view=0.661,
    )


def rows(day: Day, of: Totals) -> pa.Table:
    """The day's events in no order, with their time in the first column."""
    import numpy as np
    import pyarrow as pa

    views = np.concatenate([np.arange(len(day.item)), day.copied_views])
    at = np.concatenate([views, day.cart_view, day.line_view])
    line = np.arange(len(day.line_order))
    first_line = np.flatnonzero(np.diff(day.line_order, prepend=-1))
    position = line - first_line[day.line_order]
    times = [day.view_ts[views], day.cart_ts, day.order_ts[day.line_order] + position]
    counts = [len(views), len(day.cart_view), len(line)]
    kinds = pa.array(["view", "addtocart", "transaction"])
    order = pa.array(scatter(day.first_order + day.line_order, max(of.transactions, 1)))
    return pa.table(
        {
            "timestamp": np.concatenate(times),
            "visitorid": scatter(day.visitor[day.session[at]], of.visitors),
            "event": kinds.take(pa.array(np.repeat(np.arange(3), counts))),
            "itemid": scatter(day.item[at], of.items),
            "transactionid": pa.concat_arrays([pa.nulls(counts[0] + counts[1], pa.int64()), order]),
        }
    )
