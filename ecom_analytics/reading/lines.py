"""The lines of a block, found with numpy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecom_analytics.reading.records import CR, LF, Dialect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
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
        return self.next.searchsorted(positions, side="right")

    def mask(self, positions: Positions) -> Mask:
        """Which lines have at least one of the positions."""
        import numpy as np

        on = np.zeros(len(self), np.bool_)
        on[self.of(positions)] = True
        return on


def find_lines(data: bytes, dialect: Dialect) -> Lines:
    """Index the lines of ``data``; the last one may lack its newline."""
    import numpy as np

    array = np.frombuffer(data, np.uint8)
    ends: Positions = np.flatnonzero(array == dialect.newline)
    after = ends + 1
    if data and data[-1] != dialect.newline:
        ends = np.append(ends, len(data))
        after = np.append(after, len(data))
    starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), after[:-1]])
    if dialect.newline == LF and CR in data:
        ends = ends - ((ends > starts) & (array[ends - 1] == CR))
    return Lines(starts, ends, after)


def gather(data: bytes, lines: Lines, chosen: Mask) -> bytes:
    """The bytes of the chosen lines."""
    import numpy as np

    if chosen.all():
        return data
    turns = np.flatnonzero(np.diff(chosen, prepend=False, append=False))
    first = lines.starts[turns[::2]].tolist()
    last = lines.next[turns[1::2] - 1].tolist()
    view = memoryview(data)
    return b"".join([view[start:end] for start, end in zip(first, last, strict=True)])


def blank_lines(data: bytes, lines: Lines, dialect: Dialect) -> Mask:
    """Which lines hold nothing but spaces, tabs and CR."""
    import numpy as np

    array = np.frombuffer(data, np.uint8)
    spaces = dialect.spaces()
    blank: Mask = lines.starts == lines.ends
    space = np.zeros(256, np.bool_)
    space[list(spaces)] = True
    # (An empty line is blank already, whatever the bytes around it.)
    maybe = ~blank & space[array[lines.starts]] & space[array[lines.ends - 1]]
    for line in np.flatnonzero(maybe).tolist():
        blank[line] = not data[lines.starts[line] : lines.ends[line]].strip(spaces)
    return blank


def broken_lines(data: bytes, lines: Lines, dialect: Dialect) -> Mask:
    """Which lines have a NUL or are not UTF-8."""
    import numpy as np

    array = np.frombuffer(data, np.uint8)
    broken = np.zeros(len(lines), np.bool_)
    if 0 in data:
        broken |= lines.mask(np.flatnonzero(array == 0))
    if not is_utf8(data):
        wide = lines.mask(np.flatnonzero(array >= 128))
        broken[np.flatnonzero(wide)[_not_utf8(gather(data, lines, wide), dialect.newline)]] = True
    return broken


def stray_lines(data: bytes, lines: Lines, dialect: Dialect) -> Mask:
    """Which lines have a line end of the other kind among their data."""
    import numpy as np

    other = CR if dialect.newline == LF else LF
    if other not in data:
        return np.zeros(len(lines), np.bool_)
    found: Positions = np.flatnonzero(np.frombuffer(data, np.uint8) == other)
    return lines.mask(found[found < lines.ends[lines.of(found)]])


def is_utf8(data: bytes) -> bool:
    """Whether all of ``data`` is UTF-8."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _not_utf8(data: bytes, newline: int) -> list[int]:
    """The lines, from 0, that are not UTF-8."""
    # Broken bytes become lone surrogates, which no UTF-8 stands for.
    text = data.decode(errors="surrogateescape")
    end = chr(newline)
    broken = re.compile("[\udc80-\udcff]")
    found: list[int] = []
    line = position = 0
    while position >= 0 and (match := broken.search(text, position)):
        line += text.count(end, position, match.start())
        found.append(line)
        position = text.find(end, match.start())
    return found
