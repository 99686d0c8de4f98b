"""The contract of a rule plug-in, as tests to inherit.

Examples
--------
.. code-block:: python

    class TestMyRule(EventRuleContract):
        good = [{"unit_price": 9}]
        bad = [{"unit_price": 90_000}]

        @pytest.fixture
        def rule(self):
            return MyRule()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from ecom_analytics.config import Settings
from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.events import COLUMNS
from ecom_analytics.protocols import EventRule
from ecom_analytics.rules import BUILT_IN, SEVERITIES, is_rule_name

_USUAL = {
    "event_ts": datetime(2026, 1, 5, 10),  # noqa: DTZ001
    "event_type": "view",
    "visitor_id": "v",
    "source": "default",
    "batch_id": "b" * 64,
    "source_line": 2,
}
_TYPES = {
    "text": pa.string(),
    "decimal": pa.decimal128(18, 4),
    "integer": pa.int64(),
    "timestamp": pa.timestamp("us"),
}


class EventRuleContract:
    """What every rule must do. Override ``rule``, :attr:`good` and :attr:`bad`."""

    good: ClassVar[Sequence[Mapping[str, Any]]]
    """Events that do not break the rule: some of their columns; the others are as usual or NULL."""

    bad: ClassVar[Sequence[Mapping[str, Any]]]
    """Events that break it."""

    @pytest.fixture
    def rule(self) -> EventRule:
        raise NotImplementedError("override the fixture 'rule'")

    def broken(self, rule: EventRule, rows: Sequence[Mapping[str, Any]], folder: Path) -> list[bool]:
        """For each event, whether it breaks the rule."""
        kept = [c for c in COLUMNS if c.meaning != "derived"]
        values = {c.name: [_value(c.type, {**_USUAL, **row}.get(c.name)) for row in rows] for c in kept}
        events = pa.table({c.name: pa.array(values[c.name], _TYPES[c.type]) for c in kept})
        with DuckDBEngine(Settings(home=folder), folder) as engine:
            table = engine.backend.create_table("events", events.append_column("n", pa.array(range(len(rows)))))
            found = table.select("n", broken=rule.condition(table).fill_null(False)).order_by("n")
            return [bool(value) for (_, value) in engine.rows(engine.backend.compile(found))]

    def test_keeps_the_protocol(self, rule: EventRule) -> None:
        assert isinstance(rule, EventRule)
        assert is_rule_name(rule.name)
        assert rule.name not in BUILT_IN
        assert rule.severity in SEVERITIES
        assert rule.message
        assert isinstance(rule.message, str)

    def test_good_events_do_not_break_it(self, rule: EventRule, tmp_path: Path) -> None:
        assert self.good
        assert self.broken(rule, self.good, tmp_path) == [False] * len(self.good)

    def test_bad_events_break_it(self, rule: EventRule, tmp_path: Path) -> None:
        assert self.bad
        assert self.broken(rule, self.bad, tmp_path) == [True] * len(self.bad)

    def test_one_event_does_not_depend_on_others(self, rule: EventRule, tmp_path: Path) -> None:
        rows = [*self.bad, *self.good]
        together = self.broken(rule, rows, tmp_path)
        assert together == [self.broken(rule, [row], tmp_path)[0] for row in rows]
        assert self.broken(rule, rows[::-1], tmp_path) == together[::-1]


def _value(kind: str, value: Any) -> Any:
    return Decimal(str(value)) if kind == "decimal" and value is not None else value
