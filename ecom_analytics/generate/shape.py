"""What a shape of clickstream tells the writer: its rows as numbers, and how they look as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ecom_analytics.generate.plan import Plan, Totals
    from ecom_analytics.generate.sessions import Chunk
    from ecom_analytics.generate.text import Lines

    Rows = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the columns that faults are put into.

    ``of_purchase`` are empty unless the event is a purchase, ``of_person`` are those that tell one person beside the
    visitor's id.
    """

    time: str
    event: str
    visitor: str
    item: str
    order: str
    of_purchase: tuple[str, ...] = ()
    of_person: tuple[str, ...] = ()
    event_id: str | None = None


class Shape(Protocol):
    """One kind of shop. Rows have at least ``ts`` (milliseconds since 1970) and ``kind`` (a place in ``types``)."""

    columns: tuple[str, ...]
    layout: Layout
    types: tuple[str, ...]
    view: int
    purchase: int
    totals: Totals

    def rows(self, chunk: Chunk, chunks: int) -> Rows: ...

    def lines(self, rows: Rows) -> Lines: ...

    def time(self, millis: int) -> bytes: ...

    def visitor(self, number: int) -> bytes: ...


def in_order(shape: Shape, plan: Plan, seed: int) -> Iterator[Rows]:
    """The rows of each chunk, sorted by time; what is later than the chunk waits for the next one."""
    import numpy as np

    from ecom_analytics.generate.sessions import chunk

    waiting: Rows = {}
    for number in range(plan.chunks):
        rows = waiting
        if plan.views[number]:
            new = shape.rows(chunk(number, plan, shape.totals, seed), plan.chunks)
            rows = {name: np.concatenate([waiting[name], new[name]]) for name in new} if waiting else new
        if not rows:
            yield {"ts": np.zeros(0, dtype=np.int64), "kind": np.zeros(0, dtype=np.int64)}
            continue
        order = np.argsort(rows["ts"], kind="stable")
        cut = int(np.count_nonzero(rows["ts"] < plan.edges[number + 1]))
        yield {name: values[order[:cut]] for name, values in rows.items()}
        waiting = {name: values[order[cut:]] for name, values in rows.items()}
