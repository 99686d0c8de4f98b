"""Requests that mean no good: each is refused, nothing of them reaches SQL, and the server goes on serving."""

from __future__ import annotations

import contextlib
import random
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from ecom_analytics import Settings, create_app
from ecom_analytics.dashboard.generations import Generation
from ecom_analytics.dashboard.serving import serving
from ecom_analytics.panels.listing import ALL_ROUTES

EVIL = "zq'\"\\); DROP TABLE daily; --$start %s {0} \u202e\U0001f4a5"


@pytest.fixture(scope="module")
def address(built_settings: Settings) -> Iterator[str]:
    with serving(built_settings) as address:
        yield address


def _connected(address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(address).port or 80), timeout=20)


def _status(address: str, request: bytes) -> int:
    """The status of the answer to raw bytes; 0 if the server hung up."""
    with _connected(address) as connection:
        with contextlib.suppress(OSError):  # it may refuse before all is sent
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        told = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n" not in told and (more := connection.recv(1_024)):
                told += more
        return int(told.split()[1]) if told else 0


def _serves(address: str) -> bool:
    with urllib.request.urlopen(f"{address}api/v1/kpis", timeout=20) as answer:
        return bool(answer.status == 200)


def _get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "Connection: close", "", ""]).encode("latin-1")


def _requests(chance: random.Random) -> Iterator[bytes]:
    """A thousand of them."""
    paths = list(ALL_ROUTES)
    noise = [bytes(chance.randrange(256) for _ in range(chance.randrange(1, 300))) for _ in range(50)]
    climbs = [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "....//etc/passwd",
        "%00",
        "%c0%ae",
    ]
    methods = ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW", "CONNECT", "PROPFIND"]
    for number in range(1_000):
        path = chance.choice(paths).replace("{", "").replace("}", "")
        kind = number % 10
        if kind == 0:
            yield _get(f"/static/{chance.choice(climbs)}")
        elif kind == 1:
            yield _get(f"/api/v1/{path}/{chance.choice(climbs)}/{number}/{'a' * chance.randrange(2_000)}/x.y")
        elif kind == 2:
            yield _get(f"/api/v1/{path}?{quote(EVIL)}={number}")
        elif kind == 3:
            yield _get(f"/api/v1/kpis?device={'x' * chance.choice([501, 5_000, 200_000])}")
        elif kind == 4:
            yield _get("/api/v1/kpis?" + "&".join(f"country={n}" for n in range(chance.choice([51, 500, 20_000]))))
        elif kind == 5:
            yield _get(
                f"/api/v1/kpis?from={chance.choice(['0000-00-00', '2026-02-30', '%00', EVIL.encode().hex(), '9e99'])}"
            )
        elif kind == 6:
            yield _get("/api/v1/kpis", *(f"X-{n}: {'y' * 1_000}" for n in range(300)))
        elif kind == 7:
            yield f"{chance.choice(methods)} /api/v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        elif kind == 8:
            told = chance.choice(["-1", "99999999999999999999", "1e3", "0x10", "5, 6"])
            yield f"POST /api/v1/kpis HTTP/1.1\r\nHost: x\r\nContent-Length: {told}\r\n\r\nhello".encode()
        else:
            yield chance.choice(noise) + b"\r\n\r\n"


def test_a_thousand_hostile_requests_end_in_4xx_and_the_server_goes_on(address: str) -> None:
    found = Counter(_status(address, request) for request in _requests(random.Random(7)))
    assert all(status == 0 or 400 <= status < 500 for status in found), found
    assert found[0] < 100, "an answer is given to nearly all of them"
    assert _serves(address)


def test_an_id_keeps_its_slashes(built_settings: Settings) -> None:
    answer = create_app(built_settings).test_client().get("/api/v1/users/a//b")
    assert answer.status_code == 404
    assert "a//b" in answer.get_json()["detail"]


def test_slow_clients_do_not_keep_others_waiting(address: str) -> None:
    with contextlib.ExitStack() as held:
        for number in range(300):
            connection = held.enter_context(_connected(address))
            connection.sendall(b"GET /api/v1/kpis HTTP/1.1\r\nHost: x\r\nX-Slow: " if number % 2 else b"G")
        assert _serves(address)


def test_who_asks_much_and_reads_nothing_keeps_nobody_waiting(address: str) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(30):
            connection = held.enter_context(_connected(address))
            connection.sendall(_get("/static/x/vendor/chart.umd.min.js").replace(b"close", b"keep-alive") * 20)
        assert _serves(address)


def test_nothing_that_is_asked_is_a_part_of_sql(built_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, asked = Generation.rows, []

    def heard(self: Generation, sql: str, parameters: Any = ()) -> list[dict[str, Any]]:
        asked.append(sql)
        return rows(self, sql, parameters)

    monkeypatch.setattr(Generation, "rows", heard)
    client = create_app(built_settings).test_client()
    statuses = Counter()
    for route in ALL_ROUTES.values():
        path = route.path
        for part in route.parts:
            path = path.replace(f"{{{part}}}", route.choices[part][0] if part in route.choices else quote(EVIL))
        for parameter in route.parameters:
            for value in (EVIL, *parameter.choices[:1]):
                answer = client.get(f"/api/v1/{path}", query_string={parameter.name: value})
                statuses[answer.status_code] += 1
        statuses[client.get(f"/api/v1/{path}").status_code] += 1
    assert set(statuses) <= {200, 400, 404}, statuses
    assert statuses[200] > 150
    assert len(asked) > 200
    assert [sql for sql in asked if "zq" in sql or "DROP" in sql] == []
