"""One publisher and twenty readers: no request fails, none sees a mixture, and time never goes backwards."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
from hypothesis import settings as hypothesis_settings

from ecom_analytics import Settings, Warehouse
from ecom_analytics.dashboard.serving import serving
from ecom_analytics.marts import publication

READERS = 20
NIGHTLY = hypothesis_settings.default.max_examples >= 5_000
SECONDS, PAUSE = (60, 1.0) if NIGHTLY else (8, 0.4)
ROUTES = ("timeseries?metric=transactions&period=all", "kpis?period=all", "meta")


def publish(settings: Settings, model: Path, info: dict[str, object], number: int) -> str:
    """Publish a build whose every day has ``number`` transactions, and prune, as the MartBuilder does."""
    build_id = f"20990101T{number:06d}Z-abcdef"
    side = settings.warehouse / f"building-{build_id}"
    side.mkdir()
    database, state = side / "warehouse.duckdb", side / "state.duckdb"
    shutil.copyfile(model, database)
    state.touch()
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE daily SET transactions = ?", [number])
    told = {**info, "build_id": build_id, "built_at": datetime.now(UTC).isoformat()}
    build = publication.publish(database, state, settings.warehouse, told)
    publication.prune(settings.warehouse, build.path.name, keep=1)
    side.rmdir()
    return build_id


class Reader(threading.Thread):
    """A client that keeps its connection, and checks each answer."""

    def __init__(self, address: str, stop: threading.Event) -> None:
        super().__init__()
        self._host = urlsplit(address).netloc
        self.ended = stop
        self.wrong: list[str] = []
        self.seen: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=30)
        while not self.ended.is_set():
            for route in ROUTES:
                try:
                    connection.request("GET", f"/api/v1/{route}")
                    answer = connection.getresponse()
                    status, body = answer.status, json.load(answer)
                except (OSError, ValueError, http.client.HTTPException) as error:
                    self.wrong.append(f"{route}: {error!r}")
                    connection.close()
                    continue
                if status != 200:
                    self.wrong.append(f"{route}: {status} {body}")
                    continue
                self._check(route, body)
        connection.close()

    def _check(self, route: str, body: dict[str, dict[str, object]]) -> None:
        build = str(body["meta"]["build_id"])
        if self.seen and build < self.seen[-1]:
            self.wrong.append(f"{route}: {build} came after {self.seen[-1]}")
        self.seen.append(build)
        if route.startswith("timeseries"):
            points: list[dict[str, int]] = body["data"]["points"]  # type: ignore[assignment]
            if {point["value"] for point in points} != {int(build[9:15])}:
                self.wrong.append(f"{route}: {build} has other builds' days")


def test_readers_see_whole_builds_in_their_order(built_settings: Settings, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", port=0)
    settings.warehouse.mkdir(parents=True)
    served = Warehouse(built_settings).current()
    publish(settings, served.path, served.info, 1)
    stop, number = threading.Event(), 1
    with serving(settings) as address:
        readers = [Reader(address, stop) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        try:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                time.sleep(PAUSE)
                number += 1
                publish(settings, served.path, served.info, number)
            time.sleep(1)
        finally:
            stop.set()
            for reader in readers:
                reader.join()
    assert [wrong for reader in readers for wrong in reader.wrong] == []
    assert number >= SECONDS / PAUSE / 4
    for reader in readers:
        assert len(set(reader.seen)) > 2, "it saw new builds"
        assert reader.seen[-1] == f"20990101T{number:06d}Z-abcdef"
