"""Rules as data: what a record may break, and every rule that is built in.

A record breaks a rule where the rule's condition holds. The first one broken, in their order, names the reject. The
reference page of rules is made of :data:`BUILT_IN`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from ecom_analytics.events import COLUMNS

if TYPE_CHECKING:
    import ibis.expr.types as ir

Severity = Literal["reject", "warn", "off"]
"""What becomes of an event that breaks a rule: not staged; staged and counted; nothing."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that events are held to.

    Attributes
    ----------
    name : str
        Part of the contract: what ``rejected --rule`` asks for. Several rules may share one.
    condition : boolean expression of Ibis, or a function of the table that gives one
        Where it holds the rule is broken; where it is NULL it is not.
    message : str, or text expression of Ibis, or a function of the table that gives one
        For a person, with the value.
    severity : str
        ``reject``, ``warn`` or ``off``.

    Examples
    --------
    >>> Rule("missing_brand", lambda events: events.brand.isnull(), "brand is empty").severity
    'reject'
    """

    name: str
    condition: ir.BooleanValue | Callable[[ir.Table], ir.BooleanValue]
    message: str | ir.StringValue | Callable[[ir.Table], ir.StringValue]
    severity: Severity = "reject"

    def broken(self, events: ir.Table) -> ir.BooleanValue:
        """The condition, of these events."""
        return self.condition(events) if callable(self.condition) else self.condition

    def said(self, events: ir.Table) -> Any:
        """The message, of these events."""
        return self.message(events) if callable(self.message) else self.message


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A rule that comes with the package.

    Attributes
    ----------
    name : str
    of : str
        ``reading``, if a record cannot even be split; else of what it is: ``events`` or ``catalogue``.
    description : str
    structural : bool
        Without it there is no event. Such a rule always rejects.
    """

    name: str
    of: Literal["reading", "events", "catalogue"]
    description: str
    structural: bool = False


_READING = {
    "too_few_fields": "It has fewer fields than the header.",
    "too_many_fields": "It has more fields than the header.",
    "bad_quoting": "A quoted field does not close as it should within max_record_lines.",
    "bad_encoding": "Its bytes are no text in the encoding of the file.",
    "nul_byte": "It holds a NUL byte.",
    "truncated": "Compressed data is cut short or damaged within it.",
    "bad_json": "It is no JSON object, or a part of it that holds JSON cannot be read.",
}
_STRUCTURAL = {
    "bad_timestamp": "The time is missing, or cannot be read in the way that the format writes times.",
    "timestamp_out_of_range": "The time is before 1990 or after 2099: often it is in another unit.",
    "unknown_event_type": "What happened is missing, or is nothing that the format knows.",
    "missing_visitor_id": "There is no visitor.",
}
_EVENTS = {
    "missing_product_id": "There is no product, in a format whose every event has one, or whose mapping requires it.",
    "missing_transaction_id": "A purchase has no transaction id, in a format that has them, or whose mapping does.",
    "bad_number": "A number is written, but is no plain one of at most 14 digits before the point.",
    "negative_number": "A quantity, a price or an amount of an order is below zero.",
}
_CATALOGUE = {
    "missing_category_id": "A row of the tree of categories names none.",
    "missing_category": "A row that tells of a product's category has none.",
    "missing_property": "A row that tells a property of a product does not say which.",
    "bad_availability": "Whether a product is available is written in an unknown way.",
    "category_below_itself": "A category is its own parent.",
}
_REQUIRED = {
    f"missing_{c.name}": f"There is no {c.name}, which the mapping requires."
    for c in COLUMNS
    if c.meaning == "event" and not c.required and f"missing_{c.name}" not in _EVENTS
}

BUILT_IN: dict[str, BuiltIn] = {
    **{name: BuiltIn(name, "reading", text, structural=True) for name, text in _READING.items()},
    **{name: BuiltIn(name, "events", text, structural=True) for name, text in _STRUCTURAL.items()},
    **{name: BuiltIn(name, "events", text) for name, text in {**_EVENTS, **_REQUIRED}.items()},
    **{name: BuiltIn(name, "catalogue", text) for name, text in _CATALOGUE.items()},
}
"""Every rule that a built-in format or the reader can name, by name."""


def is_rule_name(name: object) -> bool:
    """Whether a rule may be called that: 1 to 63 lower-case letters, digits and ``_``, a letter first.

    Examples
    --------
    >>> is_rule_name("absurd_price"), is_rule_name("Absurd price")
    (True, False)
    """
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def why_fixed(name: str) -> str | None:
    """Why the severity of a built-in rule cannot be changed; None if it can.

    Examples
    --------
    >>> why_fixed("bad_timestamp")
    'without it there is no event to stage'
    >>> why_fixed("negative_number")
    """
    rule = BUILT_IN[name]
    if rule.of == "reading":
        return "such a record cannot be split, so there is nothing to stage"
    if rule.of == "catalogue":
        return "it is a rule for files of products and categories, and only those for events can be changed"
    return "without it there is no event to stage" if rule.structural else None
