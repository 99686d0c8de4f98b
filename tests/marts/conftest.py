"""A builder over staged events of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import staged_events

import ecom_analytics.staging
from ecom_analytics import MartBuilder, Settings
from ecom_analytics.reports import BuildReport

Stage = Callable[..., staged_events.Snapshot]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Make these events the staged ones."""
    version = 0

    def give(events: list[staged_events.Event], **options: Any) -> staged_events.Snapshot:
        nonlocal version
        version += 1
        snapshot = staged_events.write(tmp_path / "staged", events, version, **options)
        monkeypatch.setattr(ecom_analytics.staging, "snapshot", lambda _: snapshot, raising=False)
        return snapshot

    return give


@pytest.fixture
def build(settings: Settings) -> Callable[..., BuildReport]:
    """Build what is staged."""
    return lambda **options: MartBuilder(settings).build(**options)
