"""What source formats share: how they see the beginning of a file, and reject a row by the first rule it breaks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ecom_analytics.reading.sample import as_sample

if TYPE_CHECKING:
    import ibis.expr.types as ir

Rule = tuple["ir.BooleanValue", str, "ir.StringValue | str"]
"""A broken condition, the name of the rule, and the message for a person."""

ORIGIN = ("source", "batch_id", "source_line")

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


def with_rules(events: ir.Table, rules: Sequence[Rule]) -> ir.Table:
    """Add ``reject_rule`` and ``reject_message``: of the first rule whose condition holds, else NULL."""
    import ibis

    text = ibis.null(str)
    return events.mutate(
        reject_rule=ibis.cases(*((broken, ibis.literal(rule)) for broken, rule, _ in rules), else_=text),
        reject_message=ibis.cases(*((broken, message) for broken, _, message in rules), else_=text),
    )
