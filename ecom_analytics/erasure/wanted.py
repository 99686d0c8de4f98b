"""Whose records are looked for: visitors whose ids are known, or of whom only the hashes are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ecom_analytics.suppression import Suppressed

LONG = 12
"""Ids of so many characters are looked for in every record's text, wherever they stand."""


class Wanted(Protocol):
    """Whose records are looked for."""

    def holds(self, source: str, visitor: str) -> bool:
        """Whether a visitor or user is one of them."""

    def in_text(self, source: str, text: str) -> bool:
        """Whether the text of a rejected record may be of one of them."""

    def anywhere(self) -> Sequence[str]:
        """Texts that no record may hold, in whatever place."""


class Named:
    """Visitors whose ids are known.

    Examples
    --------
    >>> named = Named(["7", "a-long-visitor-id"])
    >>> named.in_text("web", "x,17,77"), named.in_text("web", "x,7.0"), list(named.anywhere())
    (False, True, ['a-long-visitor-id'])
    """

    def __init__(self, visitors: Collection[str], source: str | None = None) -> None:
        self._visitors = set(visitors)
        self._source = source
        words = "|".join(re.escape(visitor) for visitor in sorted(self._visitors))
        self._word = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])")

    def holds(self, source: str, visitor: str) -> bool:
        return self._source in (None, source) and visitor in self._visitors

    def in_text(self, source: str, text: str) -> bool:
        return self._source in (None, source) and self._word.search(text) is not None

    def anywhere(self) -> Sequence[str]:
        return sorted(visitor for visitor in self._visitors if len(visitor) >= LONG)


class Hashed:
    """Visitors of whom only the hashes are known."""

    def __init__(self, suppressed: Suppressed) -> None:
        self.holds = suppressed.holds
        self.in_text = suppressed.in_text

    def anywhere(self) -> Sequence[str]:
        return ()
