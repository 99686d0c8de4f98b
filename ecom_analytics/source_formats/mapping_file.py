"""The file of a column mapping: read and checked to the last key, so that a mistake is told before a row is read."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from ecom_analytics.errors import ConfigError, InputError
from ecom_analytics.events import COLUMNS, EVENT_TYPES
from ecom_analytics.reading.encoding import codec_name
from ecom_analytics.reading.paths import split_path
from ecom_analytics.source_formats.mapping_times import COUNTS, directives

TYPES = {c.name: c.type for c in COLUMNS if c.meaning == "event" and c.name not in ("source", "event_ts")}
"""The canonical columns that a mapping can fill, beside the time."""

NEEDED = ("event_type", "visitor_id")
_KINDS = ("delimited", "json_lines", "parquet")
_SECTIONS = ("file", "event_ts", "columns", "required")
_FILE = ("kind", "delimiter", "encoding", "header", "columns", "each")
_TIME = ("path", "join", "format", "timezone")
_COLUMN = ("path", "value", "map", "default", "decimal", "thousands")
_NUMBERS = {"decimal": r"-?[0-9]{1,14}(\.[0-9]+)?", "integer": "[0-9]{1,18}"}


@dataclass(frozen=True, slots=True)
class Field:
    """How a column is filled: from the first of the paths that has a value, or with a constant."""

    paths: tuple[str, ...] = ()
    value: str | None = None
    map: dict[str, str] = field(default_factory=dict)
    default: str | None = None
    decimal: str = "."
    thousands: str = ""


@dataclass(frozen=True, slots=True)
class Time:
    """How the time is written; with ``join`` the values of all paths, with a space in between, are its text."""

    paths: tuple[str, ...]
    join: bool
    format: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Spec:
    """A checked mapping.

    Attributes
    ----------
    values : dict
        What the file said, in types that JSON knows: :meth:`of` makes the same mapping of it again.
    """

    values: dict[str, Any]
    time: Time
    columns: dict[str, Field]
    required: tuple[str, ...]
    each: str | None
    kind: str | None
    delimiter: str | None
    encoding: str | None
    names: tuple[str, ...] | None

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> Spec:
        """Check what a file said.

        Parameters
        ----------
        values : mapping
        where : str
            What errors call it.

        Raises
        ------
        ConfigError
            It names the file, the key, and what is allowed there.

        Examples
        --------
        >>> values = {"event_ts": {"path": "t", "format": "seconds"},
        ...           "columns": {"visitor_id": "user.id", "event_type": {"value": "view"}}}
        >>> Spec.of(values, "shop.toml").columns["visitor_id"].paths
        ('user.id',)
        """
        top = _Table(values, "", where, _SECTIONS)
        file = _Table(top.get("file", dict, {}), "file", where, _FILE)
        each = file.get("each", str)
        columns = {
            name: _column(top.table("columns", TYPES).values[name], name, where, each)
            for name in top.table("columns", TYPES).values
        }
        for name in NEEDED:
            if name not in columns:
                raise _error(where, "columns", f"lacks {name!r}", f"an event needs event_ts, {' and '.join(NEEDED)}")
        if each and "source_item" in columns:
            raise _error(where, "columns.source_item", "is the position in the list of 'each'", "leave one of them out")
        return cls(
            dict(values),
            _time(top.table("event_ts", _TIME), where, each),
            columns,
            _required(top, columns),
            _list(each, where),
            file.one_of("kind", _KINDS),
            _delimiter(file),
            _encoding(file),
            _names(file),
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path, once."""
        found = [*self.time.paths, *(path for column in self.columns.values() for path in column.paths)]
        return tuple(dict.fromkeys(found))

    def tops(self, paths: Iterable[str]) -> list[str]:
        """The columns of the file that the paths begin with."""
        return list(dict.fromkeys(self.each or "" if self._of_item(path) else path for path in paths))

    def _of_item(self, path: str) -> bool:
        return self.each is not None and path.startswith(f"{self.each}[].")

    @property
    def alternatives(self) -> list[list[str]]:
        """Columns of the file, of each of which lists it must have at least one."""
        paths = [[path] for path in self.time.paths] if self.time.join else [list(self.time.paths)]
        paths += [list(self.columns[name].paths) for name in self.required if self.columns[name].default is None]
        return [list(dict.fromkeys(top_name(top) for top in self.tops(some))) for some in paths if some]


