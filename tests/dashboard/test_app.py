"""The application around the figures: methods, caching, compression, mounting, builds that cannot be opened."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from ecom_analytics import Settings, Warehouse, create_app
from ecom_analytics.answers import Answer, Ask, Column, csv_text, json_text
from ecom_analytics.dashboard import blueprint
from ecom_analytics.dashboard.serving import serve, serving
from ecom_analytics.panels.listing import ALL_ROUTES
from ecom_analytics.warehouse import CURRENT, file_name, info_name

ROOT = Path(__file__).resolve().parents[2]
ZIPPED = {"Accept-Encoding": "br, gzip"}


@pytest.fixture(scope="module")
def client(built_settings: Settings) -> FlaskClient:
    return create_app(built_settings).test_client()


@pytest.fixture
def copy(built_settings: Settings, tmp_path: Path) -> Settings:
    """A copy of the built warehouse that a test may change."""
    settings = Settings(home=tmp_path / "copy", port=0)
    shutil.copytree(built_settings.warehouse, settings.warehouse, symlinks=True)
    return settings


@pytest.mark.parametrize("address", ["/", "/healthz", "/readyz", "/api/v1/kpis", "/api/v1/kpis.csv", "/api/v1/nothing"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_get_and_head_are_answered(address: str, method: str, client: FlaskClient) -> None:
    answer = client.open(address, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["status"] == 405


@pytest.mark.parametrize("address", ["/", "/healthz", "/api/v1/meta", "/api/v1/users.csv"])
def test_head_has_the_headers_of_get_and_no_body(address: str, client: FlaskClient) -> None:
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers == got.headers
    assert int(got.headers["Content-Length"]) == len(got.data)


@pytest.mark.parametrize("address", ["/api/v1/", "/api/v1/nothing", "/api/v1/kpis/", "/api/v1/kpis.xml"])
def test_what_is_not_there_is_a_problem_that_names_the_routes(address: str, client: FlaskClient) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert all(route in answer.get_json()["hint"] for route in ALL_ROUTES)


@pytest.mark.parametrize("address", ["/", "/api/v1/kpis?period=all", "/api/v1/users.csv?period=all&limit=50"])
def test_who_takes_gzip_gets_the_same_in_fewer_bytes(address: str, client: FlaskClient) -> None:
    plain, packed = client.get(address), client.get(address, headers=ZIPPED)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 2
    assert plain.headers["Vary"] == packed.headers["Vary"]
    assert plain.headers["Vary"].startswith("Accept-Encoding")
    refused = client.get(address, headers={"Accept-Encoding": "gzip;q=0"})
    assert refused.data == plain.data


def test_a_query_that_is_wrong_is_wrong_also_when_its_like_is_cached(client: FlaskClient) -> None:
    etag = client.get("/api/v1/users?limit=7").headers["ETag"]
    answer = client.get("/api/v1/users?limit=7&limit=7", headers={"If-None-Match": etag})
    assert answer.status_code == 400
    assert "ETag" not in answer.headers


def test_an_etag_is_of_one_build_and_one_query(client: FlaskClient, copy: Settings) -> None:
    etags = {
        client.get(f"/api/v1/{query}").headers["ETag"] for query in ("kpis", "kpis?period=7d", "kpis.csv", "funnel")
    }
    assert len(etags) == 4
    one = client.get("/api/v1/kpis?period=7d&compare=none").headers["ETag"]
    assert client.get("/api/v1/kpis?compare=none&period=7d").headers["ETag"] == one
    other = create_app(copy).test_client()
    assert other.get("/api/v1/funnel").headers["ETag"] in etags
    _publish(copy, b"", copy=True)
    answer = other.get("/api/v1/funnel", headers={"If-None-Match": ", ".join(etags)})
    assert answer.status_code == 200
    assert answer.headers["ETag"] not in etags


def _publish(settings: Settings, content: bytes, *, copy: bool = False) -> None:
    old = Warehouse(settings).current()
    build_id = "20990101T000000Z-ffffff"
    target = settings.warehouse / file_name(build_id)
    if copy:
        shutil.copyfile(old.path, target)
    else:
        target.write_bytes(content)
    (settings.warehouse / info_name(build_id)).write_text(json.dumps({**old.info, "build_id": build_id}))
    (settings.warehouse / CURRENT).write_text(target.name)


def test_a_build_that_cannot_be_opened_is_not_served_and_the_old_one_is(
    copy: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    client = create_app(copy).test_client()
    before = client.get("/readyz").data
    _publish(copy, b"this is no DuckDB file" * 1000)
    for _ in range(3):
        assert client.get("/api/v1/kpis?period=all").status_code == 200
        assert client.get("/readyz").data == before
    assert len([record for record in caplog.records if "cannot be served" in record.message]) == 1
    fresh = create_app(copy).test_client().get("/readyz")
    assert (fresh.status_code, fresh.content_type) == (503, "application/problem+json")


def test_a_build_that_could_not_be_opened_is_tried_again(copy: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    client = create_app(copy).test_client()
    before, content = client.get("/readyz").data, Warehouse(copy).current().path.read_bytes()
    _publish(copy, b"half of it")
    assert client.get("/readyz").data == before
    Warehouse(copy).current().path.write_bytes(content)
    assert client.get("/readyz").data == before
    now = time.monotonic()
    monkeypatch.setattr("ecom_analytics.dashboard.generations.time", SimpleNamespace(monotonic=lambda: now + 60))
    assert client.get("/readyz").data == b"20990101T000000Z-ffffff\n"
    assert client.get("/api/v1/kpis").status_code == 200


def test_a_problem_tells_nothing_of_the_machine(settings: Settings) -> None:
    client = create_app(settings).test_client()
    for address in ("/api/v1/kpis", "/readyz"):
        answer = client.get(address)
        assert answer.status_code == 503
        assert str(settings.warehouse.parent) not in answer.get_data(as_text=True)


def test_a_query_that_takes_too_long_is_a_503_to_try_again(
    built_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = ?"
    monkeypatch.setattr("ecom_analytics.dashboard.generations.QUERY_SECONDS", 0.2)
    monkeypatch.setattr(Ask, "span", property(lambda ask: ask.marts.rows(endless, [7])))
    answer = create_app(built_settings).test_client().get("/api/v1/funnel")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.content_type == "application/problem+json"
    monkeypatch.undo()
    assert create_app(built_settings).test_client().get("/api/v1/funnel").status_code == 200


def test_amounts_in_several_currencies_are_not_added(copy: Settings) -> None:
    import duckdb

    with duckdb.connect(str(Warehouse(copy).current().path)) as connection:
        connection.execute("UPDATE transactions SET currency = 'EUR' WHERE customer_sequence = 1")
        connection.execute("UPDATE transactions SET currency = 'USD' WHERE customer_sequence > 1 OR transaction_id = "
                           "(SELECT min(transaction_id) FROM transactions)")  # fmt: skip
        connection.execute("UPDATE daily SET net_value = NULL")
        connection.execute("UPDATE metrics SET available = false WHERE contains(requires, 'values')")
    client = create_app(copy).test_client()
    assert client.get("/api/v1/meta").get_json()["data"]["currency"] is None
    cards = {card["name"]: card for card in client.get("/api/v1/kpis?period=all").get_json()["data"]}
    for name in ("net_value", "aov"):
        assert (cards[name]["value"], cards[name]["available"]) == (None, False)
        assert "currencies" in cards[name]["reason"]


def test_the_csv_of_a_panel_is_what_it_shows(client: FlaskClient) -> None:
    query = "period=7d&metric=net_value"
    data = client.get(f"/api/v1/timeseries?{query}").get_json()["data"]
    rows = list(csv.DictReader(io.StringIO(client.get(f"/api/v1/timeseries.csv?{query}").get_data(as_text=True))))
    assert [(row["date"], float(row["value"])) for row in rows] == [(p["date"], p["value"]) for p in data["points"]]
    assert [(row["previous_date"], float(row["previous_value"])) for row in rows] == [
        (p["date"], p["value"]) for p in data["previous_points"]
    ]
    alone = client.get(f"/api/v1/timeseries.csv?{query}&compare=none").get_data(as_text=True)
    assert alone.splitlines()[0] == "date,value,complete"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_cell_can_be_a_formula_and_reads_back(start: str) -> None:
    columns = [Column(name, name) for name in "anz"]
    text = f'{start}cmd|"x",1\n2'
    read = list(csv.reader(io.StringIO(csv_text(Answer([{"a": text, "n": -1.5, "z": None}], columns)), newline="")))
    assert read == [["a", "n", "z"], ["'" + text, "-1.5", ""]]


def test_no_json_number_is_infinite_and_decimals_are_numbers() -> None:
    from decimal import Decimal

    value = {"a": [float("inf"), float("-inf")], "b": Decimal("NaN"), "c": Decimal("1.2500"), "d": Decimal("3.0000")}
    assert json_text(value) == '{"a":[null,null],"b":null,"c":1.25,"d":3}'


def test_a_link_of_a_list_has_the_whole_mount_in_it(built_settings: Settings) -> None:
    shop = Flask("shop")
    shop.register_blueprint(blueprint(built_settings), url_prefix="/in/side", name="figures")
    client = Client(DispatcherMiddleware(Flask("front"), {"/out": shop}))  # type: ignore[arg-type]
    answer = client.get("/out/in/side/api/v1/users?limit=2&period=all")
    link = answer.headers["Link"].split(">")[0].lstrip("<")
    assert link.startswith("/out/in/side/api/v1/users?")
    second = client.get(link)
    assert second.status_code == 200
    assert not {row["user_id"] for row in answer.json["data"]} & {row["user_id"] for row in second.json["data"]}
    page = client.get("/out/in/side/").get_data(as_text=True)
    assert 'data-api="/out/in/side/api/v1"' in page
    assert 'src="/out/in/side/static/' in page


def test_an_asset_is_kept_for_ever_only_under_its_own_hash(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    address = next(part.split('"')[0] for part in page.split('src="')[1:] if "/app.js" in part.split('"')[0])
    own = client.get(address)
    assert own.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert own.content_type == "text/javascript; charset=utf-8"
    assert client.get(address.replace("app.js", "favicon.svg")).content_type == "image/svg+xml; charset=utf-8"
    version = address.split("/")[2]
    other = client.get(address.replace(version, "0" * len(version)))
    assert (other.status_code, other.headers["Cache-Control"]) == (200, "no-store")


def test_every_answer_has_the_security_headers(client: FlaskClient) -> None:
    for address in ("/", "/healthz", "/api/v1/kpis", "/api/v1/nothing", "/static/x/y"):
        headers = client.get(address).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"


def test_making_the_application_touches_no_file(tmp_path: Path) -> None:
    create_app(Settings(home=tmp_path / "home"))
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_imports_neither_flask_nor_duckdb() -> None:
    code = (
        "import sys, ecom_analytics.dashboard; print([m for m in ('flask', 'duckdb', 'waitress') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(number: signal.Signals, settings: Settings) -> None:
    code = (
        "import signal, sys\n"
        "from ecom_analytics import Settings\n"
        "from ecom_analytics.dashboard.serving import serve\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a job in the background ignores
        "serve(Settings(home=sys.argv[1], port=0), ready=lambda address: print(address, flush=True))\n"
        "print('ended')\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(settings.home)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}healthz", timeout=20) as answer:
            assert answer.status == 200
        server.send_signal(number)
        try:
            out, errors = server.communicate(timeout=30)
        finally:
            server.kill()
    assert (out, errors, server.returncode) == ("ended\n", "", 0)


def test_serving_ends_at_once_though_a_client_keeps_its_connection(settings: Settings) -> None:
    with serving(Settings(home=settings.home, port=0)) as address:
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    client.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "dashboard"]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}healthz", timeout=5)


def test_localhost_is_a_host_too(settings: Settings) -> None:
    with (
        serving(Settings(home=settings.home, host="localhost", port=0)) as address,
        urllib.request.urlopen(f"{address}healthz", timeout=20) as answer,
    ):
        assert answer.status == 200


def test_a_host_that_is_not_ours_is_told(settings: Settings) -> None:
    from ecom_analytics.errors import ConfigError

    with pytest.raises(ConfigError, match=r"203\.0\.113\.1"):
        serve(Settings(home=settings.home, host="203.0.113.1", port=0))


def test_the_units_are_those_of_the_contract(client: FlaskClient) -> None:
    metrics: list[dict[str, Any]] = client.get("/api/v1/metrics").get_json()["data"]
    assert {metric["unit"] for metric in metrics} == {"count", "money", "ratio"}
    assert all(metric["label"] and metric["definition"] for metric in metrics)
