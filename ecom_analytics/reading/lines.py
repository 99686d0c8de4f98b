"""What is on each line of a block, found with numpy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecom_analytics.reading.records import CR, LF, QUOTE, Dialect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]
    Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a block.

    Attributes
    ----------
    starts, ends, next : array of int64
        Where each line starts, where its content stops, and where the line after it starts.
    """

    starts: Positions
    ends: Positions
    next: Positions

    def __len__(self) -> int:
        return len(self.starts)

    def of(self, positions: Positions) -> Positions:
        """The line that each position is on."""
        import numpy as np

        return np.searchsorted(self.next, positions, side="right")


def find_lines(data: bytes, dialect: Dialect) -> Lines:
    """Index the lines of ``data``; the last one may lack its newline."""
    import numpy as np

    array = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(array == dialect.newline)
    after = ends + 1
    if data and data[-1] != dialect.newline:
        ends = np.append(ends, len(data))
        after = np.append(after, len(data))
    starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), after[:-1]])
    if dialect.newline == LF and CR in data:
        ends = ends - ((ends > starts) & (array[ends - 1] == CR))
    return Lines(starts, ends, after)


def blank_lines(data: bytes, lines: Lines, dialect: Dialect) -> Mask:
    """Which lines hold nothing but spaces, tabs and CR."""
    import numpy as np

    array = np.frombuffer(data, np.uint8)
    spaces = dialect.spaces
    blank = lines.starts == lines.ends
    space = np.zeros(256, np.bool_)
    space[list(spaces)] = True
    # For an empty line, both look at its newline, or at the end of the line before: it is blank already.
    maybe = ~blank & space[array[lines.starts]] & space[array[lines.ends - 1]]
    for line in np.flatnonzero(maybe).tolist():
        blank[line] = not data[lines.starts[line] : lines.ends[line]].strip(spaces)
    return blank


def odd_lines(data: bytes, lines: Lines, dialect: Dialect) -> Mask:
    """Which lines need a closer look.

    Those with a NUL, a stray CR, invalid UTF-8, or quotes other than around whole fields of that line.
    """
    import numpy as np

    array = np.frombuffer(data, np.uint8)
    odd = np.zeros(len(lines), np.bool_)
    if 0 in data:
        odd[lines.of(np.flatnonzero(array == 0))] = True
    other = CR if dialect.newline == LF else LF
    if other in data:
        strays = np.flatnonzero(array == other)
        on = lines.of(strays)
        stray = strays < lines.ends[on]
        odd[on[stray]] = True
    odd[invalid_utf8(data, dialect.newline)] = True
    if QUOTE in data:
        odd |= _oddly_quoted(array, lines, dialect)
    return odd


def _oddly_quoted(array: NDArray[np.uint8], lines: Lines, dialect: Dialect) -> Mask:
    """Lines whose quotes are not simply pairs around whole fields, nor all inside unquoted fields.

    Count the quotes of a line from 0. Outside quotes, one opens a field if it is the first byte of the line or follows
    the delimiter. Inside, the next quote closes the field if the delimiter or the end of the line follows; if a quote
    follows, both are one escaped quote. So a line is simple if its quotes are even in number, each even one is at the
    start of a field or follows a quote, and each odd one is at the end of a field or before a quote. A line none of
    whose quotes is at the start of a field has plain data for quotes, and is simple too.
    """
    import numpy as np

    quotes = np.flatnonzero(array == QUOTE)
    on = lines.of(quotes)
    counts = np.bincount(on, minlength=len(lines))
    firsts = np.cumsum(counts) - counts
    even = (np.arange(len(quotes)) - firsts[on]) % 2 == 0
    before = array[np.maximum(quotes - 1, 0)]
    after = array[np.minimum(quotes + 1, len(array) - 1)]
    opens = (quotes == lines.starts[on]) | (before == dialect.delimiter)
    closes = (quotes + 1 == lines.ends[on]) | (after == dialect.delimiter)
    # A quote next to it on the same line: line ends lie between the quotes of different lines.
    good = np.where(even, opens | (before == QUOTE), closes | ((after == QUOTE) & (quotes + 1 < lines.ends[on])))
    odd = counts % 2 == 1
    odd[on[~good]] = True
    quoted = np.zeros(len(lines), np.bool_)
    quoted[on[opens]] = True
    return odd & quoted


def invalid_utf8(data: bytes, newline: int) -> list[int]:
    """The lines, from 0, that are not UTF-8."""
    if is_utf8(data):
        return []
    # Broken bytes become lone surrogates, which no UTF-8 stands for.
    text = data.decode(errors="surrogateescape")
    end = chr(newline)
    found: list[int] = []
    line = position = 0
    broken = re.compile("[\udc80-\udcff]")
    while position >= 0 and (match := broken.search(text, position)):
        line += text.count(end, position, match.start())
        found.append(line)
        position = text.find(end, match.start())
    return found


def is_utf8(data: bytes) -> bool:
    """Whether all of ``data`` is UTF-8."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False
