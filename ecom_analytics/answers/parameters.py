"""Parameters of a question: declared once, so that checking, documentation and links cannot differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ecom_analytics.errors import EcomError

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WHOLE = re.compile(r"-?[0-9]{1,15}")
LONGEST = 500
"""Characters of one value."""

MOST_VALUES = 50
"""Values of a parameter that may be given several times."""

MOST_NAMED = 20
"""Errors that one answer names."""


class BadParametersError(EcomError):
    """What is wrong with each parameter: ``parameter``, ``value``, ``allowed``."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        told = [f"{e['parameter']} is {e['value']!r}, allowed: {e['allowed']}" for e in errors[:MOST_NAMED]]
        super().__init__("; ".join(told))
        self.errors = errors[:MOST_NAMED]


class NotThereError(EcomError):
    """What a question names, a product say, is not in the data."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a question.

    Attributes
    ----------
    name : str
    about : str
        One sentence.
    kind : str
        ``text``, ``choice``, ``day``, ``whole`` or ``flag``.
    default : object
        What stands for a parameter that was not given.
    choices : tuple of str
        Of a ``choice``.
    least, most : int
        Of a ``whole``.
    many : bool
        Whether it may be given several times; its value is then a tuple.
    pattern : str, optional
        What a ``text`` must be as a whole, and ``allowed`` says so in words.
    """

    name: str
    about: str
    kind: str = "text"
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    many: bool = False
    pattern: str | None = None
    allowed: str = f"text of at most {LONGEST} characters"

    def read(self, text: str) -> Any:
        """The value that a text means.

        Raises
        ------
        ValueError
            It means none; the message says what is allowed.
        """
        if self.kind == "choice":
            if text in self.choices:
                return text
            raise ValueError(", ".join(self.choices))
        if self.kind == "day":
            return _day(text)
        if self.kind == "whole":
            if _WHOLE.fullmatch(text) and self.least <= int(text) <= self.most:
                return int(text)
            raise ValueError(f"a whole number from {self.least} to {self.most}")
        if self.kind == "flag":
            if text in ("true", "false"):
                return text == "true"
            raise ValueError("true, false")
        if len(text) > LONGEST or "\0" in text or (self.pattern and not re.fullmatch(self.pattern, text)):
            raise ValueError(self.allowed)
        return text

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its value, for OpenAPI."""
        schemas: dict[str, dict[str, Any]] = {
            "choice": {"type": "string", "enum": list(self.choices)},
            "day": {"type": "string", "format": "date"},
            "whole": {"type": "integer", "minimum": self.least, "maximum": self.most},
            "flag": {"type": "boolean"},
            "text": {"type": "string", "maxLength": LONGEST}
            | ({"pattern": f"^{self.pattern}$"} if self.pattern else {}),
        }
        one = schemas[self.kind]
        if self.many:
            return {"type": "array", "items": one, "maxItems": MOST_VALUES}
        return one if self.default is None else {**one, "default": self.default}


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not _DAY.fullmatch(text) or not 1900 <= day.year < 2200:
        raise ValueError("a day such as 2026-01-31, from 1900 to 2199")
    return day


def read(
    declared: Sequence[Parameter], given: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The value of every declared parameter, and what is wrong with those that were given.

    Parameters
    ----------
    declared : sequence of Parameter
    given : mapping
        Name → texts.

    Examples
    --------
    >>> limit = Parameter("limit", "How many.", "whole", 10, least=1, most=1000)
    >>> values, wrong = read([limit], {"limit": ["0"], "x": [""]})
    >>> values, [one["parameter"] for one in wrong]
    ({'limit': 10}, ['x', 'limit'])
    """
    known = {parameter.name: parameter for parameter in declared}
    wrong = [
        bad(name, texts[-1] if texts else "", ", ".join(sorted(known)) or "no parameter")
        for name, texts in given.items()
        if name not in known
    ]
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        texts = given.get(name, ())
        values[name] = () if parameter.many else parameter.default
        if not texts:
            continue
        if len(texts) > (MOST_VALUES if parameter.many else 1):
            wrong.append(bad(name, ", ".join(texts), f"at most {MOST_VALUES} times" if parameter.many else "once"))
            continue
        try:
            found = tuple(dict.fromkeys(parameter.read(text) for text in texts))
        except ValueError as error:
            wrong.append(bad(name, ", ".join(texts), str(error)))
            continue
        values[name] = found if parameter.many else found[0]
    return values, wrong


def bad(name: str, value: Any, allowed: str) -> dict[str, Any]:
    """What is wrong with one parameter; a long value is cut."""
    text = str(value)
    return {"parameter": _cut(name), "value": _cut(text), "allowed": allowed}


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"
