"""The contract of a hook, as tests to inherit.

Examples
--------
.. code-block:: python

    class TestMyHook(HookContract):
        @pytest.fixture
        def hook(self):
            return MyHook("room")
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from ecom_analytics.protocols import Hook
from ecom_analytics.reports import Notice

KINDS = ("run_failed", "stale_data", "threshold", "unusual", "test_warned")
"""What a hook can be told of."""


class HookContract:
    """What every hook must do. Override ``hook``."""

    @pytest.fixture
    def hook(self) -> Hook:
        raise NotImplementedError("override the fixture 'hook'")

    def test_it_is_a_hook(self, hook: Hook) -> None:
        assert isinstance(hook, Hook)

    @pytest.mark.parametrize("kind", [*KINDS, "a_kind_to_come"])
    def test_it_takes_every_kind_and_changes_nothing(self, hook: Hook, kind: str) -> None:
        facts = {"metric": "aov", "value": 1.5, "nothing": None, "names": ["é", "😀"]}
        notice = Notice(
            kind, "Something, with 1,234.5 and “quotes”", "run", None, datetime(2026, 1, 5, tzinfo=UTC), facts
        )
        before = copy.deepcopy(notice)
        hook(notice)
        assert notice == before

    def test_it_can_be_told_again(self, hook: Hook) -> None:
        notice = Notice("run_failed", "it failed", "run", "build", datetime(2026, 1, 5, tzinfo=UTC))
        hook(notice)
        hook(notice)
