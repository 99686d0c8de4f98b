"""The quotes of a block: which lines and records are well-formed can be told from their neighbours alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecom_analytics.reading.lines import Lines
from ecom_analytics.reading.records import CR, QUOTE, Dialect

if TYPE_CHECKING:
    from ecom_analytics.reading.lines import Mask, Positions


class Quotes:
    """The quotes of a block.

    Count the quotes from some place outside quotes, from 0. Outside quotes, one opens a field if it is the first byte
    of a line or follows the delimiter. Inside, the next one closes the field if the delimiter or the end of a line
    follows; if a quote follows, both are one escaped quote. So all is well-formed as long as each even quote is at the
    start of a field or follows a quote, and each odd one is at the end of a field or before a quote; and a line begins
    outside quotes if the quotes before it are even in number.

    Parameters
    ----------
    data : bytes
    lines : Lines
    dialect : Dialect
    alone : array of bool
        Lines that must not be taken together with others.

    Attributes
    ----------
    odd : array of bool
        Lines with quotes that are neither pairs around whole fields nor all inside unquoted fields, and those among
        ``alone`` with any quote.
    """

    odd: Mask

    def __init__(self, data: bytes, lines: Lines, dialect: Dialect, alone: Mask) -> None:
        import numpy as np

        array = np.frombuffer(data, np.uint8)
        starts = np.zeros(256, np.bool_)
        starts[[dialect.delimiter, dialect.newline]] = True
        good_before, good_after = starts.copy(), starts.copy()
        # A CR that is not part of a line end makes its line one of those alone.
        good_before[QUOTE] = good_after[QUOTE] = good_after[CR] = True

        self._lines = lines
        self._most = dialect.max_record_lines
        self._alone = np.flatnonzero(alone)
        self._quotes: Positions = np.flatnonzero(array == QUOTE)
        # At either end of the block, "clip" makes a quote its own neighbour: taken for good, as it is.
        before = array.take(self._quotes - 1, mode="clip")
        self._opens = good_before[before]
        self._closes = good_after[array.take(self._quotes + 1, mode="clip")]
        self._first = np.concatenate([np.zeros(1, np.int64), np.searchsorted(self._quotes, lines.next)])
        self._bad: dict[int, Positions] = {}

        counts = np.diff(self._first)
        odd: Mask = counts % 2 == 1
        paired = np.repeat(~odd, counts) if odd.any() else slice(None)
        good = self._opens[paired][::2] & self._closes[paired][1::2]
        if not good.all():
            odd |= lines.mask(self._quotes[paired][::2][~good])
        if odd.any():
            suspects = np.repeat(odd, counts)
            at = self._quotes[suspects]
            odd = lines.mask(at[starts[before[suspects]] | (at == 0)])
        self.odd = odd | (alone & (counts > 0))

    def well_formed(self, line: int, stop: int) -> int:
        """The line before ``stop`` up to which there are only well-formed records from ``line`` on."""
        first = int(self._first[line])
        bad = self._bad_from(first % 2)
        at = bad.searchsorted(first)
        if at < len(bad):
            stop = min(stop, int(self._lines.of(self._quotes[bad[at]])))
        at = self._alone.searchsorted(line)
        if at < len(self._alone):
            stop = min(stop, int(self._alone[at]))
        if stop <= line:
            return line
        bounds = self.outside(line, stop + 1).nonzero()[0]
        long = (bounds[1:] - bounds[:-1] > self._most).nonzero()[0]
        return line + int(bounds[long[0] if len(long) else -1])

    def outside(self, line: int, stop: int) -> Mask:
        """Which of the lines begin outside quotes, if ``line`` does."""
        outside: Mask = (self._first[line:stop] - self._first[line]) % 2 == 0
        return outside

    def _bad_from(self, parity: int) -> Positions:
        """The quotes that break the rule when counting from one with this parity."""
        import numpy as np

        if parity not in self._bad:
            good = self._opens.copy()
            good[1 - parity :: 2] = self._closes[1 - parity :: 2]
            self._bad[parity] = np.flatnonzero(~good)
        return self._bad[parity]
