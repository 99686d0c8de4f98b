"""Known amounts of each kind of dirt, and the ledger that says where each one is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import ConfigError
from ecom_analytics.generate.dirt import VIEW_BEFORE, Dirt, Fault, Place
from ecom_analytics.generate.plan import DAY_MS

if TYPE_CHECKING:
    from ecom_analytics.generate.plan import Plan
    from ecom_analytics.generate.shape import Rows, Shape
    from ecom_analytics.generate.text import Lines

DEFAULT = {
    "late_events": 5,  # first: a line that moved away can no longer be copied
    "duplicate_rows": 12,
    "duplicated_transactions": 2,
    "bad_timestamps": 4,
    "missing_ids": 3,
    "ragged_lines": 3,
    "bad_bytes": 2,
    "unknown_events": 2,
    "blank_lines": 2,
}
"""Kind → how many ``faults=True`` gives, where the file has room for them.

``late_events`` are rows moved to the end of the file, two days or more after their time where the file has four days,
and else out of its first half. All others are rows added:

- ``duplicate_rows``: exact copies of a row, further down or on a later day;
- ``duplicated_transactions``: a purchase by a visitor of its own, with a view a minute before, under the id of
  another's transaction, 2 to 60 hours after it;
- ``bad_timestamps``: empty, negative, a word or too large;
- ``missing_ids``: without a visitor;
- ``ragged_lines``: with a field too many or too few;
- ``bad_bytes``: with invalid UTF-8 or a NUL in the product;
- ``unknown_events``: an event type that there is not;
- ``blank_lines``.
"""
KINDS = (*DEFAULT, "bots")
"""All kinds. ``bots``, which ``faults=True`` leaves out, are visitors of their own that view a product every ten
seconds for twelve and a half hours: 4,501 lines each, of which the ledger lists the first one."""

_HOUR_MS = 3_600_000
_SOONEST, _LATEST = 2 * _HOUR_MS, 60 * _HOUR_MS
"""When a transaction id is used again."""
_BOT_MS, _BOT_EVENTS = 10_000, 4_501
_INSERT, _MARK, _REMOVE = range(3)


def wanted(faults: bool | Mapping[str, int]) -> dict[str, int]:
    """Kind → how many; unknown kinds and bad numbers are errors.

    Examples
    --------
    >>> wanted({"blank_lines": 2, "bad_bytes": 0})
    {'blank_lines': 2}
    """
    if isinstance(faults, bool):
        return dict(DEFAULT) if faults else {}
    for kind, count in faults.items():
        if kind not in KINDS:
            raise ConfigError(f"there is no fault {kind!r}", hint=f"the faults are {', '.join(KINDS)}", key=kind)
        if type(count) is not int or count < 0:
            raise ConfigError(
                f"{kind} is {count!r}", hint="give how many to inject, a whole number from 0", key=kind, value=count
            )
    return {kind: faults[kind] for kind in KINDS if faults.get(kind)}


class Injector:
    """Puts faults into a file chunk by chunk, so that their number comes out exactly.

    Parameters
    ----------
    amounts : dict
        Kind → how many in the whole file.
    shape : Shape
    plan : Plan
    seed : int
    """

    def __init__(self, amounts: dict[str, int], shape: Shape, plan: Plan, seed: int) -> None:
        import numpy as np

        self.injected: Counter[str] = Counter()
        self.late: list[Fault] = []
        """Lines taken out of their place; they belong at the end of the file."""
        self._amounts = amounts
        self._plan = plan
        self._dirt = Dirt(shape)
        self._shape = shape
        self._rng = np.random.default_rng([seed, 2])
        self._copies: dict[int, list[Fault]] = {}
        self._timed: list[tuple[int, Fault]] = []
        self._used_orders: set[bytes] = set()
        span = plan.end - plan.start
        ends = {"late_events": plan.end - (2 * DAY_MS if span >= 4 * DAY_MS else span // 2),
                "duplicated_transactions": plan.end - _SOONEST - _HOUR_MS}  # fmt: skip
        self._until = {kind: ends.get(kind, plan.end) for kind in KINDS}

    @property
    def idle(self) -> bool:
        """Whether all is done."""
        return not self._copies and not self._timed and not any(self._left(kind) for kind in self._amounts)

    def short(self) -> dict[str, int]:
        """Kind → how many found no room."""
        return {kind: self._left(kind) for kind in self._amounts if self._left(kind)}

    def _left(self, kind: str) -> int:
        return self._amounts.get(kind, 0) - self.injected[kind]

    def splice(
        self, number: int, rows: Rows, lines: Lines, line: int
    ) -> tuple[list[bytes | memoryview], list[Fault], int]:
        """A chunk with its share of the faults.

        Parameters
        ----------
        number : int
            Of the chunk.
        rows : dict
        lines : Lines
            The same as text.
        line : int
            Number of the last line written so far.

        Returns
        -------
        pieces : list of bytes
            The text.
        faults : list of Fault
            Those in it, in order.
        line : int
            Number of its last line.
        """
        todo = self._todo(number, rows, lines)
        pieces: list[bytes | memoryview] = []
        faults = []
        done = 0  # lines of the chunk that are written
        for at, action, what in sorted(todo, key=lambda step: step[:2]):
            if at > done:
                pieces.append(lines.data[lines.offsets[done] : lines.offsets[at]])
                line, done = line + at - done, at
            if isinstance(what, Fault):
                line += 1
                what.place.line = line
                pieces.append(what.text + b"\n")
                if what.kind:
                    faults.append(what)
            elif action == _MARK:
                what.line = line + 1
            else:
                done += 1
        pieces.append(lines.data[lines.offsets[done] : lines.offsets[len(lines)]])
        return pieces, faults, line + len(lines) - done

    def _todo(self, number: int, rows: Rows, lines: Lines) -> list[tuple[int, int, Fault | Place]]:
        """What to do before which line of the chunk, in the order of drawing."""
        import numpy as np

        rng, count = self._rng, len(lines)
        todo: list[tuple[int, int, Fault | Place]] = []

        def insert(fault: Fault, after: int = -1) -> None:
            todo.append((int(rng.integers(after + 1, count + 1)), _INSERT, fault))

        kept = np.ones(count, dtype=bool)
        for victim in self._victims("late_events", number, self._early(rows)):
            kept[victim] = False
            todo.append((victim, _REMOVE, Place()))
            self.late.append(Fault(lines.text(victim), "late_events"))
        places = np.flatnonzero(kept)
        for copy in self._copies.pop(number, []):
            insert(copy)
        for victim in self._victims("duplicate_rows", number, places, again=True):
            place = Place()
            todo.append((victim, _MARK, place))
            copy = Fault(lines.text(victim), "duplicate_rows", {"of_line": place})
            if number + 1 < self._plan.chunks and rng.random() < 0.5:
                self._copies.setdefault(int(rng.integers(number + 1, self._plan.chunks)), []).append(copy)
            else:
                insert(copy, after=victim)
        for victim in self._victims("duplicated_transactions", number, self._buys(rows, lines, places)):
            place = Place()
            todo.append((victim, _MARK, place))
            self._use_again(int(rows["ts"][victim]), lines.text(victim), place)
        if count and self._left("bots"):
            for victim in rng.choice(count, self._left("bots")):
                self._let_bot_loose(lines.text(victim))
        for kind in ("bad_timestamps", "missing_ids", "ragged_lines", "bad_bytes", "unknown_events", "blank_lines"):
            for victim in self._victims(kind, number, places, again=True):
                insert(Fault(self._dirt.broken(kind, lines.text(victim)), kind))
        return todo + self._timely(number, rows)

    def _victims(self, kind: str, number: int, places: Any, again: bool = False) -> list[int]:
        """Rows of the chunk for a kind, as many as are its share; the same one twice only if ``again``."""
        import numpy as np

        left = self._left(kind)
        if not left or not len(places):
            return []
        edges, until = self._plan.edges, self._until[kind]
        of = self._plan.orders if kind == "duplicated_transactions" else self._plan.views
        part = np.clip((until - edges[:-1]) / np.maximum(np.diff(edges), 1), 0, 1)
        weight = of[number:] * part[number:]
        later = weight[1:].sum()
        count = int(self._rng.binomial(left, weight[0] / weight.sum())) if later and weight.sum() else left
        if not again:  # leave to later chunks only what they surely have room for
            sure = int(of[number + 1 :][part[number + 1 :] == 1].sum())
            count = min(max(count, left - sure), len(places))
        self.injected[kind] += count
        return [int(place) for place in self._rng.choice(places, count, replace=again and count > len(places))]

    def _early(self, rows: Rows) -> Any:
        import numpy as np

        return np.arange(np.searchsorted(rows["ts"], self._until["late_events"]))

    def _buys(self, rows: Rows, lines: Lines, places: Any) -> list[int]:
        """The first line of each transaction of the chunk that can be used again."""
        import numpy as np

        if not self._left("duplicated_transactions"):
            return []
        until = self._until["duplicated_transactions"]
        buys = np.flatnonzero((rows["kind"] == self._shape.purchase) & (rows["ts"] < until))
        found: dict[bytes, int] = {}
        for place in np.intersect1d(buys, places):
            found.setdefault(self._dirt.order(lines.text(place)), int(place))
        return [place for order, place in found.items() if order not in self._used_orders]

    def _use_again(self, at: int, text: bytes, place: Place) -> None:
        self._used_orders.add(self._dirt.order(text))
        latest = min(at + _LATEST, self._plan.end - 1)
        later = int(self._rng.integers(at + _SOONEST + VIEW_BEFORE, latest))
        view, purchase = self._dirt.used_again(text, later)
        purchase.facts = {"transaction_id": self._dirt.order(text).decode(), "of_line": place, "view_line": view.place}
        self._timed += [(later - VIEW_BEFORE, view), (later, purchase)]

    def _let_bot_loose(self, text: bytes) -> None:
        self.injected["bots"] += 1
        first = int(self._rng.integers(self._plan.start, self._plan.end - _BOT_MS * _BOT_EVENTS))
        times = range(first, first + _BOT_MS * _BOT_EVENTS, _BOT_MS)
        self._timed += zip(times, self._dirt.bot(text, times), strict=True)

    def _timely(self, number: int, rows: Rows) -> list[tuple[int, int, Fault | Place]]:
        """The lines whose time has come, at their place in time."""
        import numpy as np

        end = self._plan.edges[number + 1]
        now = sorted((timed for timed in self._timed if timed[0] < end), key=lambda timed: timed[0])
        self._timed = [timed for timed in self._timed if timed[0] >= end]
        return [(int(np.searchsorted(rows["ts"], at, side="right")), _INSERT, fault) for at, fault in now]
