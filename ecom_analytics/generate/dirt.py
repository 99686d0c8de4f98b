"""Broken lines out of good ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecom_analytics.generate.shape import Shape

VIEW_BEFORE = 60_000
"""How long before a purchase its view is, in milliseconds."""

_BAD_TIMES = (b"", b"-1", b"yesterday", b"99999999999999999999")
_BAD_BYTES = (b"\xff\xfe", b"a\x00b")


@dataclass(eq=False, slots=True)
class Place:
    """Where a line came to lie in the file, once that is known."""

    line: int = 0


@dataclass(eq=False, slots=True)
class Fault:
    """A line that is put into the file; of no ``kind`` if it only belongs to a fault."""

    text: bytes
    kind: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    place: Place = field(default_factory=Place)

    def entry(self) -> dict[str, Any]:
        """What the ledger says of it."""
        facts = {name: fact.line if isinstance(fact, Place) else fact for name, fact in self.facts.items()}
        text = self.text.decode("utf-8", errors="backslashreplace")
        return {"kind": self.kind, "line": self.place.line, "text": text, **facts}


class Dirt:
    """Makes broken lines out of good ones. No field is quoted, so that fields are what lies between commas."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._at = {name: place for place, name in enumerate(shape.columns)}
        self._made: Counter[str] = Counter()

    def order(self, text: bytes) -> bytes:
        """The transaction id of a line."""
        return text.split(b",")[self._at[self._shape.layout.order]]

    def broken(self, kind: str, text: bytes) -> bytes:
        """A line with one thing wrong; the ways to be wrong take turns."""
        layout, fields, turn = self._shape.layout, text.split(b","), self._made[kind]
        self._made[kind] += 1
        if kind == "blank_lines":
            return b""
        if kind == "bad_timestamps":
            fields[self._at[layout.time]] = _BAD_TIMES[turn % len(_BAD_TIMES)]
        elif kind == "missing_ids":
            fields[self._at[layout.visitor]] = b""
        elif kind == "unknown_events":
            fields[self._at[layout.event]] += b"x"
        elif kind == "bad_bytes":
            fields[self._at[layout.item]] = _BAD_BYTES[turn % len(_BAD_BYTES)]
        elif turn % 2:
            fields.append(b"extra")
        else:
            fields.pop()
        return b",".join(fields)

    def used_again(self, text: bytes, later: int) -> tuple[Fault, Fault]:
        """A view and a purchase by a visitor of its own, with the product and the transaction id of ``text``."""
        shape, layout, turn = self._shape, self._shape.layout, self._made["visitors"]
        fields = self._of_own_visitor(text)
        view = list(fields)
        for row, at, event_id in ((view, later - VIEW_BEFORE, b"v%015d"), (fields, later, b"x%015d")):
            row[self._at[layout.time]] = shape.time(at)
            if layout.event_id is not None:
                row[self._at[layout.event_id]] = event_id % turn
        self._make_view(view)
        return Fault(b",".join(view)), Fault(b",".join(fields), "duplicated_transactions")

    def bot(self, text: bytes, times: Sequence[int]) -> Iterator[Fault]:
        """Views at these times by a visitor of its own, with the product of ``text``; the first one is the fault."""
        shape, layout, turn = self._shape, self._shape.layout, self._made["visitors"]
        fields = self._of_own_visitor(text)
        self._make_view(fields)
        visitor = fields[self._at[layout.visitor]].decode()
        for number, at in enumerate(times):
            fields[self._at[layout.time]] = shape.time(at)
            if layout.event_id is not None:
                fields[self._at[layout.event_id]] = b"b%06d%09d" % (turn, number)
            facts = {"visitor_id": visitor, "events": len(times)}
            yield Fault(b",".join(fields)) if number else Fault(b",".join(fields), "bots", facts)

    def _of_own_visitor(self, text: bytes) -> list[bytes]:
        layout = self._shape.layout
        fields = text.split(b",")
        fields[self._at[layout.visitor]] = self._shape.visitor(self._made["visitors"])
        self._made["visitors"] += 1
        for name in layout.of_person:
            fields[self._at[name]] = b""
        return fields

    def _make_view(self, fields: list[bytes]) -> None:
        layout = self._shape.layout
        fields[self._at[layout.event]] = self._shape.types[self._shape.view].encode()
        for name in (layout.order, *layout.of_purchase):
            fields[self._at[name]] = b""
