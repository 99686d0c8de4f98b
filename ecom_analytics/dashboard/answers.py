"""How answers look: the JSON envelope, CSV that a spreadsheet can open safely, and problems in RFC 9457 form."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Response

    from ecom_analytics.dashboard.parameters import Range

WORTH_ZIPPING = 500
"""Bytes; shorter answers go as they are."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Answer:
    """What a route found out.

    Attributes
    ----------
    data : object
        What the JSON answer holds.
    rows : list of dict, optional
        What the CSV twin holds; by default ``data``.
    range, compared : Range, optional
    next : str, optional
        The name of the next page of a list.
    """

    data: Any
    rows: Sequence[dict[str, Any]] | None = None
    range: Range | None = None
    compared: Range | None = None
    next: str | None = None
    columns: Sequence[str] = field(default=())


def plain(value: Any) -> Any:
    """What JSON has no type for: dates as ISO 8601, decimals as numbers.

    Examples
    --------
    >>> plain(date(2026, 1, 5)), plain(Decimal("1.50"))
    ('2026-01-05', 1.5)
    """
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def finite(value: Any) -> Any:
    """The value with NULL for what is not a number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def json_text(value: Any) -> str:
    """The value as JSON without spaces."""
    return json.dumps(finite(value), default=plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Body:
    """The text of an answer, as bytes, and gzipped once someone wants it so."""

    def __init__(self, text: str, more: str | None = None) -> None:
        self.plain = text.encode()
        self.more = more

    @cached_property
    def zipped(self) -> bytes:
        return gzip.compress(self.plain, 6, mtime=0)

    def respond(self, content_type: str) -> Response:
        """The body as the client of this request takes it."""
        from flask import Response, request

        zipped = len(self.plain) >= WORTH_ZIPPING and request.accept_encodings["gzip"] > 0
        answer = Response(self.zipped if zipped else self.plain, content_type=content_type)
        if zipped:
            answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
        return answer


def csv_text(answer: Answer) -> str:
    """The rows as CSV; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    rows = answer.rows if answer.rows is not None else answer.data
    names = list(answer.columns) or (list(rows[0]) if rows else [])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA) else value
    if isinstance(value, int | float):
        return value
    return plain(value)


def problem(status: int, title: str, detail: str, **facts: Any) -> Response:
    """An error as ``application/problem+json``."""
    from flask import Response

    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **facts}
    answer = Response(json_text(body), status=status, content_type="application/problem+json")
    answer.headers["Cache-Control"] = "no-store"
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return answer
