"""How answers are written: JSON in one envelope, and CSV that a spreadsheet can open safely."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ecom_analytics.answers.asking import Answer, Ask

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def meta(ask: Ask, answer: Answer) -> dict[str, Any]:
    """What stands beside the data of every answer."""
    build = ask.marts.build
    found: dict[str, Any] = {
        "build_id": build.build_id,
        "built_at": build.built_at,
        "as_of": ask.info.get("as_of"),
        "timezone": ask.zone,
        "open_day": ask.open_day,
        "range": ask.days.to_dict() if ask.days else None,
        "compare_range": ask.compared.to_dict() if ask.compared else None,
        "filters": ask.filters.to_dict(),
        "columns": [column.to_dict() for column in answer.columns],
        **(answer.facts or {}),
    }
    return found | ({"next": answer.more} if answer.more else {})


def envelope(ask: Ask, answer: Answer) -> dict[str, Any]:
    """The whole of a JSON answer, in types that JSON knows."""
    return {"data": plain(answer.data), "meta": plain(meta(ask, answer))}


def plain(value: Any) -> Any:
    """The value in types that JSON knows: dates as ISO 8601, decimals as numbers, NULL for what is no number.

    Examples
    --------
    >>> plain([date(2026, 1, 5), Decimal("1.50"), float("nan")])
    ['2026-01-05', 1.5, None]
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def json_text(value: Any) -> str:
    """The value as JSON without spaces."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def csv_text(answer: Answer) -> str:
    """The rows as CSV; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    names = [column.name for column in answer.columns]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    for row in answer.table:
        writer.writerow([_cell(row.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Any) -> Any:
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        value = json_text(value)
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA) else value
    return value
