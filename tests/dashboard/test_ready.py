"""Answers that are computed at publication are those that would be computed when asked, and go with their build."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import MartBuilder, Settings, Warehouse, create_app
from ecom_analytics.answers import ready
from ecom_analytics.answers.query import Opened
from ecom_analytics.answers.ranges import PERIODS
from ecom_analytics.answers.routes import ROUTES
from ecom_analytics.dashboard.access import embed_token
from ecom_analytics.dashboard.generations import Generation
from ecom_analytics.errors import EcomError
from ecom_analytics.marts import publication
from ecom_analytics.panels import panels, presets
from ecom_analytics.panels.route_panel import RoutePanel
from ecom_analytics.warehouse import answers_name


@pytest.fixture
def prepared(built_settings: Settings, tmp_path: Path) -> Settings:
    """A copy of the built warehouse with the answers that are computed at publication."""
    settings = Settings(home=tmp_path / "copy")
    shutil.copytree(built_settings.warehouse, settings.warehouse, symlinks=True)
    warehouse = Warehouse(settings)
    build = warehouse.current()
    with warehouse.connect(build) as connection:
        assert presets.prepare(Opened(build, connection), _file(settings)) == len(presets.questions())
    return settings


def _file(settings: Settings) -> Path:
    build = Warehouse(settings).current()
    return build.path.with_name(answers_name(build.build_id))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that the server puts to the build."""
    found: list[str] = []
    rows = Generation.rows

    def counted(self: Generation, sql: str, parameters: Any = ()) -> list[dict[str, Any]]:
        found.append(sql)
        return rows(self, sql, parameters)

    monkeypatch.setattr(Generation, "rows", counted)
    return found


def _requests() -> list[str]:
    """What the pages ask for each of their periods, as their script writes it."""
    found = []
    for panel in panels().values():
        if isinstance(panel, RoutePanel):
            known = {parameter.name for parameter in panel.asks[0].parameters}
            for period in PERIODS if "period" in known else ("28d",):
                given = [f"{name}={value}" for name, value in panel.parameters.items()]
                given = [*([f"period={period}"] if period != "28d" else []), *given]
                found.append(f"/api/v1/{panel.route}{'?' if given else ''}{'&'.join(given)}")
    return found


def test_every_page_and_period_is_answered_without_a_query_and_as_if_it_were_asked(
    prepared: Settings, built_settings: Settings, asked: list[str]
) -> None:
    client = create_app(prepared).test_client()
    answers = {one: client.get(one, headers={"Accept-Encoding": "gzip"}) for one in _requests()}
    assert asked == []
    assert {answer.status_code for answer in answers.values()} == {200}

    fresh = create_app(built_settings).test_client()
    for request, answer in answers.items():
        plain = fresh.get(request, headers={"Accept-Encoding": "gzip"})
        assert answer.data == plain.data, request
        for name in ("ETag", "Link", "Content-Type", "Content-Encoding", "Vary", "Cache-Control"):
            assert answer.headers.get(name) == plain.headers.get(name), request
    assert asked  # the others were


@pytest.mark.parametrize("more", ["kpis?device=mobile", "kpis?compare=none", "kpis.csv", "kpis?from=2026-01-03"])
def test_what_differs_from_the_default_is_computed(more: str, prepared: Settings, asked: list[str]) -> None:
    client = create_app(prepared).test_client()
    plain = client.get("/api/v1/kpis").data
    assert asked == []
    answer = client.get(f"/api/v1/{more}")
    assert answer.status_code == 200
    assert asked
    assert answer.data != plain


@pytest.mark.parametrize(("dimension", "status"), [("device", 200), ("country", 200), ("weekday", 400)])
def test_a_value_called_none_is_a_value(
    dimension: str, status: int, prepared: Settings, built_settings: Settings
) -> None:
    request = f"/api/v1/kpis?{dimension}=None"
    found, plain = (create_app(one).test_client().get(request) for one in (prepared, built_settings))
    assert found.status_code == plain.status_code == status
    assert found.get_json() == plain.get_json()


def test_what_says_the_default_is_the_default(prepared: Settings, asked: list[str]) -> None:
    client = create_app(prepared).test_client()
    answer = client.get("/api/v1/kpis?grain=day&period=28d&match_weekday=false&compare=prev")
    assert answer.status_code == 200
    assert asked == []


def test_a_wrong_parameter_is_refused_as_ever(prepared: Settings) -> None:
    assert create_app(prepared).test_client().get("/api/v1/kpis?perod=7d").status_code == 400


def test_a_signed_link_never_sees_the_answers_for_all(prepared: Settings) -> None:
    settings = prepared.model_copy(update={"embed_secret": Settings(embed_secret="x" * 40).embed_secret})
    client = create_app(settings).test_client()
    token = embed_token(settings, {"device": ["mobile"]}, valid_for=timedelta(hours=1))
    part = client.get(f"/api/v1/kpis?token={token}").get_json()
    assert part["data"] == client.get("/api/v1/kpis?device=mobile").get_json()["data"]
    assert part["data"] != client.get("/api/v1/kpis").get_json()["data"]
    assert client.get(f"/api/v1/notices?token={token}").get_json()["data"] == []


def test_another_release_finds_none_of_them(
    prepared: Settings, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "__version__", "99.0")
    assert create_app(prepared).test_client().get("/api/v1/kpis").status_code == 200
    assert asked


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_damaged_file_costs_time_and_nothing_else(content: bytes, prepared: Settings, asked: list[str]) -> None:
    _file(prepared).write_bytes(content)
    assert create_app(prepared).test_client().get("/api/v1/kpis").status_code == 200
    assert asked


def test_an_answer_that_fails_is_left_to_be_asked_again(
    built_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(marts: Any, route: str, given: Any, path: Any) -> Any:
        if route == "kpis":
            raise EcomError("no")
        return answered(marts, route, given, path)

    answered = presets.ask
    monkeypatch.setattr(presets, "ask", fails)
    warehouse = Warehouse(built_settings)
    build = warehouse.current()
    with warehouse.connect(build) as connection:
        count = presets.prepare(Opened(build, connection), tmp_path / "answers")
    assert count == len([one for one in presets.questions() if one.route.path != "kpis"])
    assert ready.find(tmp_path / "answers", ready.Question(ROUTES["kpis"], {}, {})) is None
    assert ready.find(tmp_path / "answers", ready.Question(ROUTES["rfm"], {}, {})) is not None


def test_large_builds_have_them_and_they_go_with_their_build(built_settings: Settings, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(built_settings.home, home, symlinks=True)
    small = Warehouse(Settings(home=home)).current()
    assert not _file(Settings(home=home)).exists()

    settings = Settings(home=home, prepare_answers_from=small.info["marts"]["sessions"]["rows"])
    with MartBuilder(settings) as builder:
        large = builder.build(force=True).build_id
    answers = _file(settings)
    assert answers.exists()
    assert list(settings.warehouse.glob("building-*")) == []
    assert create_app(settings).test_client().get("/api/v1/kpis").get_json()["meta"]["build_id"] == large

    MartBuilder(settings).rollback()
    shutil.copyfile(answers, settings.warehouse / answers_name("20990101T000000Z-abcdef"))
    publication.clear_leftovers(settings.warehouse)
    assert [path.name for path in settings.warehouse.glob("*.answers")] == [answers.name], "the others have no build"
    publication.prune(settings.warehouse, small.path.name, keep=1)
    assert not answers.exists()
