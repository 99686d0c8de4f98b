"""Rules from settings: tables of ``[[rules]]``, checked when the settings are made."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from ecom_analytics.errors import ConfigError
from ecom_analytics.events import COLUMNS, EVENT_TYPES
from ecom_analytics.rules import BUILT_IN, SEVERITIES, Severity, is_rule_name, why_fixed

TYPES = {column.name: column.type for column in COLUMNS if column.meaning == "event"}
"""The columns that a rule can look at, and their types."""

CONDITIONS = ("missing", "below", "above", "equals", "one_of", "none_of", "matches", "not_matches", "longer_than")
"""What a rule can ask of its column. A rule with several is broken where any of them holds."""

_OF_TYPE = {
    "below": ("decimal", "integer", "timestamp"),
    "above": ("decimal", "integer", "timestamp"),
    "matches": ("text",),
    "not_matches": ("text",),
    "longer_than": ("text",),
}
_LARGEST = Decimal(10) ** 14


class RuleSettings(BaseModel):
    """One table of ``[[rules]]``: a rule of your own, or another severity for one that exists.

    Examples
    --------
    >>> RuleSettings(name="absurd_price", column="unit_price", above=10_000).severity
    'reject'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    severity: Severity = "reject"
    event_types: tuple[str, ...] | None = None
    source: str | None = None
    source_format: str | None = None
    column: str | None = None
    missing: bool | None = None
    below: Any = None
    above: Any = None
    equals: Any = None
    one_of: tuple[Any, ...] | None = None
    none_of: tuple[Any, ...] | None = None
    matches: str | None = None
    not_matches: str | None = None
    longer_than: int | None = None
    message: str | None = None

    @property
    def changes(self) -> bool:
        """Whether it only gives an existing rule another severity."""
        return self.model_fields_set <= {"name", "severity"}

    @property
    def type(self) -> str:
        """Type of the column."""
        return TYPES[str(self.column)]

    def value_of(self, value: Any) -> Any:
        """A value that the column is compared with, in its type; times are UTC without a zone."""
        return _typed(value, self.type)

    def applies_to(self, source: str, source_format: str) -> bool:
        """Whether events of this source and format are held to it."""
        return self.source in (None, source) and self.source_format in (None, source_format)

    @field_validator("event_types", "one_of", "none_of", mode="before")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("a list of at least one value")
        return tuple(value)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not is_rule_name(value):
            raise ValueError("1 to 63 lower-case letters, digits and '_', beginning with a letter")
        return value

    @field_validator("severity", mode="before")
    @classmethod
    def _known_severity(cls, value: Any) -> Any:
        if value not in SEVERITIES:
            raise ValueError(f"one of {', '.join(SEVERITIES)}")
        return value

    @field_validator("event_types")
    @classmethod
    def _known_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= set(EVENT_TYPES):
            raise ValueError(f"a list of some of {', '.join(EVENT_TYPES)}")
        return value

    @field_validator("column")
    @classmethod
    def _known_column(cls, value: str) -> str:
        if value not in TYPES:
            raise ValueError(f"a column of the events as they are read: {', '.join(TYPES)}")
        return value

    @field_validator("missing")
    @classmethod
    def _only_true(cls, value: bool) -> bool:
        if not value:
            raise ValueError("true, or leave it out")
        return value

    @field_validator("longer_than")
    @classmethod
    def _a_length(cls, value: int) -> int:
        if value < 0:
            raise ValueError("a number of characters, 0 or more")
        return value

    @field_validator("matches", "not_matches")
    @classmethod
    def _a_pattern(cls, value: str) -> str:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            re.compile(value)
            pc.match_substring_regex(pa.array([""]), value)  # of RE2, whose syntax engines have in common
        except (re.error, ValueError) as error:
            raise ValueError(f"a regular expression without look-around or references back ({error})") from None
        return value

    @model_validator(mode="after")
    def _fits_its_column(self) -> RuleSettings:
        if self.changes:
            return self
        if self.column is None:
            raise _Bad("column", None, f"a column of the events as they are read: {', '.join(TYPES)}")
        given = [name for name in CONDITIONS if getattr(self, name) is not None]
        if not given:
            raise _Bad("column", self.column, f"with one or more of {', '.join(CONDITIONS)}")
        for name in given:
            types = _OF_TYPE.get(name, (self.type,))
            if self.type not in types:
                raise _Bad(name, getattr(self, name), f"of columns that are {' or '.join(types)}; {self._kind}")
            for value in _values(getattr(self, name)) if name in _COMPARED else ():
                self._check(name, value)
        return self

    @property
    def _kind(self) -> str:
        return f"{self.column} is {self.type}"

    def _check(self, name: str, value: Any) -> None:
        try:
            self.value_of(value)
        except ValueError as error:
            raise _Bad(name, value, f"{error}; {self._kind}") from None
        if self.column == "event_type" and value not in EVENT_TYPES:
            raise _Bad(name, value, f"one of {', '.join(EVENT_TYPES)}")


