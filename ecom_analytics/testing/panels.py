"""The contract of a panel of the dashboard, as tests to inherit.

Examples
--------
.. code-block:: python

    class TestMyPanel(PanelContract):
        @pytest.fixture
        def panel(self):
            return MyPanel()
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from ecom_analytics.answers import Answer, Ask, csv_text, json_text
from ecom_analytics.answers.query import Opened
from ecom_analytics.answers.ranges import PERIODS
from ecom_analytics.config import Settings
from ecom_analytics.generate import generate
from ecom_analytics.panels.listing import ALL_ROUTES, PAGES, answer_of
from ecom_analytics.pipeline import Pipeline
from ecom_analytics.protocols import Panel
from ecom_analytics.warehouse import Warehouse

_ROUTE = ALL_ROUTES["panels/{panel}"]


class PanelContract:
    """What every panel must do. Override ``panel``; and ``settings``, if it needs data of another kind."""

    @pytest.fixture
    def panel(self) -> Panel:
        raise NotImplementedError("override the fixture 'panel'")

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, tmp_path_factory: pytest.TempPathFactory) -> Settings:
        """Where a built warehouse lies: six weeks of a made-up shop with prices."""
        folder = tmp_path_factory.mktemp("shop")
        generate(folder / "events.csv", like="shop", events=5_000, days=42, seed=7)
        settings = Settings(home=folder / "home")
        Pipeline(settings).run(folder / "events.csv", export=False)
        return settings

    @pytest.fixture
    def marts(self, settings: Settings) -> Iterator[Opened]:
        warehouse = Warehouse(settings)
        build = warehouse.current()
        with warehouse.connect(build) as connection:
            yield Opened(build, connection)

    def shown(self, panel: Panel, marts: Opened, **given: str) -> Answer:
        """What the panel shows to a question of the page."""
        asked = {name.rstrip("_"): [value] for name, value in given.items()}
        return answer_of(panel, Ask(marts, _ROUTE.parameters, asked, {"panel": panel.name}))

    def test_it_has_what_a_panel_has(self, panel: Panel) -> None:
        assert isinstance(panel, Panel)
        assert re.fullmatch("[a-z][a-z0-9_]*", panel.name)
        assert panel.title.strip()
        assert panel.chart in ("line", "bars", "table")
        assert getattr(panel, "page", "overview") in PAGES
        assert 1 <= getattr(panel, "width", 6) <= 12

    def test_it_reads_public_marts(self, panel: Panel, settings: Settings) -> None:
        assert panel.requires
        assert set(panel.requires) <= set(Warehouse(settings).public_marts())

    @pytest.mark.parametrize("period", PERIODS)
    def test_its_rows_are_json_and_csv(self, period: str, panel: Panel, marts: Opened) -> None:
        answer = self.shown(panel, marts, period=period)
        names = [column.name for column in answer.columns]
        assert len(names) == len(set(names)) > 0
        for row in json.loads(json_text(answer.data))["rows"]:
            assert set(row) <= set(names), "each key of a row is a column"
        assert csv_text(answer).count("\r\n") >= 1

    def test_it_has_something_to_show(self, panel: Panel, marts: Opened) -> None:
        answer = self.shown(panel, marts, period="all")
        assert answer.data["available"], answer.data["reason"]
        assert answer.data["rows"]

    def test_days_without_data_are_no_error(self, panel: Panel, marts: Opened) -> None:
        assert _is_nothing(self.shown(panel, marts, from_="1990-01-01", to="1990-01-02"))

    def test_what_the_filters_leave_out_is_left_out(self, panel: Panel, marts: Opened) -> None:
        """A panel that reads a mart by its own name shows all of it to who may see a part."""
        assert _is_nothing(self.shown(panel, marts, period="all", source="there is no such source"))


def _is_nothing(answer: Answer) -> bool:
    """No rows, or none with a figure."""
    counted = [column.name for column in answer.columns[1:] if column.type in ("whole", "number")]
    return not any(row.get(name) for row in answer.table for name in counted)
