"""Who may see the figures, and that they are the same through every door."""

from __future__ import annotations

import base64
import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Settings, Warehouse, create_app
from ecom_analytics.dashboard import embed_token
from ecom_analytics.dashboard.serving import check_reach
from ecom_analytics.errors import ConfigError

TOKEN, SECRET = "an open sesame", "a long random text, of 32 characters or more"


def _with(settings: Settings, **more: Any) -> Settings:
    return Settings(home=settings.home, port=0, **more)


def test_a_token_is_asked_of_everyone_and_never_told(built_settings: Settings) -> None:
    settings = _with(built_settings, dashboard_token=TOKEN)
    client = create_app(settings).test_client()
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    for address in ("/", "/api/v1/kpis", "/api/v1/kpis.csv", "/api/v1/export/all.zip"):
        refused = client.get(address)
        assert refused.status_code == 401, address
        assert TOKEN not in refused.text
        assert client.get(address, headers={"Authorization": "Bearer wrong"}).status_code == 401
        for value in (f"Bearer {TOKEN}", f"Basic {basic}"):
            assert client.get(address, headers={"Authorization": value}).status_code == 200, address
    assert client.get("/healthz").status_code == 200
    assert TOKEN not in repr(settings)


def test_a_callable_lets_in(built_settings: Settings) -> None:
    client = create_app(
        built_settings, authenticate=lambda request: request.headers.get("X-User") == "me"
    ).test_client()
    assert client.get("/api/v1/kpis").status_code == 401
    assert client.get("/api/v1/kpis", headers={"X-User": "me"}).status_code == 200


def test_a_signed_link_shows_its_part_of_the_data_and_no_other(built_settings: Settings) -> None:
    settings = _with(built_settings, embed_secret=SECRET, dashboard_token=TOKEN)
    client = create_app(settings).test_client()
    token = embed_token(settings, {"device": "mobile"}, valid_for=timedelta(hours=1))
    own = create_app(built_settings).test_client()
    part = client.get(f"/api/v1/kpis?period=all&token={token}").get_json()["data"]
    assert part == own.get("/api/v1/kpis?period=all&device=mobile").get_json()["data"]
    assert part != own.get("/api/v1/kpis?period=all").get_json()["data"]
    assert own.get("/api/v1/notices").get_json()["data"]
    assert client.get(f"/api/v1/notices?token={token}").get_json()["data"] == []
    assert client.get(f"/api/v1/meta?token={token}").get_json()["data"]["input"] == {}
    assert client.get(f"/api/v1/kpis?device=desktop&token={token}").status_code == 403
    assert client.get(f"/api/v1/panels/trend?token={token}").status_code == 200
    untold = {"affinity", "runs", "account", "rejected", "checks"}
    for panel in untold:
        assert client.get(f"/api/v1/panels/{panel}?token={token}").status_code == 403, panel
    with zipfile.ZipFile(io.BytesIO(client.get(f"/api/v1/export/all.zip?token={token}").data)) as archive:
        names = {Path(name).stem.partition("-")[2] for name in archive.namelist()}
    assert "trend" in names
    assert not untold & names
    assert client.get(f"/api/v1/runs?token={token}").status_code == 403
    assert client.get(f"/api/v1/kpis?token={token}x").status_code == 403
    late = embed_token(settings, valid_for=timedelta(seconds=-1))
    assert client.get(f"/api/v1/kpis?token={late}").status_code == 403
    other = embed_token(_with(settings, embed_secret=SECRET[::-1]), valid_for=timedelta(hours=1))
    assert client.get(f"/api/v1/kpis?token={other}").status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_token(host: str) -> None:
    check_reach(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    with pytest.raises(ConfigError, match="open to other machines") as caught:
        check_reach(Settings(host=host))
    assert "--insecure" in caught.value.hint
    check_reach(Settings(host=host, dashboard_token=TOKEN))


QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("kpis", {"period": "7d"}),
    ("kpis", {"device": ["mobile", "desktop"], "compare": "none"}),
    ("timeseries", {"metric": "net_value", "grain": "week", "period": "all"}),
    ("funnel", {"period": "28d", "split": "device"}),
    ("products", {"sort": "-revenue", "limit": 5}),
    ("cohorts", {"measure": "people"}),
    ("carts", {"period": "all"}),
    ("checks", {"status": "warn"}),
]


@pytest.mark.parametrize(("function", "parameters"), QUESTIONS)
def test_python_and_the_api_answer_alike(function: str, parameters: dict[str, Any], built_settings: Settings) -> None:
    client = create_app(built_settings).test_client()
    route = f"quality/{function}" if function == "checks" else function
    told = client.get(f"/api/v1/{route}", query_string=parameters).get_json()
    assert getattr(Warehouse(built_settings).query, function)(**parameters) == told


@pytest.mark.parametrize("route", ["kpis", "funnel"])
def test_what_is_compared_with_is_what_that_range_says_alone(route: str, built_settings: Settings) -> None:
    client = create_app(built_settings).test_client()
    told = client.get(f"/api/v1/{route}?period=7d").get_json()
    base = told["meta"]["compare_range"]
    alone = client.get(f"/api/v1/{route}?from={base['from']}&to={base['to']}&compare=none").get_json()["data"]
    if route == "kpis":
        assert [one["previous"] for one in told["data"]] == [one["value"] for one in alone]
    else:
        assert [one["previous"] for one in told["data"]["steps"]] == [one["count"] for one in alone["steps"]]
