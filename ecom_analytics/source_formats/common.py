"""What delimited source formats share: looking at a header, and rejecting a row by the first rule that it breaks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

Rule = tuple["ir.BooleanValue", str, "ir.StringValue | str"]
"""A broken condition, the name of the rule, and the message for a person."""

ORIGIN = ("source", "batch_id", "source_line")


def header_of(sample: bytes, delimiter: str = ",") -> list[str]:
    """Column names in the first line that is not blank; empty if it is not text."""
    for line in sample.removeprefix(b"\xef\xbb\xbf").splitlines():
        if line.strip():
            try:
                return [name.strip() for name in next(csv.reader([line.decode()], delimiter=delimiter))]
            except (UnicodeDecodeError, csv.Error, StopIteration):
                return []
    return []


def with_rules(events: ir.Table, rules: Sequence[Rule]) -> ir.Table:
    """Add ``reject_rule`` and ``reject_message``: of the first rule whose condition holds, else NULL."""
    import ibis

    text = ibis.null(str)
    return events.mutate(
        reject_rule=ibis.cases(*((broken, ibis.literal(rule)) for broken, rule, _ in rules), else_=text),
        reject_message=ibis.cases(*((broken, message) for broken, _, message in rules), else_=text),
    )