_COMPARED = ("below", "above", "equals", "one_of", "none_of")


class _Bad(Exception):
    """A value that does not fit the rest of its rule."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(allowed)
        self.key, self.value, self.allowed = key, value, allowed


def rules_of(given: Any) -> tuple[RuleSettings, ...]:
    """The rules of the setting ``rules``.

    Raises
    ------
    ConfigError
        Naming the rule, its key, and what is allowed.

    Examples
    --------
    >>> [rule.name for rule in rules_of([{"name": "negative_number", "severity": "warn"}])]
    ['negative_number']
    """
    if not isinstance(given, list | tuple):
        raise ConfigError(
            f"setting 'rules' has the bad value {given!r}; allowed: a list of tables",
            hint="write each rule as a table of its own below [[rules]]",
            key="rules",
            value=given,
        )
    rules = tuple(_rule(values, place) for place, values in enumerate(given, 1))
    for rule in rules:
        if sum(other.name == rule.name for other in rules) > 1:
            raise _error(rule.name, "name", rule.name, "a name that no other of your rules has")
    return rules


def _rule(values: Any, place: int) -> RuleSettings:
    if isinstance(values, RuleSettings):
        return values
    if not isinstance(values, dict):
        raise _error(f"number {place}", "name", values, "a table with a name")
    name = values.get("name", f"number {place}")
    try:
        rule = RuleSettings.model_validate({key: value for key, value in values.items() if value is not None})
    except _Bad as error:
        raise _error(name, error.key, error.value, error.allowed) from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            raise ConfigError(
                f"rule {name!r} has the unknown key {key!r}",
                hint=f"the keys are: {', '.join(RuleSettings.model_fields)}",
                key=f"rules.{name}.{key}",
            ) from None
        raise _error(name, key, problem.get("input"), problem["msg"].removeprefix("Value error, ")) from None
    _check_name(rule)
    return rule


def _check_name(rule: RuleSettings) -> None:
    if rule.name in BUILT_IN:
        if not rule.changes:
            raise _error(rule.name, "name", rule.name, "a name of its own; this one is built in")
        reason = why_fixed(rule.name)
        if reason is not None:
            raise _error(rule.name, "severity", rule.severity, f"none, for {reason}")
    elif rule.changes and rule.name not in _of_plugins():
        raise _error(rule.name, "column", None, "needed, for there is no such rule whose severity could be changed")


def _of_plugins() -> set[str]:
    from importlib.metadata import entry_points

    return {point.name for point in entry_points(group="ecom_analytics.rules")}


def _error(rule: str, key: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(
        f"rule {rule!r} has the bad value {value!r} for {key!r}; allowed: {allowed}",
        hint="correct it in the setting 'rules'; a rule is described in the reference of rules",
        key=f"rules.{rule}.{key}",
        value=value,
        allowed=allowed,
    )


def _values(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else (value,)


def _typed(value: Any, kind: str) -> Any:
    if kind == "text":
        if not isinstance(value, str):
            raise ValueError("text")
        return value
    if kind == "timestamp":
        return _time(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise ValueError("a number")
    number = Decimal(str(value))
    if abs(number) >= _LARGEST or number != round(number, 4) or (kind == "integer" and number % 1):
        raise ValueError(
            "a whole number" if kind == "integer" else "a number with 14 digits before and 4 after the point"
        )
    return int(number) if kind == "integer" else round(number, 4)


def _time(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        at = None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise ValueError("a time with an offset, such as 2026-01-05T10:00:00Z")
    return at.astimezone(UTC).replace(tzinfo=None)
