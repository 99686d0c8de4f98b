"""The query string of a request: dates, periods, limits; every bad or unknown parameter is named."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

PERIODS = {"7d": 7, "28d": 28, "91d": 91, "all": None}
COMPARE = ("none", "prev")
RANGE = ("from", "to", "period", "compare")
LIST = ("limit", "sort", "next")
MOST = 1000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PAGE = re.compile(r"from ([0-9]{1,15})")


class BadParametersError(Exception):
    """What is wrong with each parameter: ``parameter``, ``value``, ``allowed``."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(f"{e['parameter']} is {e['value']!r}, allowed: {e['allowed']}" for e in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Range:
    """Days from ``first`` to ``last``, both included, and the preset that they come from."""

    first: date
    last: date
    period: str

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range(self.length)]

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Range:
        """As many days, right before."""
        length = timedelta(days=self.length)
        return Range(self.first - length, self.last - length, "previous")

    def to_dict(self) -> dict[str, str]:
        return {"from": self.first.isoformat(), "to": self.last.isoformat(), "period": self.period}


class Parameters:
    """The parameters of one request, checked as they are read.

    Parameters
    ----------
    given : mapping
        Name → values.
    allowed : sequence of str
        Any other name is an error.
    """

    def __init__(self, given: Mapping[str, Sequence[str]], allowed: Sequence[str]) -> None:
        self._given = {name: values[-1] for name, values in given.items()}
        self._errors = [
            {"parameter": name, "value": values[-1], "allowed": ", ".join(sorted(allowed)) or "no parameter"}
            for name, values in given.items()
            if name not in allowed
        ]
        self._errors += [
            {"parameter": name, "value": ", ".join(values), "allowed": "once"}
            for name, values in given.items()
            if name in allowed and len(values) > 1
        ]

    @property
    def wrong(self) -> bool:
        """Whether something is wrong already, before any value was read."""
        return bool(self._errors)

    @property
    def canonical(self) -> tuple[tuple[str, str], ...]:
        """The same for all spellings of a request."""
        return tuple(sorted(self._given.items()))

    def check(self) -> None:
        """Raise what was found wrong so far.

        Raises
        ------
        BadParametersError
        """
        if self._errors:
            raise BadParametersError(self._errors)

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        value = self._given.get(name, default)
        if value not in allowed:
            self._bad(name, value, ", ".join(allowed))
            return default
        return value

    def range(self, first: date, last: date) -> Range:
        """The days asked for; by default the last 28 that the data has."""
        start, end = self._date("from"), self._date("to")
        period = self.choice("period", [*PERIODS], "28d")
        if start is not None or end is not None:
            if "period" in self._given:
                self._bad("period", self._given["period"], "not together with from or to")
            chosen = Range(start or min(first, end or first), end or max(last, start or last), "custom")
            if chosen.first > chosen.last:
                self._bad("from", chosen.first.isoformat(), f"a day up to {chosen.last.isoformat()}")
            if chosen.length > 36_600:
                self._bad("from", chosen.first.isoformat(), "a range of at most 100 years")
            self.check()
            return chosen
        length = PERIODS[period]
        return Range(first if length is None else last - timedelta(days=length - 1), last, period)

    def compared(self, chosen: Range) -> Range | None:
        """The range to compare with."""
        return chosen.before if self.choice("compare", COMPARE, "prev") == "prev" else None

    def limit(self, default: int = 10) -> int:
        text = self._given.get("limit", str(default))
        if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= MOST:
            self._bad("limit", text, f"a whole number from 1 to {MOST}")
            return default
        return int(text)

    def sort(self, columns: Sequence[str], default: str) -> tuple[str, bool]:
        """The column to sort by, and whether descending (``-column``)."""
        text = self._given.get("sort", default)
        if text.removeprefix("-") not in columns:
            self._bad("sort", text, ", ".join(columns) + ", with - before it for the largest first")
            text = default
        return text.removeprefix("-"), text.startswith("-")

    def offset(self) -> int:
        """Where the page that ``next`` names begins."""
        text = self._given.get("next")
        if text is None:
            return 0
        try:
            named = _PAGE.fullmatch(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode())
        except (ValueError, binascii.Error):
            named = None
        if named is None:
            self._bad("next", text, "what an earlier answer gave as next")
            return 0
        return int(named[1])

    def _date(self, name: str) -> date | None:
        text = self._given.get(name)
        if text is None:
            return None
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        if day is None or not _DAY.fullmatch(text) or not 1900 <= day.year < 2200:
            self._bad(name, text, "a day such as 2026-01-31, from 1900 to 2199")
            return None
        return day

    def _bad(self, name: str, value: str, allowed: str) -> None:
        self._errors.append({"parameter": name, "value": value, "allowed": allowed})


def page_after(offset: int) -> str:
    """The opaque name of the page that begins at ``offset``."""
    return base64.urlsafe_b64encode(f"from {offset}".encode()).decode().rstrip("=")
