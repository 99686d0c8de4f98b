"""The API's figures against sums in plain Python, and its manners."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ecom_analytics import Settings, Warehouse, create_app
from ecom_analytics.answers import Answer, Column, csv_text, json_text
from ecom_analytics.answers.filters import DIMENSIONS
from ecom_analytics.dashboard import blueprint
from ecom_analytics.dashboard.generations import Generation
from ecom_analytics.panels.listing import ALL_ROUTES, panels

FROM, TO = date(2026, 1, 26), date(2026, 2, 15)
RANGE = f"from={FROM}&to={TO}"


@pytest.fixture(scope="module")
def client(built_settings: Settings) -> FlaskClient:
    return create_app(built_settings).test_client()


@pytest.fixture(scope="module")
def marts(built_settings: Settings) -> dict[str, list[dict[str, Any]]]:
    warehouse = Warehouse(built_settings)
    return {
        name: warehouse.sql(f"SELECT * FROM {name}").to_pylist()
        for name in ("sessions", "transactions", "products", "daily", "daily_products", "funnel")
    }


def get(client: FlaskClient, route: str) -> Any:
    answer = client.get(f"/api/v1/{route}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["data"]


def totals(marts: dict[str, list[dict[str, Any]]], first: date, last: date) -> dict[str, Any]:
    sessions = [row for row in marts["sessions"] if first <= row["session_date"] <= last]
    orders = [row for row in marts["transactions"] if first <= row["transaction_date"] <= last]
    revenue = float(sum(row["net_value"] for row in orders))
    seen = [row for row in marts["sessions"] if row["session_date"] <= last and row["session_end"].date() >= first]
    return {
        "visitors": len({(row["source"], row["visitor_id"]) for row in seen}),
        "sessions": len(sessions),
        "transactions": len(orders),
        "session_conversion_rate": sum(row["transactions"] > 0 for row in sessions) / len(sessions),
        "net_value": revenue,
        "aov": revenue / len(orders),
    }


def test_kpis_equal_sums_in_python_and_so_does_the_change(client: FlaskClient, marts: dict[str, Any]) -> None:
    now = totals(marts, FROM, TO)
    days = (TO - FROM).days + 1
    before = totals(marts, FROM - timedelta(days=days), FROM - timedelta(days=1))
    cards = {card["name"]: card for card in get(client, f"kpis?{RANGE}")}
    assert list(cards) == list(now)
    for name, card in cards.items():
        assert card["value"] == pytest.approx(now[name]), name
        assert card["previous"] == pytest.approx(before[name]), name
        assert card["change"] == pytest.approx((now[name] - before[name]) / before[name]), name
        assert len(card["series"]) == days
        assert card["label"] != name, "the definition of the metric is missing"
        assert card["definition"]
        assert card["unit"] == {"session_conversion_rate": "ratio", "net_value": "money", "aov": "money"}.get(
            name, "count"
        )
    for name in ("sessions", "transactions", "net_value"):
        assert sum(point["value"] for point in cards[name]["series"]) == pytest.approx(now[name])


def test_nothing_is_compared_with_days_before_the_data_began(client: FlaskClient, marts: dict[str, Any]) -> None:
    first = min(row["date"] for row in marts["daily"])
    day = first + timedelta(days=1)
    for query, known in ((f"from={day}&to={day}", True), (f"from={day}&to={day + timedelta(days=1)}", False)):
        cards = get(client, f"kpis?{query}")
        assert {card["previous"] is not None for card in cards if card["unit"] == "count"} == {known}
        assert known or {card["change"] for card in cards} == {None}


def test_the_visitors_of_one_day_are_those_of_the_mart_also_past_midnight(
    client: FlaskClient, marts: dict[str, Any]
) -> None:
    late = [row for row in marts["sessions"] if row["session_end"].date() > row["session_date"]]
    assert late, "no session goes past midnight: the test shows nothing"
    daily = {row["date"]: row["visitors"] for row in marts["daily"]}
    for day in {row["session_end"].date() for row in late}:
        cards = {card["name"]: card["value"] for card in get(client, f"kpis?from={day}&to={day}&compare=none")}
        assert cards["visitors"] == daily[day]


def test_a_day_without_events_is_zero_in_counts_and_nothing_in_ratios(client: FlaskClient) -> None:
    far = "from=2027-01-01&to=2027-01-03&compare=none"
    assert [p["value"] for p in get(client, f"timeseries?{far}")["points"]] == [0, 0, 0]
    assert [p["value"] for p in get(client, f"timeseries?metric=aov&{far}")["points"]] == [None, None, None]
    cards = {card["name"]: card for card in get(client, f"kpis?{far}")}
    assert (cards["sessions"]["value"], cards["aov"]["value"], cards["aov"]["change"]) == (0, None, None)


def test_timeseries_has_every_day_and_the_period_before(client: FlaskClient, marts: dict[str, Any]) -> None:
    found = get(client, f"timeseries?{RANGE}")
    orders = Counter(row["transaction_date"] for row in marts["transactions"])
    days = [FROM + timedelta(days=n) for n in range((TO - FROM).days + 1)]
    assert found["points"] == [{"date": str(day), "value": orders[day], "complete": True} for day in days]
    assert [p["date"] for p in found["previous_points"]] == [str(day - timedelta(days=len(days))) for day in days]


def test_weekdays_sum_the_days(client: FlaskClient, marts: dict[str, Any]) -> None:
    rows = get(client, f"breakdown/weekday?{RANGE}")["rows"]
    wanted = Counter(
        row["transaction_date"].isoweekday() for row in marts["transactions"] if FROM <= row["transaction_date"] <= TO
    )
    assert {row["key"]: row["value"] for row in rows} == {key: wanted[key] for key in range(1, 8)}
    assert [row["days"] for row in rows] == [3] * 7


def test_top_users_are_those_of_the_range(client: FlaskClient, marts: dict[str, Any]) -> None:
    users: dict[Any, int] = defaultdict(int)
    for row in marts["sessions"]:
        if FROM <= row["session_date"] <= TO:
            users[row["source"], row["user_id"] or row["visitor_id"]] += row["transactions"]
    rows = get(client, f"users?limit=1000&{RANGE}")
    assert [row["transactions"] for row in rows] == sorted(users.values(), reverse=True)[:1000]
    assert all(users[row["source"], row["user_id"]] == row["transactions"] for row in rows)


def test_the_funnel_narrows(client: FlaskClient, marts: dict[str, Any]) -> None:
    steps = get(client, f"funnel?{RANGE}")["steps"]
    sessions = [row for row in marts["sessions"] if FROM <= row["session_date"] <= TO]
    viewed = [row for row in sessions if row["views"]]
    runs = defaultdict(list)
    for row in sorted(marts["funnel"], key=lambda row: row["run_number"]):
        runs[row["source"], row["session_id"]].append(row["step"])

    def went(row: dict[str, Any], *steps: str) -> bool:
        way = iter(runs[row["source"], row["session_id"]])
        return all(step in way for step in steps)

    carted = [row for row in viewed if went(row, "view", "add_to_cart")]
    bought = [row for row in viewed if went(row, "view", "add_to_cart", "purchase")]
    assert [step["count"] for step in steps] == [len(viewed), len(carted), len(bought)]
    assert steps[2]["rate_from_previous"] == pytest.approx(len(bought) / len(carted))
    assert [step["drop_off"] for step in steps] == [0, len(viewed) - len(carted), len(carted) - len(bought)]


@pytest.mark.parametrize("split", ["source", "device", "weekday", "hour"])
@pytest.mark.parametrize("steps", ["", "&step=purchase&step=view", "&step=view&step=purchase"])
def test_a_funnel_told_apart_adds_up(split: str, steps: str, client: FlaskClient) -> None:
    whole = get(client, f"funnel?{RANGE}{steps}")["steps"]
    apart = get(client, f"funnel?{RANGE}{steps}&split={split}")
    assert apart["steps"] == whole
    if len(apart["groups"]) < 8:  # no more are told
        for number, step in enumerate(whole):
            assert sum(group["steps"][number]["count"] for group in apart["groups"]) == step["count"]
    for group in apart["groups"][:2] if split != "source" else ():
        alone = get(client, f"funnel?{RANGE}{steps}&{split}={group['key']}")["steps"]
        assert [step["count"] for step in group["steps"]] == [step["count"] for step in alone]
    trend = get(client, f"funnel?{RANGE}{steps}&trend=true&grain=week")
    assert trend["steps"] == whole


def test_lists_sort_and_page_without_a_gap(client: FlaskClient, marts: dict[str, Any]) -> None:
    seen: list[str] = []
    address: str | None = "/api/v1/products?limit=100&sort=-revenue&period=all"
    while address:
        answer = client.get(address)
        seen += [row["product_id"] for row in answer.get_json()["data"]]
        address = answer.headers["Link"].split(">")[0].lstrip("<") if "Link" in answer.headers else None
        assert ("next" in answer.get_json()["meta"]) == (address is not None)
    assert len(seen) == len(set(seen)) == len(marts["products"])
    revenue = {row["product_id"]: row["revenue"] or 0 for row in marts["products"]}
    assert [revenue[product] for product in seen] == sorted(revenue.values(), reverse=True)


@pytest.mark.parametrize("days", [RANGE, "period=all"])
@pytest.mark.parametrize("name", ["views", "add_to_carts", "purchases", "quantity", "revenue"])
def test_products_are_the_sums_of_their_days_however_they_are_sorted(
    name: str, days: str, client: FlaskClient, marts: dict[str, Any]
) -> None:
    summed: dict[str, Counter[str]] = defaultdict(Counter)
    for row in marts["daily_products"]:
        if days == "period=all" or FROM <= row["date"] <= TO:
            told = {one: row[one] or 0 for one in ("views", "add_to_carts", "purchases", "quantity", "revenue")}
            summed[row["product_id"]].update(told)
    found: list[dict[str, Any]] = []
    more = ""
    while True:
        answer = client.get(f"/api/v1/products?{days}&sort=-{name}&limit=7{more}").get_json()
        found += answer["data"]
        if "next" not in answer["meta"] or len(found) > 60:
            break
        more = f"&next={answer['meta']['next']}"
    wanted = sorted(summed, key=lambda product: (-summed[product][name], product))
    assert [row["product_id"] for row in found] == wanted[: len(found)]
    for row in found:
        for one, value in summed[row["product_id"]].items():
            assert (row[one] or 0) == pytest.approx(float(value)), (row["product_id"], one)


def test_without_prices_revenue_is_not_available_and_never_zero(settings_without_prices: Settings) -> None:
    client = create_app(settings_without_prices).test_client()
    cards = {card["name"]: card for card in get(client, "kpis?period=all")}
    for name in ("net_value", "aov"):
        assert (cards[name]["value"], cards[name]["available"], cards[name]["series"]) == (None, False, [])
        assert "prices" in cards[name]["reason"]
    assert cards["transactions"]["value"] > 0
    assert get(client, "timeseries?metric=net_value")["available"] is False
    assert {row["revenue"] for row in get(client, "products")} == {None}


def test_notices_tell_of_conflicts_rejected_and_duplicates(client: FlaskClient) -> None:
    found = {notice["kind"]: notice["count"] for notice in get(client, "notices")}
    assert found["conflicts"] == 2
    assert found["rejected"] == 14
    assert found["duplicates"] == 12


def addressed(client: FlaskClient, path: str) -> str:
    """A path with what it leaves open filled in."""
    route = ALL_ROUTES[path]
    for part in route.parts:
        listed = path.split("/")[0]
        value = {"panel": "heat"}.get(part) or (
            route.choices[part][-1] if part in route.choices else get(client, f"{listed}?limit=1")[0][part]
        )
        path = path.replace(f"{{{part}}}", quote(value, safe=""))
    return path


@pytest.mark.parametrize("path", sorted(ALL_ROUTES))
def test_every_route_has_an_etag_a_csv_twin_and_refuses_what_it_does_not_know(
    path: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = addressed(client, path)
    answer = client.get(f"/api/v1/{route}")
    assert answer.status_code == 200
    assert set(answer.get_json()) == {"data", "meta"}
    assert answer.headers["ETag"].startswith('W/"')
    twin = client.get(f"/api/v1/{route}.csv")
    assert twin.content_type.startswith("text/csv")
    lines = list(csv.reader(io.StringIO(twin.get_data(as_text=True))))
    assert lines[0] == [column["name"] for column in answer.get_json()["meta"]["columns"]]
    assert len(lines) >= 2 or path in ("runs", "affinity")
    with monkeypatch.context() as patch:
        patch.setattr(Generation, "rows", lambda *_: pytest.fail("a query was run"))
        again = client.get(f"/api/v1/{route}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    refused = client.get(f"/api/v1/{route}?colour=red")
    assert refused.status_code == 400
    assert refused.content_type == "application/problem+json"
    assert refused.get_json()["errors"][0]["parameter"] == "colour"
    assert client.head(f"/api/v1/{route}").status_code == 200
    assert client.post(f"/api/v1/{route}").status_code == 405


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("kpis?from=yesterday", {"from"}),
        ("kpis?from=2026-02-01&to=2026-01-01", {"from"}),
        ("kpis?period=3d&compare=often&x=1", {"period", "compare", "x"}),
        ("kpis?from=2026-01-01&period=7d", {"period"}),
        ("users?limit=0", {"limit"}),
        ("users?limit=1001&sort=password", {"limit", "sort"}),
        ("users?next=nowhere", {"next"}),
        ("timeseries?metric=; DROP TABLE daily", {"metric"}),
        ("kpis?from=0001-01-01&to=9999-12-31", {"from", "to"}),
        ("kpis?from=1950-01-01&to=2100-01-01", {"from"}),
        ("kpis?from=20260101&to=2026-W05-1", {"from", "to"}),
        ("kpis?limit=5&period=x&period=7d", {"limit", "period"}),
        ("users?next=ZnJvbSAtNQ&limit=1e3", {"next", "limit"}),
        ("kpis?period=7d&period=28d", {"period"}),
    ],
)
def test_each_bad_parameter_is_named(query: str, named: set[str], client: FlaskClient) -> None:
    answer = client.get(f"/api/v1/{query}")
    assert answer.status_code == 400
    assert {error["parameter"] for error in answer.get_json()["errors"]} == named
    assert all(error["allowed"] for error in answer.get_json()["errors"])


def test_unknown_routes_and_methods_are_problems(client: FlaskClient) -> None:
    assert client.get("/api/v1/nothing").get_json()["status"] == 404
    assert client.delete("/api/v1/kpis").content_type == "application/problem+json"


def test_an_internal_error_says_nothing_of_its_inside(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Generation, "rows", lambda *_: 1 / 0)
    answer = client.get("/api/v1/kpis?from=2026-01-13&to=2026-01-14")
    assert answer.status_code == 500
    assert "division" not in answer.get_data(as_text=True)


def test_csv_cells_that_look_like_formulas_are_escaped() -> None:
    rows = [{"a": "=1+1", "b": -2, "c": "plain"}, {"a": "@x", "b": 1.5, "c": None}]
    assert csv_text(Answer(rows, [Column(name, name) for name in "abc"])) == "a,b,c\r\n'=1+1,-2,plain\r\n'@x,1.5,\r\n"


def test_json_has_no_nan_and_iso_dates() -> None:
    assert json.loads(json_text({"x": float("nan"), "d": date(2026, 1, 5)})) == {"x": None, "d": "2026-01-05"}


def test_before_the_first_build_the_page_is_there_and_the_api_says_not_yet(settings: Settings) -> None:
    client = create_app(settings).test_client()
    assert client.get("/").status_code == 200
    assert client.get("/healthz").status_code == 200
    answer = client.get("/api/v1/kpis")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.get_json()["type"] == "urn:ecom-analytics:no-data"
    assert client.get("/readyz").status_code == 503


def test_mounted_under_a_prefix_every_address_has_it(built_settings: Settings) -> None:
    shop = Flask("shop")
    shop.register_blueprint(blueprint(built_settings), url_prefix="/analytics")
    client = shop.test_client()
    page = client.get("/analytics/").get_data(as_text=True)
    assert 'data-api="/analytics/api/v1"' in page
    assert 'src="/analytics/static/' in page
    assert get_prefixed(client, "/analytics/api/v1/meta")["build_id"]
    assert client.get("/api/v1/meta").status_code == 404


def get_prefixed(client: FlaskClient, address: str) -> Any:
    return client.get(address).get_json()["data"]


def test_static_files_are_immutable_gzipped_and_under_a_strict_policy(client: FlaskClient) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    text = page.get_data(as_text=True)
    assert "<style" not in text
    assert " style=" not in text
    address = next(part.split('"')[0] for part in text.split('src="') if "app.js" in part.split('"')[0])
    packed = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "immutable" in packed.headers["Cache-Control"]
    assert len(packed.data) < len(client.get(address).data)
    assert client.get("/static/x/../pages.py").status_code == 404
    assert client.get("/static/x/%2e%2e/pages.py").status_code == 404


def _paths(path: str, choices: Mapping[str, tuple[str, ...]], marts: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The addresses of a route, with whatever its path leaves open filled in."""
    known = {
        "product_id": (marts["products"][0]["product_id"],),
        "transaction_id": (marts["transactions"][0]["transaction_id"],),
        "user_id": (marts["transactions"][0]["user_id"],),
        "panel": tuple(panels()),
    }
    found = [path]
    for part, values in (known | dict(choices)).items():
        found = [one.replace(f"{{{part}}}", quote(value)) for one in found for value in values]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("path", ALL_ROUTES)
def test_every_route_takes_every_filter_that_it_knows(path: str, client: FlaskClient, marts: Any) -> None:
    route = ALL_ROUTES[path]
    known = {parameter.name for parameter in route.parameters}
    asked = [f"{name}={1 if name in ('weekday', 'hour') else 'none'}" for name in DIMENSIONS if name in known]
    asked += ["bots=out"] if "bots" in known else []
    for address in _paths(path, route.choices, marts):
        for query in ("", *asked):
            for suffix in ("", ".csv"):
                answer = client.get(f"/api/v1/{address}{suffix}?{query}")
                assert answer.status_code == 200, (address, suffix, query, answer.text)


def test_a_list_that_cannot_be_told_apart_is_empty_and_says_why(client: FlaskClient) -> None:
    told = client.get("/api/v1/users?category=Shoes").get_json()
    assert (told["data"], told["meta"]["reason"]) == ([], "this cannot be told by category")
    assert client.get("/api/v1/users.csv?category=Shoes").text.count("\r\n") == 1
