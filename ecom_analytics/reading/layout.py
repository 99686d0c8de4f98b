"""Which lines of a block go the fast way, and which records need the slow one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecom_analytics.reading.lines import Lines, blank_lines, broken_lines, stray_lines
from ecom_analytics.reading.quotes import Quotes
from ecom_analytics.reading.records import QUOTE, Dialect, Record, split_record

if TYPE_CHECKING:
    from ecom_analytics.reading.lines import Mask

_REACH = 256
"""Lines to look at together at first; doubled each time that some of them are well-formed."""

_TRUST = 2
"""Well-formed records in a row that make it worth while to look at many lines together."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the lines of a block are.

    Attributes
    ----------
    starts, fast : array of bool
        Which lines begin a record, and which belong to one, that any CSV parser splits in the same way.
    blank : array of bool
        Which lines are blank.
    slow : list of (int, Record)
        The other records, with their lines.
    stop : int
        The line from which on all belongs to a record that goes on in the next block.
    """

    starts: Mask
    fast: Mask
    blank: Mask
    slow: list[tuple[int, Record]]
    stop: int


def lay_out(data: bytes, lines: Lines, dialect: Dialect, *, final: bool) -> Layout:
    """Find the records in ``data``, which begins outside quotes."""
    import numpy as np

    blank = blank_lines(data, lines, dialect)
    broken = broken_lines(data, lines, dialect)
    stray = stray_lines(data, lines, dialect) & ~blank
    quotes = Quotes(data, lines, dialect, broken | stray) if QUOTE in data else None
    odd = broken | stray
    if quotes:
        odd |= quotes.odd
    fast = ~(odd | blank)
    layout = Layout(fast.copy(), fast, blank, [], len(lines))
    free, reach, trust = 0, _REACH, 0
    for line in np.flatnonzero(odd).tolist():
        if line < free:
            continue
        if quotes and trust >= _TRUST and quotes.odd[line]:
            free = quotes.well_formed(line, min(line + reach, len(lines)))
            if free > line:
                _take_fast(layout, line, quotes.outside(line, free))
                reach *= 2
                continue
            reach, trust = _REACH, 0
        if broken[line] and not (quotes and quotes.odd[line]):
            record: Record | None = Record([], int(lines.ends[line]), int(lines.next[line]), 1)  # rejected anyway
        else:
            record = split_record(data, int(lines.starts[line]), dialect, final=final)
            trust = trust + 1 if record and record.fields else 0
        if record is None:
            return _cut(layout, line)
        free = line + record.lines
        layout.slow.append((line, record))
        if record.lines > 1:
            for mask in (layout.starts, layout.fast, layout.blank):
                mask[line:free] = False
    return layout


def _take_fast(layout: Layout, line: int, outside: Mask) -> None:
    """Note that the lines from ``line`` on are well-formed records, and which of them begin outside quotes."""
    here = slice(line, line + len(outside))
    blank = layout.blank[here] & outside
    layout.starts[here] = outside & ~blank
    layout.fast[here] = ~blank
    layout.blank[here] = blank


def _cut(layout: Layout, stop: int) -> Layout:
    """The layout of the lines before ``stop``."""
    for mask in (layout.starts, layout.fast, layout.blank):
        mask[stop:] = False
    return Layout(layout.starts, layout.fast, layout.blank, layout.slow, stop)
