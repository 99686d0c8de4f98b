"""A process that is killed while it ingests: the next run ends as one that was never disturbed.

Each point is a fork of one interpreter that has imported everything. It kills itself (SIGKILL) before or after its n-th
request to the store, or its n-th call that makes a name or makes something durable, or after a while.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Ingestor, Settings
from ecom_analytics.lake import batches
from ecom_analytics.storages import open_storage, s3_resume

pytest_plugins = ["s3_server", "s3_moto"]

POINTS = {"whole": 24, "daily": 6}
"""Points at which a run is killed, for each of two kinds of lake."""

PART = 1 << 19
HEADER = b"timestamp,visitorid,event,itemid,transactionid\n"
DAY = 86_400_000

CHILD = """
import itertools, json, os, signal, sys, traceback
import botocore.httpsession
from ecom_analytics import Ingestor, Settings
from ecom_analytics.storages import s3, s3_client, s3_resume

s3_resume.PART = int(sys.argv[1])

def arm(at, how):
    numbers = itertools.count(1)
    def counted(call):
        def wrapper(*arguments, **options):
            number = next(numbers)
            if number == at and how == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*arguments, **options)
            finally:
                if number == at and how == "after":
                    os.kill(os.getpid(), signal.SIGKILL)
        return wrapper
    session = botocore.httpsession.URLLib3Session
    session.send = counted(session.send)
    for name in ("link", "unlink", "fsync", "mkdir", "open"):
        setattr(os, name, counted(getattr(os, name)))
    if how == "timer":
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, at)
    return numbers

s3_client.s3_client(Settings())
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        code = 99
        try:
            calls = arm(job["at"], job["how"])
            Ingestor(Settings(**job["settings"])).ingest(job["folder"], daily=job["daily"])
            code = 0
            with open(job["calls"], "w") as to:
                print(next(calls) - 1, file=to)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killed:
    """Runs an ingest in a fork, to its end or to a point."""

    def __init__(self, folder: Path) -> None:
        self._calls = folder / "calls"
        self._child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CHILD, str(PART)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, settings: Settings, folder: Path, daily: bool, at: float = -1, how: str = "never") -> int:
        values = settings.model_dump(mode="json", exclude_none=True)
        job = {"settings": values, "folder": str(folder), "daily": daily, "at": at, "how": how}
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(json.dumps({**job, "calls": str(self._calls)}) + "\n")
        self._child.stdin.flush()
        return int(self._child.stdout.readline())

    def calls(self) -> int:
        """How many calls the last undisturbed run made."""
        return int(self._calls.read_text())

    def close(self) -> None:
        self._child.communicate()


@pytest.fixture
def drops(tmp_path: Path) -> Path:
    """Small files, two of them the same, and one that is sent in parts."""
    folder = tmp_path / "drops"
    folder.mkdir()
    for number in range(4):
        rows = b"".join(b"%d,%d,view,1,\n" % (1433221332117 + row * DAY, number) for row in range(2))
        (folder / f"{number}.csv").write_bytes(HEADER + rows)
    (folder / "same.csv").write_bytes((folder / "1.csv").read_bytes())
    row = b"%d,7,view,355908,%s\n" % (1433221332117, b"x" * 3_000)
    (folder / "large.csv").write_bytes(HEADER + row * (5 * PART // 2 // len(row)))
    return folder


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch):
    """Makes the settings of a new, empty lake."""
    if request.param == "folder":
        return lambda name: Settings(home=tmp_path / "home", lake=str(tmp_path / "lakes" / name), source="shop")
    request.getfixturevalue("moto_uploads")
    monkeypatch.setattr(s3_resume, "PART", PART)
    bucket, endpoint = request.getfixturevalue("s3_bucket"), request.getfixturevalue("s3_endpoint")
    return lambda name: Settings(
        home=tmp_path / "home", lake=f"s3://{bucket}/{name}", source="shop", s3_endpoint_url=endpoint
    )


@pytest.fixture
def killed(tmp_path, place):  # after the place: the environment says how to reach it
    process = Killed(tmp_path)
    yield process
    process.close()


def found(settings: Settings) -> dict[str, Any]:
    """What a lake holds, down to hidden files and unfinished uploads; but for when the batches came."""
    lake = open_storage(settings.lake, settings)
    held: dict[str, Any] = {}
    for name in lake.list():
        with lake.open(name) as stream:
            data = stream.read()
        held[name] = {**json.loads(data), "ingested_at": ""} if name.endswith(".json") else len(data)
        if "/objects/" in name:
            assert name.endswith(hashlib.sha256(data).hexdigest()), f"{name} is not whole"
    if settings.lake.startswith("s3://"):
        held["uploads"] = len(lake.client.list_multipart_uploads(Bucket=lake.bucket).get("Uploads", []))
    else:
        held["files"] = sum(len(files) for _, _, files in os.walk(settings.lake))
    return held


def points(kind: str, calls: int, seconds: float):
    """Kinds of death, spread over the calls and over the time of a run."""
    chance = random.Random(kind)
    for number in range(POINTS[kind]):
        if number % 5 == 4:
            yield chance.uniform(0.01, seconds), "timer"
        else:
            yield chance.randint(1, calls), chance.choice(["before", "after"])


@pytest.mark.parametrize("kind", list(POINTS))
def test_the_run_after_a_killed_one_ends_as_if_nothing_had_been(killed, place, drops, kind):
    clean, daily = place("clean"), kind == "daily"
    started = time.monotonic()
    assert killed.run(clean, drops, daily) == 0
    seconds = time.monotonic() - started
    calls, expected = killed.calls(), found(clean)
    deaths = 0
    for number, point in enumerate(points(kind, calls, seconds)):
        settings = place(f"lake-{number}")
        code = killed.run(settings, drops, daily, *point)
        assert code in (0, -signal.SIGKILL), point
        deaths += code != 0
        lake = open_storage(settings.lake, settings)
        for batch in batches(lake):
            assert lake.exists(batch.object_name), point
        Ingestor(settings).ingest(drops, daily=daily)
        assert found(settings) == expected, point
    assert deaths > POINTS[kind] / 3  # a timer may come late, and threads may need fewer calls
