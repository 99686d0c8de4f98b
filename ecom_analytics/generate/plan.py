"""How much of everything each part of the time gets: whole numbers that add up to the totals exactly.

The time is cut into chunks: days, or parts of days where a day holds very many events. Each chunk is then made from its
number and its share alone, so that memory is bounded by the largest chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

DAY_MS = 86_400_000
CHUNK_VIEWS = 200_000
"""A day with more views than this is cut into chunks, of equal weight."""
MOST_CHUNKS = 64
"""Chunks of a day: the last one must be long enough for a session to end in."""

_WEEKDAY = (1.06, 1.08, 1.06, 1.04, 0.98, 0.84, 0.94)
_HOUR = (38, 28, 19, 13, 10, 10, 14, 22, 33, 43, 50, 54, 56, 57, 58, 60, 64, 71, 80, 88, 92, 86, 70, 52)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the whole clickstream holds.

    Attributes
    ----------
    days, views, carts, lines, orders, visitors, items : int
        ``lines`` are those of the ``orders``; ``views`` are without ``copies``.
    copies : int
        Views that are in the file twice.
    sessions : int
        Each has one view at least; a few more or fewer if that does not fit.
    steepness : float
        How much the popular items stand out.
    """

    days: int
    views: int
    carts: int
    lines: int
    orders: int
    visitors: int
    items: int
    copies: int
    sessions: int
    steepness: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The share of each chunk; ``visitors`` and ``items`` are those that come for the first time.

    ``edges`` are the chunks' bounds in milliseconds since 1970, one more than there are chunks.
    """

    edges: Ints
    views: Ints
    sessions: Ints
    carts: Ints
    orders: Ints
    lines: Ints
    visitors: Ints
    items: Ints
    copies: Ints

    @property
    def chunks(self) -> int:
        return len(self.views)

    @property
    def start(self) -> int:
        return int(self.edges[0])

    @property
    def end(self) -> int:
        return int(self.edges[-1])


def share(total: int, weights: NDArray[np.float64] | Ints) -> Ints:
    """``total`` shared out by weight, in whole numbers that sum to it.

    Examples
    --------
    >>> import numpy as np
    >>> share(10, np.array([1.0, 1.0, 2.0])).tolist()
    [3, 2, 5]
    """
    import numpy as np

    exact = np.cumsum(weights, dtype=np.float64) / max(float(weights.sum()), 1e-300) * total
    until = np.floor(exact + 0.5).astype(np.int64)
    until[1:] -= until[:-1].copy()
    return until


def fit(counts: Ints, low: Ints, high: Ints, total: int) -> Ints:
    """``counts`` moved into ``low`` … ``high`` so that they sum to ``total``, or as near as the bounds let them.

    Examples
    --------
    >>> import numpy as np
    >>> fit(np.array([0, 5, 1]), np.array([1, 1, 1]), np.array([2, 3, 9]), 7).tolist()
    [1, 3, 3]
    """
    import numpy as np

    counts = np.clip(counts, low, np.maximum(low, high))
    missing = total - int(counts.sum())
    room = np.maximum(high - counts, 0) if missing > 0 else counts - low
    # spread over those that have room, the roomiest first
    order = np.argsort(-room, kind="stable")
    before = np.cumsum(room[order]) - room[order]
    counts[order] += np.sign(missing) * np.clip(abs(missing) - before, 0, room[order])
    return counts


def clock(share_of_day: NDArray[np.float64]) -> Ints:
    """The time of day, in milliseconds, until which this share of a day's visits has come."""
    import numpy as np

    until = np.concatenate([[0.0], np.cumsum(_HOUR)]) / sum(_HOUR)
    return np.interp(share_of_day, until, np.arange(25) * 3_600_000).astype(np.int64)


def plan(totals: Totals, seed: int, first_day: int) -> Plan:
    """Share the totals out over chunks, with a weekly rhythm, some growth and some noise.

    Parameters
    ----------
    totals : Totals
    seed : int
    first_day : int
        Days since 1970.
    """
    import numpy as np

    rng = np.random.default_rng([seed, 0])
    parts = chunks_a_day(totals)
    day = np.arange(totals.days)
    weight = np.array(_WEEKDAY)[(day + first_day + 3) % 7] * (1 + 0.25 * day / totals.days)
    weight = np.repeat(weight * rng.normal(1, 0.05, totals.days).clip(0.8, 1.2), parts)
    buying = weight * np.repeat(rng.normal(1, 0.12, totals.days).clip(0.6, 1.4), parts)
    edges = ((first_day + day) * DAY_MS)[:, None] + clock(np.arange(parts) / parts)
    zero = np.zeros(len(weight), dtype=np.int64)

    views = share(totals.views, weight)
    orders = fit(share(totals.orders, buying), zero, views, totals.orders)
    lines = fit(share(totals.lines, orders), orders, np.where(orders > 0, views, 0), totals.lines)
    # an order has a session of its own, in which its products are viewed
    most = views - lines + orders
    sessions = fit(share(totals.sessions, views), np.maximum(orders, views > 0), most, totals.sessions)
    visitors = fit(share(totals.visitors, sessions), zero, sessions, totals.visitors)
    first = int(np.argmax(sessions > 0))
    if not visitors[first]:  # somebody must be the first
        visitors[first] += 1
        visitors[np.flatnonzero(visitors)[-1]] -= 1
    return Plan(
        edges=np.append(edges.ravel(), (first_day + totals.days) * DAY_MS),
        views=views,
        sessions=sessions,
        carts=fit(share(totals.carts, buying), zero, views, totals.carts),
        orders=orders,
        lines=lines,
        visitors=visitors,
        items=fit(share(totals.items, views), zero, views, totals.items),
        copies=fit(share(totals.copies, views), zero, views, totals.copies),
    )


def chunks_a_day(totals: Totals) -> int:
    """Into how many chunks a day is cut."""
    return min(max(-(-totals.views // (totals.days * CHUNK_VIEWS)), 1), MOST_CHUNKS)
