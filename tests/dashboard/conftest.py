"""Warehouses for the tests of the dashboard, built by the real pipeline from generated events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import DAYS, FIRST, Visit, build, chromium, serve, visiting

from ecom_analytics import Pipeline, Settings
from ecom_analytics.generate import generate

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def shop_settings(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop with prices, ten weeks of data and a few faults; not built where there is no browser."""
    return build(tmp_path_factory.mktemp("shop"), "shop", events=100_000, days=DAYS, faults=True, start=FIRST)


@pytest.fixture(scope="package")
def shop(shop_settings: Settings) -> Iterator[str]:
    """Address of its dashboard."""
    with serve(shop_settings) as address:
        yield address


@pytest.fixture(scope="package")
def priceless(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the dashboard of data without prices."""
    with serve(build(tmp_path_factory.mktemp("priceless"), "retailrocket", events=20_000, days=40)) as address:
        yield address


@pytest.fixture
def visit(browser: Browser, shop: str) -> Iterator[Visit]:
    with visiting(browser, shop) as visitor:
        yield visitor
