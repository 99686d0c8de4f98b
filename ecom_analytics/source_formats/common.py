"""What source formats share: seeing a file's beginning, typing text exactly, rejecting by the first rule broken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ecom_analytics.reading.sample import as_sample
from ecom_analytics.rules import Rule, Severity

if TYPE_CHECKING:
    import ibis.expr.types as ir

ORIGIN = ("source", "batch_id", "source_line")

FIRST, LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Times of events lie in between; LAST is the first that does not."""

DAY = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
"""Patterns of a day and of a time of day, as ISO 8601 writes them."""

_NUMBER = r"^-?[0-9]{1,14}(\.[0-9]+)?$"

HEADERLESS = 0.8
"""How sure a format is of a file without a header whose first row looks like its own."""


def header_of(sample: bytes) -> list[str]:
    """Column names of the sample: of its header, its schema, or its JSON objects; see :class:`Sample`.

    Examples
    --------
    >>> header_of(b'id;"name"\\n1;Anna\\n')
    ['id', 'name']
    """
    return list(as_sample(sample).header)


def confidence(
    sample: bytes,
    required: Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    first_row: Mapping[str, str] | None = None,
) -> float:
    """How sure a format is that a file is its own: 1 if the file has the required columns.

    With ``columns`` and ``first_row`` (see :func:`lacks_header`) it is 0.8 for a file without a header.

    Examples
    --------
    >>> confidence(b"b,a,c\\n", ["a", "b"]), confidence(b"b,c\\n", ["a", "b"])
    (1.0, 0.0)
    >>> confidence(b"7,x\\n", ["id"], columns=["id", "name"], first_row={"id": "[0-9]+"})
    0.8
    """
    if set(required) <= set(as_sample(sample).header):
        return 1.0
    return HEADERLESS if columns and first_row and lacks_header(sample, columns, first_row) else 0.0


def lacks_header(sample: bytes, columns: Sequence[str], first_row: Mapping[str, str]) -> bool:
    """Whether the first record of a delimited file is one of data: as wide as ``columns``, and fulfilling patterns.

    Parameters
    ----------
    sample : bytes
    columns : sequence of str
        The columns in the order that files without a header have.
    first_row : mapping of str to str
        Patterns, for some of the columns, that a value fulfils whole and the name of the column does not.
    """
    seen = as_sample(sample)
    if seen.layout.kind != "delimited" or not seen.records or len(seen.records[0]) != len(columns):
        return False
    row = dict(zip(columns, seen.records[0], strict=True))
    return all(re.fullmatch(pattern, row[name]) for name, pattern in first_row.items())


def plausible(at: ir.TimestampColumn) -> ir.TimestampColumn:
    """The time, or NULL if it is before :data:`FIRST` or not before :data:`LAST`."""
    import ibis

    first, last = (ibis.timestamp(moment.replace(tzinfo=None).isoformat(sep=" ")) for moment in (FIRST, LAST))
    return ((at >= first) & (at < last)).ifelse(at, ibis.null("timestamp(6)"))


def rounded(text: ir.StringColumn) -> ir.DecimalColumn:
    """A plain decimal number, rounded half up to four places; NULL if the text is none, or has more than 14 digits."""
    import ibis

    return text.re_search(_NUMBER).ifelse(text, ibis.null(str)).cast("decimal(18, 4)")


def number_rules(events: ir.Table, names: Sequence[str], *, prefix: str = "raw_") -> list[Rule]:
    """Rules for columns of decimals: written but no number, and below zero.

    The text of each is in the column of its name with the prefix before it.
    """
    rules: list[Rule] = []
    for name in names:
        text, value = events[prefix + name], events[name]
        rules.append(Rule("bad_number", text.notnull() & value.isnull(), f"{name} is not a plain number: " + text))
        rules.append(Rule("negative_number", value < 0, f"{name} is below zero: " + text))
    return rules


def time_rules(
    time: ir.TimestampColumn, readable: ir.BooleanValue, written: ir.StringColumn, expected: str
) -> list[Rule]:
    """Rules for the time: readable but not :func:`plausible`, and not readable.

    Parameters
    ----------
    time : ibis column
        NULL if it is not plausible.
    readable : boolean expression
        Whether the text means any time; looked at only where ``time`` is NULL.
    written : ibis column
        The text.
    expected : str
        The beginning of the message for what is not readable; the text follows.
    """
    said = written.fill_null("")
    return [
        Rule(
            "timestamp_out_of_range",
            time.isnull().ifelse(readable, False),
            f"the time is not from {FIRST.year} to {LAST.year - 1}: " + said,
        ),
        Rule("bad_timestamp", time.isnull(), expected + said),
    ]


_severities: ContextVar[Mapping[str, Severity] | None] = ContextVar("severities", default=None)


@contextmanager
def changed_severities(severities: Mapping[str, Severity]) -> Iterator[None]:
    """Within the block :func:`with_rules` gives rules of these names another severity."""
    before = _severities.set(severities)
    try:
        yield
    finally:
        _severities.reset(before)


def with_rules(events: ir.Table, rules: Sequence[Rule]) -> ir.Table:
    """Add ``reject_rule`` and ``reject_message``: of the first rule that rejects and is broken, else NULL.

    If any rule only warns, there is also ``warned_rules``: the names of those that are broken, each with a space after
    it.
    """
    import ibis

    changed = _severities.get() or {}
    by_severity: dict[Severity, list[Rule]] = {"reject": [], "warn": [], "off": []}
    for rule in rules:
        by_severity[changed.get(rule.name, rule.severity)].append(rule)
    text, rejecting = ibis.null(str), by_severity["reject"]
    columns: dict[str, Any] = {"reject_rule": text, "reject_message": text}
    if rejecting:
        broken = [rule.broken(events) for rule in rejecting]
        names = (ibis.literal(rule.name) for rule in rejecting)
        messages = (rule.said(events) for rule in rejecting)
        columns["reject_rule"] = ibis.cases(*zip(broken, names, strict=True), else_=text)
        columns["reject_message"] = ibis.cases(*zip(broken, messages, strict=True), else_=text)
    if by_severity["warn"]:
        columns["warned_rules"] = warned(events, by_severity["warn"])
    return events.mutate(**columns)


def warned(events: ir.Table, rules: Sequence[Rule]) -> ir.StringValue:
    """The names of those rules that are broken, each with a space after it."""
    import ibis

    names: Any = ibis.literal("")
    for rule in rules:
        names = names + rule.broken(events).ifelse(rule.name + " ", "")
    return names
