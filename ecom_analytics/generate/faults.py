"""Known amounts of each kind of dirt, and the ledger that says where each one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

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
KINDS = tuple(DEFAULT)
LATER_DAYS = 3
"""A reused transaction id comes again within this many days."""

_BAD_TIMES = (b"", b"-1", b"yesterday", b"99999999999999999999")


@dataclass(eq=False)
class Line:
    """One line of the file to be: its bytes, and the fault that it is, if any."""

    text: bytes
    kind: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    copy_of: Line | None = None
    number: int = 0


@dataclass(frozen=True)
class Layout:
    """Where the fields are: positions of columns, and the name of a purchase."""

    time: int
    event: int
    visitor: int
    item: int
    order: int
    event_id: int | None
    purchase: bytes
    later: Callable[[bytes, int], bytes]
    """A time's text some milliseconds later."""


def wanted(faults: bool | Mapping[str, int]) -> dict[str, int]:
    """Kind → how many; unknown kinds and bad numbers are errors."""
    if isinstance(faults, bool):
        return dict(DEFAULT) if faults else {}
    for kind, count in faults.items():
        if kind not in KINDS:
            raise ConfigError(f"there is no fault {kind!r}", hint=f"the faults are {', '.join(KINDS)}", key=kind)
        if count < 0:
            raise ConfigError(f"{kind} must be 0 or more, not {count}", hint="give how many to inject", key=kind)
    return {kind: count for kind, count in faults.items() if count}


class Injector:
    """Injects faults chunk by chunk, so that their total comes out exactly.

    Parameters
    ----------
    amounts : dict
        Kind → how many in the whole file.
    layout : Layout
    chunks : int
        How many chunks there will be.
    rng : numpy.random.Generator
    """

    def __init__(self, amounts: dict[str, int], layout: Layout, chunks: int, rng: np.random.Generator) -> None:
        self._left = dict(amounts)
        self._layout = layout
        self._chunks = chunks
        self._rng = rng
        self._held: list[Line] = []
        self._serial = 0

    @property
    def late(self) -> list[Line]:
        """Lines taken out of their place; they belong at the end of the file."""
        return self._held

    def inject(self, chunk: int, lines: list[Line]) -> list[Line]:
        """The chunk's lines with its share of the faults."""
        clean = list(lines)
        for kind in KINDS:
            for _ in range(self._share(kind, self._chunks - chunk)):
                if not self._one(kind, lines, clean):
                    break
                self._left[kind] -= 1
        return lines

    @property
    def due(self) -> bool:
        """Whether any fault is left to inject."""
        return any(self._left.values())

    def check(self) -> None:
        """All faults found their place."""
        left = {kind: count for kind, count in self._left.items() if count}
        if left:
            raise ConfigError(
                f"there is no room for these faults: {left}",
                hint="ask for fewer of them, or for more events",
                left=left,
            )

    def _share(self, kind: str, chunks_left: int) -> int:
        left = self._left.get(kind, 0)
        if kind == "duplicated_transactions" and self._chunks > 2 * LATER_DAYS:
            chunks_left -= LATER_DAYS  # the copies lie later, but not after the last day
            if chunks_left < 1:
                return 0
        return left if chunks_left <= 1 else int(self._rng.binomial(left, 1 / chunks_left))

    def _one(self, kind: str, lines: list[Line], clean: list[Line]) -> bool:
        if kind == "late_events" and (self._chunks < 3 or len(clean) < 2):
            return False
        victims = [line for line in clean if self._is_purchase(line)] if kind == "duplicated_transactions" else clean
        if kind == "blank_lines":
            self._insert(lines, Line(b"", kind))
            return True
        if not victims:
            return False
        victim = victims[int(self._rng.integers(len(victims)))]
        if kind == "late_events":
            lines.remove(victim)
            clean.remove(victim)
            self._held.append(Line(victim.text, kind, {"text": _shown(victim.text)}))
        elif kind == "duplicate_rows":
            self._insert(lines, Line(victim.text, kind, copy_of=victim), after=lines.index(victim))
        elif kind == "duplicated_transactions":
            self._reuse_transaction(lines, victim)
        else:
            self._insert(lines, Line(self._broken(kind, victim.text), kind))
        return True

    def _insert(self, lines: list[Line], line: Line, after: int = -1) -> None:
        line.facts.setdefault("text", _shown(line.text))
        lines.insert(int(self._rng.integers(after + 1, len(lines) + 1)), line)

    def _is_purchase(self, line: Line) -> bool:
        return line.text.split(b",")[self._layout.event] == self._layout.purchase

    def _reuse_transaction(self, lines: list[Line], victim: Line) -> None:
        """Another visitor's purchase, hours later, under the same transaction id; a view of it goes before."""
        self._serial += 1
        at = self._layout
        fields = victim.text.split(b",")
        hours = int(self._rng.integers(3, 60))
        fields[at.visitor] = (
            b"%d" % (900_000_000 + self._serial) if fields[at.visitor].isdigit() else b"x%d" % self._serial
        )
        fields[at.time] = at.later(fields[at.time], hours * 3_600_000)
        if at.event_id is not None:
            fields[at.event_id] = b"x%d" % self._serial
        view = list(fields)
        view[at.time] = at.later(victim.text.split(b",")[at.time], hours * 3_600_000 - 60_000)
        view[at.event], view[at.order] = b"view", b""
        if at.event_id is not None:
            view[at.event_id] = b"w%d" % self._serial
        lines.append(Line(b",".join(view)))
        facts = {"transaction_id": fields[at.order].decode(), "text": _shown(b",".join(fields))}
        lines.append(Line(b",".join(fields), "duplicated_transactions", facts, copy_of=victim))

    def _broken(self, kind: str, text: bytes) -> bytes:
        at, fields = self._layout, text.split(b",")
        self._serial += 1
        if kind == "bad_timestamps":
            fields[at.time] = _BAD_TIMES[self._serial % len(_BAD_TIMES)]
        elif kind == "missing_ids":
            fields[at.visitor] = b""
        elif kind == "unknown_events":
            fields[at.event] += b"x"
        elif kind == "bad_bytes":
            fields[at.item] = (b"\xff\xfe", b"a\x00b")[self._serial % 2]
        elif self._serial % 2:
            fields.append(b"extra")
        else:
            fields.pop()
        return b",".join(fields)


def _shown(text: bytes) -> str:
    return text.decode("utf-8", errors="backslashreplace")
