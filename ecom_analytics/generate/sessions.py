"""Sessions of one chunk of time: who comes, when, what they look at, put into the cart and buy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecom_analytics.generate.plan import Plan, Totals, chunks_a_day, clock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

LONGEST = 150
"""Most views of one session, in any but tiny files."""
LAST_MS = 400_000
"""What may come after the last view of a session: the order, at most 300 s later, and what belongs to it."""
_FAMILY = 6
"""Items that lie together, so that who looks at one often looks at another."""
_WEIGHT = (1.0, 4.0, 8.0)
"""How likely an order is in the session of a new visitor, one who was here lately, a regular."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The sessions that begin in one chunk of time.

    ``session`` and ``item`` are those of each view, ``visitor`` that of each session. ``cart_view`` and ``line_view``
    point at the view of the product that is put into the cart or bought; ``line_order`` is the order (0 …) in the chunk
    of each line, ``order_session`` the session of each order. Times are milliseconds since 1970, before ``end``, the
    end of the whole clickstream; ``number`` counts chunks, ``last`` says that no views come after it.
    """

    number: int
    start: int
    end: int
    last: bool
    first_order: int
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
    copied_views: Ints
    rng: np.random.Generator


def chunk(number: int, plan: Plan, totals: Totals, seed: int) -> Chunk:
    """Make the sessions of one chunk; the same seed and number give the same ones."""
    import numpy as np

    rng = np.random.default_rng([seed, 1, number])
    views, count, orders = int(plan.views[number]), int(plan.sessions[number]), int(plan.orders[number])
    known, seen, ordered = (int(of[:number].sum()) for of in (plan.visitors, plan.items, plan.orders))

    visitor, weight = _visitors(rng, count, int(plan.visitors[number]), known)
    order_session = _drawn(rng, weight, orders)
    lines_of = _sizes(rng, int(plan.lines[number]), np.ones(orders, dtype=np.int64), 1.45)
    least = np.ones(count, dtype=np.int64)
    least[order_session] = lines_of
    length = _sizes(rng, views, least, 1.9)
    session = np.repeat(np.arange(count), length)
    last = np.cumsum(length) - 1
    view_ts = _times(rng, session, last, length, _begins(rng, number, count, plan, totals), plan, number)

    # the lines of an order are views of its session, the last ones first
    line_order = np.repeat(np.arange(orders), lines_of)
    position = np.arange(len(line_order)) - np.repeat(np.cumsum(lines_of) - lines_of, lines_of)
    line_view = last[order_session][line_order] - position
    item = _items(rng, session, int(plan.items[number]), seen, totals, line_view, line_order)
    cart_view = _cart_views(rng, int(plan.carts[number]), views, line_view)
    return Chunk(
        number=number,
        start=int(plan.edges[number]),
        end=plan.end,
        last=not plan.views[number + 1 :].any(),
        first_order=ordered,
        visitor=visitor,
        session=session,
        view_ts=view_ts,
        item=item,
        cart_view=cart_view,
        cart_ts=view_ts[cart_view] + rng.integers(2_000, 19_000, len(cart_view)),
        line_view=line_view,
        line_order=line_order,
        order_ts=view_ts[last[order_session]] + rng.integers(90_000, 300_000, orders),
        order_session=order_session,
        copied_views=rng.choice(views, int(plan.copies[number]), replace=False),
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
    if over > 0:  # take single ones away, each drawn from all that were given
        given = np.repeat(np.arange(len(least)), extra)
        extra -= np.bincount(rng.choice(given, over, replace=False), minlength=len(least))
    elif over < 0:
        extra += np.bincount(rng.integers(0, len(least), -over), minlength=len(least))
    return least + extra


def _visitors(rng: np.random.Generator, count: int, new: int, known: int) -> tuple[Ints, NDArray[np.float64]]:
    """The visitor of each session, and the weight of the session when orders are shared out.

    New visitors come once; of the others some were here lately and some are regulars. Every fourth visitor is one,
    every fourth of those comes more often, and so on: a power law that does not depend on when they came first.
    """
    import numpy as np

    back, pool = count - new, known + new
    regulars = int(0.45 * back)
    recent = pool - 1 - np.floor(pool * rng.random(back - regulars) ** 2.2).astype(np.int64)
    levels = np.arange(1, max(int(np.log(max(pool, 12) / 3) / np.log(4)), 1) + 1)
    chance = 0.75**levels
    step = 4 ** rng.choice(levels, regulars, p=chance / chance.sum())
    regular = step * np.floor(-(-pool // step) * rng.random(regulars)).astype(np.int64)
    order = rng.permutation(count)
    visitor = np.concatenate([np.arange(known, pool), recent, regular])[order]
    return visitor, np.repeat(_WEIGHT, [new, back - regulars, regulars])[order]


def _drawn(rng: np.random.Generator, weight: NDArray[np.float64], count: int) -> Ints:
    """Different places drawn by weight, in order."""
    import numpy as np

    if not count:
        return np.zeros(0, dtype=np.int64)
    key = rng.exponential(size=len(weight)) / weight
    drawn: Ints = np.sort(np.argpartition(key, count - 1)[:count])
    return drawn


def _begins(rng: np.random.Generator, number: int, count: int, plan: Plan, totals: Totals) -> Ints:
    """When sessions begin: within the chunk, with a daily rhythm."""
    parts = chunks_a_day(totals)
    midnight = int(plan.edges[number - number % parts])
    return midnight + clock((number % parts + rng.random(count)) / parts)


def _times(
    rng: np.random.Generator, session: Ints, last: Ints, length: Ints, begin: Ints, plan: Plan, number: int
) -> Ints:  # fmt: skip
    """The time of each view: 20 s to 15 minutes apart, 70 s in the middle; faster for who comes just before the end."""
    import numpy as np

    if not len(session):
        return session
    first = last - length + 1
    pause = np.clip(rng.lognormal(np.log(70_000), 0.9, len(session)), 20_000, 900_000).astype(np.int64)
    pause[first] = 0
    elapsed = np.cumsum(pause)
    elapsed -= elapsed[first][session]
    duration = elapsed[last]
    close = plan.end - LAST_MS
    begin = np.minimum(begin, close - np.minimum(duration, (close - int(plan.edges[number])) // 2))
    if ((begin + duration) > close).any():
        fits = np.minimum((close - begin) / np.maximum(duration, 1), 1)
        elapsed = (elapsed * fits[session]).astype(np.int64)
    return begin[session] + elapsed


def _items(
    rng: np.random.Generator, session: Ints, new: int, seen: int, totals: Totals, line_view: Ints, line_order: Ints
) -> Ints:  # fmt: skip
    """The item of each view: heavy-tailed, each new one of the chunk at least once, no order with one item twice."""
    import numpy as np

    count, items, power, shift = len(session), totals.items, totals.steepness, 0.05
    drawn = (rng.random(count) + shift) ** power - shift**power
    item: Ints = np.floor(items * drawn / ((1 + shift) ** power - shift**power)).astype(np.int64)
    alike = np.flatnonzero((rng.random(count) < 0.35) & (np.diff(session, prepend=-1) == 0))
    item[alike] = item[alike - 1] // _FAMILY * _FAMILY + rng.integers(0, _FAMILY, len(alike))
    np.minimum(item, items - 1, out=item)
    fixed = rng.choice(count, new, replace=False)
    item[fixed] = np.arange(seen, seen + new)
    free = np.ones(count, dtype=bool)
    free[fixed] = False
    for _ in range(20):  # with very few items there may be no way
        again = _repeated(item[line_view] + line_order * items, ~free[line_view])
        if not len(again):
            break
        item[line_view[again]] = rng.integers(0, items, len(again))
    return item


def _repeated(values: Ints, first: NDArray[np.bool_]) -> Ints:
    """Where a value stands that stood before; those of ``first`` count as standing before the others."""
    import numpy as np

    order: Ints = np.lexsort((~first, values))
    again: Ints = order[1:][np.diff(values[order]) == 0]
    return again


def _cart_views(rng: np.random.Generator, count: int, views: int, line_view: Ints) -> Ints:
    """The views that lead to the cart: of most items that are bought, and of others."""
    import numpy as np

    bought = rng.permutation(line_view)[: min(int(len(line_view) * 0.86 + 0.5), count)]
    free = np.ones(views, dtype=bool)
    free[bought] = False
    others = rng.choice(np.flatnonzero(free), count - len(bought), replace=False)
    return np.concatenate([bought, others])


def scatter(ids: Ints, total: int) -> Ints:
    """Numbers 0 … total-1 in another order that looks like chance, one to one.

    Examples
    --------
    >>> import numpy as np
    >>> scatter(np.arange(5), 5).tolist()
    [1, 4, 2, 0, 3]
    """
    step = max(int(total * 0.6180339887) | 1, 1)
    while math.gcd(step, total) != 1:
        step += 2
    return (ids * step + total // 3) % total
