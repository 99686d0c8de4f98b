"""Warehouses for the tests of the dashboard, built by the real pipeline from generated events."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecom_analytics import Pipeline, Settings
from ecom_analytics.generate import generate


@pytest.fixture(scope="session")
def built_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Six weeks of a small shop with prices, and with faults."""
    home = tmp_path_factory.mktemp("shop")
    return _built(home, like="shop", events=12_000, days=42, faults=True)


@pytest.fixture(scope="session")
def settings_without_prices(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Events in RetailRocket's format, which has no prices."""
    return _built(tmp_path_factory.mktemp("rocket"), like="retailrocket", events=5_000, days=35)


def _built(home: Path, **shape: object) -> Settings:
    events = home / "events.csv"
    generate(events, seed=7, **shape)  # type: ignore[arg-type]
    settings = Settings(home=home / "data", port=0)
    Pipeline(settings).run(events, export=False)
    return settings
