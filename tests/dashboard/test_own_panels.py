"""The contract of panels holds for the example, and is broken by one that does not care for filters."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Settings
from ecom_analytics.answers.query import Opened
from ecom_analytics.protocols import Panel
from ecom_analytics.testing.panels import PanelContract

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_panel.py"


def _example() -> Any:
    spec = importlib.util.spec_from_file_location("own_panel", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.BasketSizes


class TestExample(PanelContract):
    @pytest.fixture
    def panel(self) -> Panel:
        made: Panel = _example()()
        return made

    @pytest.fixture
    def settings(self, built_settings: Settings) -> Settings:
        return built_settings

    def test_one_that_reads_past_the_filters_is_found(self, panel: Panel, marts: Opened) -> None:
        class Careless(_example()):  # type: ignore[misc]
            def query(self, marts: Any, filters: Any) -> dict[str, Any]:
                sql = "SELECT lines AS pieces, count(*) AS transactions FROM transactions GROUP BY lines"
                return {**panel.query(marts, filters), "rows": marts.rows(sql)}

        with pytest.raises(AssertionError):
            self.test_what_the_filters_leave_out_is_left_out(Careless(), marts)
        with pytest.raises(AssertionError):
            self.test_days_without_data_are_no_error(Careless(), marts)
