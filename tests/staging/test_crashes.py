"""A stage is killed at random points, on a folder and on S3; the next one ends as if nothing had been."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crashes
import pytest
from staged_rows import ingest, left_of_the_dead, staged_rows
from warm_process import warm_process

from ecom_analytics import Settings, Stager
from ecom_analytics.staging import snapshot

pytest_plugins = ["s3_server"]

pytestmark = pytest.mark.long

POINTS = {"folder": 66, "s3": 20}
"""The more where it costs less."""
SEED = 20261123

NEW = {
    "web": ["2026-01-05T23:50:00Z,view,v,p,", "2026-01-05T23:50:00Z,view,v,p,", "2026-01-06T00:05:00Z,view,v,p,x",
            "2026-01-08T10:00:00Z,purchase,w,p,", "nonsense,view,v,p,"],
    "app": ["2026-01-06T10:00:00Z,view,v,p,", "2026-01-06T10:00:00Z,view,v,p,", "cut short"],
}  # fmt: skip
LATE = {
    "web": ["2026-01-05T23:30:00Z,view,v,q,", "2026-01-06T00:01:00Z,view,v,q,x", "2026-01-05T23:50:00Z,view,v,p,",
            "no"],
    "app": ["2026-01-06T09:40:00Z,view,v,q,", "2026-01-07T09:00:00Z,view,u,q,"],
}  # fmt: skip


class Lakes:
    """Makes lakes alike: nothing staged yet (``first``), or one stage done and late files to stage (``late``).

    Or all staged, and those with rejected records to read again (``again``).
    """

    def __init__(
        self, folder: Path, make: Callable[[str], Settings], copy: Callable[[Settings, Settings], None]
    ) -> None:
        self._make = make
        self._copy = copy
        self.models = {kind: make(kind) for kind in ("first", "late", "again")}
        self.wanted: dict[str, Any] = {}
        for kind, settings in self.models.items():
            for source, rows in NEW.items():
                ingest(settings, folder, f"{source}.csv", rows, source)
            if kind != "first":
                Stager(settings).stage()
                for source, rows in LATE.items():
                    ingest(settings, folder, f"{source}-late.csv", rows, source)
            if kind == "again":
                Stager(settings).stage()
            clean = self.new(kind, f"{kind}-clean")
            Stager(clean).stage()
            self.wanted[kind] = staged_rows(clean)

    def new(self, kind: str, name: str) -> Settings:
        settings = self._make(name)
        self._copy(self.models[kind], settings)
        return settings


@pytest.mark.parametrize("points", [POINTS["folder"]])
def test_a_stage_killed_anywhere_is_made_whole_by_the_next_one(points: int, tmp_path: Path) -> None:
    def local(name: str) -> Settings:
        return Settings(home=tmp_path / name)

    def copy_folder(one: Settings, other: Settings) -> None:
        shutil.copytree(one.lake, other.lake)

    kill_and_go_on(Lakes(tmp_path, local, copy_folder), points)


@pytest.mark.parametrize("s3_server", ["ministack"], indirect=True)
@pytest.mark.parametrize("points", [POINTS["s3"]])
def test_a_stage_on_s3_killed_anywhere_is_made_whole_by_the_next_one(
    points: int, s3_bucket: str, s3_endpoint: str, tmp_path: Path
) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3_endpoint)

    def on_s3(name: str) -> Settings:
        return Settings(home=tmp_path / name, lake=f"s3://{s3_bucket}/{name}", s3_endpoint_url=s3_endpoint)

    def copy_prefix(one: Settings, other: Settings) -> None:
        start, end = (f"{settings.lake.rpartition('/')[2]}/" for settings in (one, other))
        for entry in client.list_objects_v2(Bucket=s3_bucket, Prefix=start)["Contents"]:
            key = entry["Key"]
            source = {"Bucket": s3_bucket, "Key": key}
            client.copy_object(Bucket=s3_bucket, Key=end + key[len(start) :], CopySource=source)

    kill_and_go_on(Lakes(tmp_path, on_s3, copy_prefix), points)


def kill_and_go_on(lakes: Lakes, points: int) -> None:
    """Stage to the death, stage again, and compare with what was never killed; at each of the points."""
    chance = random.Random(SEED)
    killed = 0
    with warm_process(crashes.__file__) as run:
        calls = {kind: run(lakes.new(kind, f"{kind}-counted"), call=0, replay=kind == "again") for kind in lakes.models}
        for point in range(points):
            kind = chance.choice(sorted(lakes.models))
            how: dict[str, Any] = {"seconds": chance.uniform(0.05, 0.6)}
            if point % 3:
                how = {"call": chance.randint(1, calls[kind] or 0), "after": chance.random() < 0.5}
            settings = lakes.new(kind, f"{kind}-{point}")
            killed += run(settings, **how, replay=kind == "again") is None
            if point % 5 == 0:
                assert snapshot(settings).account.adds_up, (kind, how)
            if kind == "again":
                assert staged_rows(settings) == lakes.wanted[kind], (kind, how)
                Stager(settings).replay()
            else:
                Stager(settings).stage()
            assert staged_rows(settings) == lakes.wanted[kind], (kind, how)
            assert Stager(settings).stage().stage_id is None, (kind, how)
            assert not left_of_the_dead(settings), (kind, how)
            scratch = [path.name for path in settings.warehouse.glob(".*")] if settings.warehouse.exists() else []
            assert not scratch, (kind, how)
    assert killed >= points / 2, killed
