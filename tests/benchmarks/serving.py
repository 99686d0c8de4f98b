"""How long readers of the dashboard wait, as ratios to a bare Flask "hello" served alike in the same run.

    python tests/benchmarks/serving.py HOME

``HOME`` holds a built warehouse. Eight clients ask at once; each figure is the 95th percentile of their waits:

- ``first``: every panel of every page for each of the periods, on a server that was not asked before,
- ``again``: the same once more,
- ``304``: the same by who has the answer already,
- ``other``: kpis, funnel and products of other ranges and with filters, one client alone; the slowest of them.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import local
from urllib.parse import urlencode, urlsplit

from ecom_analytics.panels import presets

CLIENTS = 8
HELLO = """
import logging, socket, flask, waitress
app = flask.Flask("hello")
app.add_url_rule("/", "hello", lambda: "hello")
bound = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{bound.getsockname()[1]}/", flush=True)
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
waitress.serve(app, sockets=[bound], threads=8, _quiet=True)
"""
OURS = """
import sys
from ecom_analytics import Settings
from ecom_analytics.dashboard.serving import serve
serve(Settings(home=sys.argv[1], port=0), ready=lambda address: print(address, flush=True))
"""
OTHERS = [
    "kpis?from=2015-05-10&to=2015-09-01",
    "kpis?period=all&device=mobile",
    "timeseries?metric=visitors&from=2015-05-10",
    "breakdown/hour?metric=sessions&period=all",
    "funnel?from=2015-05-10&to=2015-09-01",
    "funnel?period=all&split=weekday&step=view&step=purchase",
    "funnel?period=all&split=hour",
    "products?from=2015-05-10&to=2015-09-01",
    "products?period=all&sort=-views",
    "products?from=2015-08-18&sort=-views",
    "users?from=2015-06-01&to=2015-08-01",
    "carts?from=2015-05-10",
    "cohorts?cohort_grain=day",
]
"""Of the days that made-up events in RetailRocket's format have."""


@contextlib.contextmanager
def served(code: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """A server of its own; its address and its process."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def ask(address: str, requests: Sequence[tuple[str, str]], clients: int) -> tuple[list[float], list[str]]:
    """Milliseconds of each request (path, ETag), and the ETags of the answers."""
    mine = local()
    port = urlsplit(address).port

    def one(request: tuple[str, str]) -> tuple[float, str]:
        if not hasattr(mine, "connection"):
            mine.connection = HTTPConnection("127.0.0.1", port, timeout=120)
        path, etag = request
        headers = {"Accept-Encoding": "gzip"} | ({"If-None-Match": etag} if etag else {})
        start = time.perf_counter()
        mine.connection.request("GET", path, headers=headers)
        answer = mine.connection.getresponse()
        answer.read()
        took = (time.perf_counter() - start) * 1_000
        if answer.status != (304 if etag else 200):
            raise SystemExit(f"{path}: {answer.status}")
        return took, answer.getheader("ETag") or ""

    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(one, requests))
    return [took for took, _ in found], [etag for _, etag in found]


def p95(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def pages() -> list[str]:
    """What the pages ask for."""
    return [
        f"/api/v1/{question.route.path.format(**question.path)}?{urlencode(question.given, doseq=True)}"
        for question in presets.questions()
    ]


def memory(pid: int) -> float:
    """Most memory that a process held so far, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1_024
    return float("nan")


def main(home: str) -> None:
    with served(HELLO) as (address, _):
        ask(address, [("/", "")] * 200, CLIENTS)
        hello = p95(ask(address, [("/", "")] * 2_000, CLIENTS)[0])
    wanted = pages()
    random.Random(7).shuffle(wanted)
    with served(OURS, home) as (address, pid):
        first, etags = ask(address, [(path, "") for path in wanted], CLIENTS)
        again = ask(address, [(path, "") for path in wanted * 5], CLIENTS)[0]
        known = ask(address, list(zip(wanted, etags, strict=True)) * 5, CLIENTS)[0]
        slowest = max(first)
        others = ask(address, [(f"/api/v1/{path}", "") for path in OTHERS], 1)[0]
        held = memory(pid)
    print(f"hello  {hello:9.1f} ms    1.0")
    for name, took in (("first", p95(first)), ("again", p95(again)), ("304", p95(known)), ("other", max(others))):
        print(f"{name:6} {took:9.1f} ms {took / hello:6.1f}")
    print(f"slowest first ask {slowest:.0f} ms, memory {held:.0f} MB; of the other ranges:")
    for took, path in sorted(zip(others, OTHERS, strict=True), reverse=True):
        print(f"{took:12.1f} ms  {path}")


if __name__ == "__main__":
    main(sys.argv[1])
