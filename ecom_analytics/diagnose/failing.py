"""Tests that failed or warned: from their failing rows to events, files and lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecom_analytics.diagnose.look import Look, finding
from ecom_analytics.diagnose.report import Finding, Spot
from ecom_analytics.keys import session_id

_ROWS = 5
"""Failing rows of a test whose events are looked for."""

_KEYS = {
    "source": "source = $source",
    "transaction_id": "(transaction_id = $transaction_id)",
    "session_id": f"{session_id()} = $session_id",
    "visitor_id": "visitor_id = $visitor_id",
    "user_id": "(user_id = $user_id OR visitor_id = $user_id)",
    "product_id": "product_id = $product_id",
    "date": "event_date = CAST($date AS DATE)",
    "event_date": "event_date = CAST($event_date AS DATE)",
    "batch_id": "batch_id = $batch_id",
    "source_line": "source_line = $source_line",
    "line": "source_line = $line",
}
"""Column of a failing row → the events that it stands for. ``source`` alone says too little."""

_SHOWN = ("event_ts", "event_type", "visitor_id", "product_id", "transaction_id")
_FACTS = "{" + ", ".join(f"{name}: {name}" for name in _SHOWN) + "}"


def tests(look: Look, evidence: dict[str, Any] | None) -> Iterator[Finding]:
    """A finding for each test of the last build that did not pass."""
    for test in (evidence or {}).get("tests", []):
        cause = "warned_test" if test["status"] == "warn" else "failed_test"
        found = {(s.batch_id, s.line): s for row in test["rows"][:_ROWS] for s in _events(look, row)}
        spots = tuple(found.values())[: look.limit]
        yield finding(
            cause, test["name"], test["failures"], len({s.batch_id for s in spots}), spots, tuple(test["rows"])
        )


def _events(look: Look, row: dict[str, Any]) -> list[Spot]:
    """The first events behind a failing row."""
    keys = {name: value for name, value in row.items() if name in _KEYS and value is not None}
    if not keys.keys() - {"source"}:
        return []
    found = look.rows(
        f"SELECT source, batch_id, source_line AS line, {_FACTS} AS facts FROM events "
        f"WHERE {' AND '.join(_KEYS[name] for name in keys)} ORDER BY event_ts, batch_id, source_line LIMIT $spots",
        spots=look.limit,
        **keys,
    )
    return [look.spot(one) for one in found]
