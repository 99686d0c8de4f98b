"""A new build is picked up without one failed request, and the old one is let go."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecom_analytics import Settings, Warehouse
from ecom_analytics.dashboard.generations import Cache, Generations, QueryTooLongError
from ecom_analytics.dashboard.serving import serving
from ecom_analytics.errors import ConfigError
from ecom_analytics.warehouse import CURRENT, file_name, info_name


@pytest.fixture
def warehouse(built_settings: Settings, tmp_path: Path) -> Settings:
    """A copy of the built warehouse that a test may publish to."""
    settings = Settings(home=tmp_path / "copy", port=0)
    shutil.copytree(built_settings.warehouse, settings.warehouse, symlinks=True)
    return settings


def publish(settings: Settings, number: int) -> str:
    """Publish a copy of the served build under a new id, and prune the one before, as the MartBuilder does."""
    old = Warehouse(settings).current()
    build_id = f"20990101T{number:06d}Z-abcdef"
    shutil.copyfile(old.path, settings.warehouse / file_name(build_id))
    info = {**old.info, "build_id": build_id, "built_at": datetime.now(UTC).isoformat()}
    (settings.warehouse / info_name(build_id)).write_text(json.dumps(info))
    pointer = settings.warehouse / "CURRENT.new"
    pointer.write_text(file_name(build_id))
    pointer.replace(settings.warehouse / CURRENT)
    old.path.unlink()
    return build_id


def test_no_request_fails_while_builds_are_published(warehouse: Settings) -> None:
    stop = threading.Event()
    failures: list[str] = []
    seen: dict[str, threading.Event] = defaultdict(threading.Event)

    def hammer(address: str) -> None:
        while not stop.is_set():
            for route in ("meta", "kpis?period=all", "users?period=all", "timeseries"):
                try:
                    with urllib.request.urlopen(f"{address}api/v1/{route}", timeout=20) as answer:
                        seen[json.load(answer)["meta"]["build_id"]].set()
                except (OSError, ValueError) as error:  # whatever a client can be told
                    failures.append(f"{route}: {error}")

    with serving(warehouse) as address:
        threads = [threading.Thread(target=hammer, args=(address,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                published = publish(warehouse, number)
                assert seen[published].wait(30), "the new build was never served"
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        with urllib.request.urlopen(f"{address}readyz", timeout=20) as answer:
            assert answer.read().decode().strip() == published
    assert failures == []


def test_a_request_keeps_its_build_and_the_last_one_closes_it(warehouse: Settings) -> None:
    generations = Generations(warehouse)
    with generations.lease() as old:
        new_id = publish(warehouse, 1)
        with generations.lease() as new:
            assert new.build.build_id == new_id != old.build.build_id
        assert old.rows("SELECT 1 AS one") == [{"one": 1}]
    with pytest.raises(Exception, match="losed"):
        old.rows("SELECT 1 AS one")


def test_a_runaway_query_is_stopped(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecom_analytics.dashboard.generations.QUERY_SECONDS", 0.2)
    with Generations(warehouse).lease() as generation, pytest.raises(QueryTooLongError):
        generation.rows("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 7")


def test_the_served_connection_can_read_no_other_file(warehouse: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with Generations(warehouse).lease() as generation, pytest.raises(Exception, match="disabled|access"):
        generation.rows(f"SELECT * FROM '{secret}'")


def test_equal_questions_at_the_same_time_are_computed_once() -> None:
    cache, started, go_on = Cache(size=2), threading.Event(), threading.Event()
    calls = []

    def slow() -> int:
        calls.append(1)
        started.set()
        assert go_on.wait(10)
        return 7

    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(cache.get("q", slow))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert started.wait(10)
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == [7] * 5
    assert len(calls) == 1
    with pytest.raises(ZeroDivisionError):
        cache.get("other", lambda: 1 // 0)
    assert cache.get("other", lambda: 3) == 3


def test_a_busy_port_is_told_with_the_way_out(warehouse: Settings) -> None:
    with serving(warehouse) as address:
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        taken = Settings(home=warehouse.home, port=port)
        with pytest.raises(ConfigError, match=str(port)) as caught, serving(taken):
            pass
    assert "--port 0" in caught.value.hint