@lru_cache(maxsize=8)
def _load(path: str, changed: int, size: int) -> Spec:
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(
            f"the mapping {path!r} is not valid TOML: {error}",
            hint="correct the line that the message names",
            path=path,
        ) from error
    return Spec.of(values, path)


def load(path: Path) -> Spec:
    """The mapping that a file holds.

    Raises
    ------
    ConfigError
        There is no such file, or it is no mapping.
    """
    try:
        seen = path.stat()
        return _load(str(path), seen.st_mtime_ns, seen.st_size)
    except OSError as error:
        raise ConfigError(
            f"the mapping {str(path)!r} cannot be read: {error.strerror or error}",
            hint="give the path of a TOML file",
            path=str(path),
        ) from error


def top_name(path: str) -> str:
    """The column of the file that a path begins with.

    Examples
    --------
    >>> top_name('"traits.plan".name')
    'traits.plan'
    """
    return split_path(path)[0]


class _Table:
    """A table of the file, of which every key is known."""

    def __init__(self, values: Any, name: str, where: str, allowed: Iterable[str]) -> None:
        if not isinstance(values, Mapping):
            raise _error(where, name, f"is {values!r}", "a table is expected")
        self.values, self.name, self.where = values, name, where
        for key in values:
            if key not in tuple(allowed):
                close = difflib.get_close_matches(str(key), list(allowed), n=1)
                meant = f"did you mean {close[0]!r}? " if close else ""
                raise _error(where, self._key(key), "is unknown", f"{meant}allowed are: {', '.join(allowed)}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        value = self.values.get(key, default)
        if value is not default and (not isinstance(value, kind) or value == ""):
            raise self.bad(key, {str: "a text that is not empty", dict: "a table", bool: "true or false"}[kind])
        return value

    def table(self, key: str, allowed: Iterable[str]) -> _Table:
        if key not in self.values:
            raise _error(self.where, self._key(key), "is missing", "a mapping has [event_ts] and [columns]")
        return _Table(self.values[key], self._key(key), self.where, allowed)

    def one_of(self, key: str, allowed: Iterable[str]) -> str | None:
        value: str | None = self.get(key, str)
        if value is not None and value not in allowed:
            raise self.bad(key, f"one of {', '.join(allowed)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A text, or several; none if the key is not there."""
        value = self.values.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
            raise self.bad(key, "a text, or a list of texts")
        if key in self.values and not values:
            raise self.bad(key, "at least one text")
        return tuple(values)

    def bad(self, key: str, allowed: str) -> ConfigError:
        return _error(self.where, self._key(key), f"has the bad value {self.values[key]!r}", f"allowed is: {allowed}")

    def _key(self, key: object) -> str:
        return f"{self.name}.{key}" if self.name else str(key)


def _error(where: str, key: str, what: str, hint: str) -> ConfigError:
    return ConfigError(f"mapping {where!r}: {key} {what}", hint=hint, key=key, path=where)


def _column(given: Any, name: str, where: str, each: str | None) -> Field:
    kind = TYPES[name]
    if isinstance(given, (str, list)):
        given = {"path": given}
    table = _Table(given, f"columns.{name}", where, _COLUMN)
    paths = table.texts("path")
    if bool(paths) == ("value" in table.values):
        raise _error(where, table.name, "needs either a path or a value", f'such as {name} = "column"')
    if not paths and len(table.values) > 1:
        raise _error(where, table.name, "is a constant", "leave out all keys but value")
    _check_paths(table, "path", paths, each)
    mapped = {
        key: _constant(table, "map", value, name, kind) for key, value in (table.get("map", dict, {}) or {}).items()
    }
    numbers = [key for key in ("decimal", "thousands") if key in table.values]
    if numbers and kind != "decimal":
        raise _error(where, f"{table.name}.{numbers[0]}", "is for numbers only", f"{name} is {kind}")
    decimal, thousands = table.one_of("decimal", ".,") or ".", table.values.get("thousands", "")
    if thousands not in ("", ".", ",", "'", " ", "\u00a0", "\u202f") or thousands == decimal:
        raise table.bad("thousands", "a point, comma, apostrophe or space, and not the one before the decimals")
    return Field(
        paths,
        _constant(table, "value", table.values["value"], name, kind) if "value" in table.values else None,
        mapped,
        _constant(table, "default", table.values["default"], name, kind) if "default" in table.values else None,
        decimal,
        thousands,
    )


def _constant(table: _Table, key: str, value: Any, name: str, kind: str) -> str:
    """A value of the canonical column, as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
        raise table.bad(key, "texts and numbers")
    text = str(value)
    if name == "event_type" and text not in EVENT_TYPES:
        close = difflib.get_close_matches(text, EVENT_TYPES, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise table.bad(key, f"one of {', '.join(EVENT_TYPES)}{meant}")
    if kind in _NUMBERS and not re.fullmatch(_NUMBERS[kind], text):
        raise table.bad(key, "a plain number")
    return text


def _time(table: _Table, where: str, each: str | None) -> Time:
    paths, join = table.texts("path"), table.texts("join")
    if bool(paths) == bool(join):
        raise _error(where, "event_ts", "needs either a path or a join", 'such as path = "timestamp"')
    _check_paths(table, "path" if paths else "join", paths or join, each)
    text = table.get("format", str, "iso")
    timezone = table.get("timezone", str)
    if text not in ("iso", *COUNTS):
        try:
            known = directives(text)
        except ValueError as error:
            hint = f"iso, {', '.join(COUNTS)}, or a format of strptime: {error}"
            raise table.bad("format", hint) from None
        if timezone and "z" in known:
            raise _error(where, "event_ts.timezone", "has no use", "the format has an offset, %z")
    if timezone and text in COUNTS:
        raise _error(where, "event_ts.timezone", "has no use", f"{text} since 1970 are UTC")
    if timezone and timezone not in available_timezones():
        close = difflib.get_close_matches(timezone, available_timezones(), n=1)
        raise table.bad("timezone", "an IANA time zone" + (f"; did you mean {close[0]!r}?" if close else ""))
    return Time(paths or join, bool(join), text, timezone or "UTC")


def _check_paths(table: _Table, key: str, paths: Iterable[str], each: str | None) -> None:
    for path in paths:
        inner = path.removeprefix(f"{each}[].") if each else path
        try:
            if "[]" in inner:
                raise ConfigError("", hint="[] stands for each element of the list that file.each names, no other")
            split_path(inner)
        except ConfigError as error:
            raise _error(table.where, f"{table.name}.{key}", f"is no path: {path!r}", error.hint) from None


def _list(each: str | None, where: str) -> str | None:
    if each:
        try:
            split_path(each)
        except ConfigError as error:
            raise _error(where, "file.each", f"is no path: {each!r}", error.hint) from None
    return each


def _required(top: _Table, columns: Mapping[str, Field]) -> tuple[str, ...]:
    """The columns without which a row is rejected, the time aside."""
    named = top.texts("required") if top.values.get("required") != [] else ()
    for name in named:
        if name not in columns and name != "event_ts":
            raise top.bad("required", f"columns that are mapped: {', '.join(('event_ts', *columns))}")
    return tuple(dict.fromkeys([*NEEDED, *(name for name in named if name != "event_ts")]))


def _delimiter(file: _Table) -> str | None:
    given = file.get("delimiter", str)
    mark: str | None = {"tab": "\t", "\\t": "\t"}.get(given, given)
    if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n\0'):
        raise file.bad("delimiter", "tab, or one ASCII character other than a quote or line end")
    if mark is not None and file.values.get("kind", "delimited") != "delimited":
        raise _error(file.where, "file.delimiter", "has no use", "only a delimited file has one")
    return mark


def _encoding(file: _Table) -> str | None:
    encoding: str | None = file.get("encoding", str)
    try:
        if encoding:
            codec_name(encoding)
    except InputError as error:
        raise file.bad("encoding", error.hint) from None
    return encoding


def _names(file: _Table) -> tuple[str, ...] | None:
    """The columns of a file without a header."""
    names, header = file.texts("columns"), file.get("header", bool, True)
    if header and names:
        raise _error(file.where, "file.columns", "has no use", "it is for files without a header: header = false")
    if not header and not names:
        raise _error(file.where, "file.header", "is false", 'name the columns in their order: columns = ["…"]')
    if len(set(names)) < len(names):
        raise file.bad("columns", "names that differ")
    if names and file.values.get("kind", "delimited") != "delimited":
        raise _error(file.where, "file.columns", "has no use", "only a delimited file lacks a header")
    return names or None
