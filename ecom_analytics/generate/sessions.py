"""Sessions of one day at a time: who comes, when, what they look at, put into the cart and buy.

Every count is exact: a plan shares the totals out over the days first, and each day then keeps to its share. A day is
made from the seed and its number alone, so memory is bounded by the largest day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

DAY_MS = 86_400_000
LONGEST = 150
"""Most views of one session."""

_WEEKDAY = (1.06, 1.08, 1.06, 1.04, 0.98, 0.84, 0.94)
_HOUR = (38, 28, 19, 13, 10, 10, 14, 22, 33, 43, 50, 54, 56, 57, 58, 60, 64, 71, 80, 88, 92, 86, 70, 52)


@dataclass(frozen=True)
class Totals:
    """What the whole clickstream holds; ``views`` include ``duplicates``, which are exact copies of views."""

    days: int
    views: int
    carts: int
    lines: int
    transactions: int
    visitors: int
    items: int
    duplicates: int
    sessions_per_view: float


@dataclass(frozen=True)
class Day:
    """One day's sessions. Arrays of views are as long as there are views, others as their name says.

    ``session`` is the session of each view; ``cart_view`` and ``line_view`` point at the view of the product that is
    put into the cart or bought; ``line_order`` is the order (0 …) within the day of each line, ``order_session`` its
    session. Times are milliseconds since 1970.
    """

    number: int
    start: int
    visitor: Ints
    session: Ints
    view_ts: Ints
    item: Ints
    cart_view: Ints
    cart_ts: Ints
    line_view: Ints
    line_order: Ints
    order_ts: Ints
    order_session: Ints
    first_order: int
    copied_views: Ints
    rng: np.random.Generator


def share(total: int, weights: NDArray[np.floating[Any]]) -> Ints:
    """``total`` shared out by weight, in whole numbers that sum to it."""
    import numpy as np

    exact = np.cumsum(weights) / weights.sum() * total
    shares: Ints = np.diff(np.floor(exact + 0.5).astype(np.int64), prepend=0)
    return shares


def _at_most(counts: Ints, room: Ints) -> Ints:
    """Move what does not fit on a day to days with room, in order."""
    import numpy as np

    counts = counts.copy()
    over = np.maximum(counts - room, 0)
    counts -= over
    left = int(over.sum())
    for day in np.argsort(counts - room, kind="stable"):
        if not left:
            break
        moved = min(left, int(room[day] - counts[day]))
        counts[day] += moved
        left -= moved
    return counts


def days_of(totals: Totals, seed: int, first_day: int) -> Iterator[Day]:
    """The days of a clickstream, in order.

    Parameters
    ----------
    totals : Totals
    seed : int
    first_day : int
        Days since 1970.
    """
    import numpy as np

    rng = np.random.default_rng([seed, 0])
    numbers = np.arange(totals.days)
    weekday = np.array(_WEEKDAY)[(numbers + first_day + 3) % 7]
    weight = weekday * (1 + 0.25 * numbers / max(totals.days, 1)) * rng.normal(1, 0.05, totals.days).clip(0.8, 1.2)
    unique = totals.views - totals.duplicates
    views = share(unique, weight)
    orders = _at_most(share(totals.transactions, weight), views)
    more = share(totals.lines - totals.transactions, orders + 1e-9)
    lines = orders + _at_most(more, np.where(orders > 0, views - orders, 0))
    carts = _at_most(share(totals.carts, weight), views)
    copies = _at_most(share(totals.duplicates, views + 1e-9), views)
    # each order has its own session, and each session looks at one item at least
    sessions = np.round(views * totals.sessions_per_view).astype(np.int64)
    sessions = np.clip(sessions, np.maximum(orders, np.minimum(views, 1)), views - lines + orders)
    visitors = _at_most(share(totals.visitors, sessions + 1e-9), sessions)
    items = _at_most(share(totals.items, views + 1e-9), views)
    known = seen = ordered = 0
    end = (first_day + totals.days) * DAY_MS
    for n in range(totals.days):
        plan = {"views": views[n], "sessions": sessions[n], "carts": carts[n], "lines": lines[n], "orders": orders[n],
                "copies": copies[n], "new_visitors": visitors[n], "new_items": items[n]}  # fmt: skip
        yield _day(
            n, {k: int(v) for k, v in plan.items()}, known, seen, ordered, totals, (first_day + n) * DAY_MS, end, seed
        )
        known, seen, ordered = known + int(visitors[n]), seen + int(items[n]), ordered + int(orders[n])


def _day(
    n: int, plan: dict[str, int], known: int, seen: int, ordered: int, totals: Totals, start: int, end: int, seed: int
) -> Day:
    import numpy as np

    rng = np.random.default_rng([seed, 1, n])
    count, orders = plan["sessions"], plan["orders"]
    lines_of = _sizes(rng, plan["lines"], np.ones(orders, dtype=np.int64), 1.45)
    order_session = np.sort(rng.choice(count, orders, replace=False)) if orders else np.zeros(0, dtype=np.int64)
    least = np.ones(count, dtype=np.int64)
    least[order_session] = lines_of
    length = _sizes(rng, plan["views"], least, 1.9)
    session = np.repeat(np.arange(count), length)
    first = np.cumsum(length) - length
    # pauses between views: 20 s to 15 minutes, 70 s in the middle
    pause = np.clip(rng.lognormal(np.log(70_000), 0.9, len(session)), 20_000, 900_000).astype(np.int64)
    pause[first] = 0
    elapsed = np.cumsum(pause)
    elapsed -= elapsed[first][session] if count else 0
    duration = elapsed[first + length - 1] if count else np.zeros(0, dtype=np.int64)
    begin = np.minimum(start + _clock(rng, count), end - duration - 400_000)
    visitor = _visitors(rng, count, plan["new_visitors"], known)
    view_ts = begin[session] + elapsed
    item = _items(rng, plan["views"], plan["new_items"], seen, totals.items)
    # the lines of an order are views of its session, the last ones first
    line_order = np.repeat(np.arange(orders), lines_of)
    position = np.arange(len(line_order)) - np.repeat(np.cumsum(lines_of) - lines_of, lines_of)
    line_view = (first + length - 1)[order_session][line_order] - position
    order_ts = begin[order_session] + duration[order_session] + rng.integers(60_000, 300_000, orders)
    cart_view = _cart_views(rng, plan["carts"], plan["views"], line_view)
    return Day(
        number=n,
        start=start,
        visitor=visitor,
        session=session,
        view_ts=view_ts,
        item=item,
        cart_view=cart_view,
        cart_ts=view_ts[cart_view] + rng.integers(2_000, 19_000, len(cart_view)),
        line_view=line_view,
        line_order=line_order,
        order_ts=order_ts,
        order_session=order_session,
        first_order=ordered,
        copied_views=rng.choice(plan["views"], plan["copies"], replace=False),
        rng=rng,
    )


def _sizes(rng: np.random.Generator, total: int, least: Ints, tail: float) -> Ints:
    """Heavy-tailed sizes of at least ``least`` that sum to ``total``."""
    import numpy as np

    if not len(least):
        return least
    spare = total - int(least.sum())
    extra = np.minimum(rng.pareto(tail, len(least)) * 0.7, LONGEST - 1)
    extra = np.floor(extra + rng.random(len(least)) * 0.4).astype(np.int64)
    over = int(extra.sum()) - spare
    if over > 0:  # take single ones away, each from a place drawn from all that were given
        given = np.repeat(np.arange(len(least)), extra)
        extra -= np.bincount(rng.choice(given, over, replace=False), minlength=len(least))
    elif over < 0:
        extra += np.bincount(rng.integers(0, len(least), -over), minlength=len(least))
    return least + extra


def _clock(rng: np.random.Generator, count: int) -> Ints:
    """Times of day with a daily rhythm, in milliseconds."""
    import numpy as np

    hour = np.searchsorted(np.cumsum(_HOUR) / sum(_HOUR), rng.random(count), side="right")
    return np.minimum(hour, 23) * 3_600_000 + rng.integers(0, 3_600_000, count)


def _visitors(rng: np.random.Generator, count: int, new: int, known: int) -> Ints:
    """The visitor of each session: the new ones of the day once, and regulars, a few of whom come again and again."""
    import numpy as np

    back = count - new
    pool = known + new
    regular = np.floor(pool * rng.random(back) ** 2.2).astype(np.int64) if back else np.zeros(0, dtype=np.int64)
    return rng.permutation(np.concatenate([np.arange(known, known + new), pool - 1 - regular]))


def _items(rng: np.random.Generator, count: int, new: int, seen: int, items: int) -> Ints:
    """The item of each view: heavy-tailed, and each new one of the day at least once."""
    import numpy as np

    item = np.floor(items * rng.random(count) ** 3.2).astype(np.int64)
    item[rng.choice(count, new, replace=False)] = np.arange(seen, seen + new)
    return item


def _cart_views(rng: np.random.Generator, count: int, views: int, line_view: Ints) -> Ints:
    """The views that lead to the cart: of most items that are bought, and of others."""
    import numpy as np

    bought = rng.permutation(line_view)[: min(int(len(line_view) * 0.86 + 0.5), count)]
    free = np.ones(views, dtype=bool)
    free[bought] = False
    others = rng.choice(np.flatnonzero(free), count - len(bought), replace=False) if count > len(bought) else bought[:0]
    return np.concatenate([bought, others])


def scatter(ids: Ints, total: int) -> Ints:
    """Numbers 0 … total-1 in another order that looks like chance, one to one."""
    import math

    step = max(int(total * 0.6180339887) | 1, 1)
    while math.gcd(step, total) != 1:
        step += 2
    return (ids * step + total // 3) % total
