"""Pages about the served build."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Stage
from staged_events import complete, event

from ecom_analytics import MartBuilder, MartError, Settings, Warehouse
from ecom_analytics.errors import NotBuiltError
from ecom_analytics.reports import BuildReport

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_models"


def test_every_mart_has_its_columns_and_own_models_are_among_them(
    settings: Settings, stage: Stage, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"models": EXAMPLE})
    stage(complete([event()]))
    report = MartBuilder(settings).build()
    before = {path.name: path.stat().st_mtime_ns for path in settings.warehouse.iterdir()}

    page = MartBuilder(settings).docs(tmp_path / "pages")

    assert page == tmp_path / "pages" / "index.html"
    catalogue = json.loads((page.parent / "catalog.json").read_text())["nodes"].values()
    assert {node["metadata"]["name"] for node in catalogue} >= report.rows.keys()
    [sessions] = [node for node in catalogue if node["metadata"]["name"] == "sessions"]
    marts = Warehouse(settings).current().info["marts"]
    assert list(sessions["columns"]) == list(marts["sessions"]["columns"])
    text = page.read_text()
    assert marts["weekday_conversion"]["description"] in text
    assert "sp.js" not in text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"\s]+\.(?:js|css)', text)
    assert {path.name: path.stat().st_mtime_ns for path in settings.warehouse.iterdir()} == before


def test_without_a_build_there_is_nothing_to_tell_of(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError):
        MartBuilder(settings).docs(tmp_path / "pages")
    assert not (tmp_path / "pages").exists()


def test_a_folder_that_cannot_be_written_is_said(
    settings: Settings, stage: Stage, build: Callable[..., BuildReport], tmp_path: Path
) -> None:
    stage(complete([event()]))
    build()
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(MartError, match="taken"):
        MartBuilder(settings).docs(tmp_path / "taken")
