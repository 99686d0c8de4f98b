"""Paths into nested records, in a small language.

``a.b.c``
    The value of ``c`` in ``b`` in ``a``. A text on the way that holds JSON is looked into.
``a[2]``
    The third element of the list ``a``.
``a[key=x]``
    The first element of the list ``a`` whose ``key`` is ``x``.
``a.*``
    The first value of the object ``a`` that is neither null nor empty.

What is not there is None. A name may be in double quotes, to hold any character: ``"traits.plan".name``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ecom_analytics.errors import ConfigError

Step = Callable[[Any], Any]

_NAME = r'"(?:[^"\\]|\\.)*"|[^.\[\]"*=]+'
_PART = re.compile(
    rf"(?P<name>{_NAME})|\[(?P<at>\d+)\]|\[(?P<key>{_NAME})=(?P<is>\"(?:[^\"\\]|\\.)*\"|[^\]]*)\]|(?P<any>\*)"
)


class Number(str):
    """A number, as it was written."""

    __slots__ = ()


def split_path(path: str) -> tuple[str, list[Step]]:
    """The top-level name of a path, and the steps from there.

    Raises
    ------
    ConfigError
        It is no path.

    Examples
    --------
    >>> name, steps = split_path("params[key=page].value.*")
    >>> name, walk({"key": "page"}, steps) is None
    ('params', True)
    """
    parts = list(_parts(path))
    top = parts[0].group("name") if parts else None
    if top is None:
        raise _bad(path)
    return _unquoted(top), [_step(part) for part in parts[1:]]


def walk(value: Any, steps: list[Step]) -> Any:
    """Follow the steps from a value; None where they lead nowhere.

    Examples
    --------
    >>> _, steps = split_path("items[sku=b].price")
    >>> walk([{"sku": "a", "price": Number("1.0")}, {"sku": "b", "price": Number("14418.0")}], steps)
    '14418.0'
    >>> walk('[{"sku": "b", "price": 2.50}]', steps)
    '2.50'
    """
    for step in steps:
        if type(value) is str:
            value = decode(value)
        if value is None:
            return None
        value = step(value)
    return value


def decode(text: str) -> Any:
    """The object or list that a text holds as JSON, numbers as written; None if it holds none."""
    if text[:1] not in "{[" and text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def as_text(value: Any) -> str | None:
    """A value as the text of a column: as it was written; an object or a list as JSON; None for null and nothing.

    Examples
    --------
    >>> as_text(True), as_text(Number("14418.0")), as_text(""), as_text({"a": [Number("1.0"), "x"]})
    ('true', '14418.0', None, '{"a": [1.0, "x"]}')
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return str(value)
    return json_text(value)


def json_text(value: Any) -> str:
    """JSON of a value whose numbers are texts of :class:`Number`."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {json_text(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_no_constant)


def _parts(path: str) -> Any:
    at = 0
    while at < len(path):
        if at and path[at] == ".":
            at += 1
        elif at and path[at] != "[":
            raise _bad(path)
        part = _PART.match(path, at)
        if part is None:
            raise _bad(path)
        at = part.end()
        yield part


def _bad(path: str) -> ConfigError:
    return ConfigError(
        f"{path!r} is no path into a record", hint="write it like a.b, a[0].b or a[key=page].value.*", value=path
    )


def _unquoted(name: str) -> str:
    return str(json.loads(name)) if name.startswith('"') else name


def _step(part: re.Match[str]) -> Step:
    if part.group("any"):
        return _first_value
    if part.group("at"):
        return _Element(int(part.group("at")))
    if part.group("key"):
        return _Having(_unquoted(part.group("key")), _unquoted(part.group("is")))
    return _Member(_unquoted(part.group("name")))


def _first_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return next((v for v in value.values() if v is not None and v != ""), None)
    return None


class _Member:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, value: Any) -> Any:
        return value.get(self._name) if isinstance(value, dict) else None


class _Element:
    def __init__(self, at: int) -> None:
        self._at = at

    def __call__(self, value: Any) -> Any:
        return value[self._at] if isinstance(value, list) and self._at < len(value) else None


class _Having:
    def __init__(self, key: str, text: str) -> None:
        self._key, self._text = key, text

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list):
            for element in value:
                if isinstance(element, dict) and element.get(self._key) == self._text:
                    return element
        return None
