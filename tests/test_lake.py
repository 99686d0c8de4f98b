"""The lake's layout: which batches there are, and what their records say."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ecom_analytics import Settings
from ecom_analytics.errors import LakeError
from ecom_analytics.lake import Batch, batches, listed, replaced_name
from ecom_analytics.storages import open_storage
from ecom_analytics.storages.local import LocalStorage

pytest_plugins = ["s3_server"]


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "folder":
        return open_storage(str(tmp_path / "lake"), Settings())
    bucket = request.getfixturevalue("s3_bucket")
    return open_storage(f"s3://{bucket}/lake", Settings(s3_endpoint_url=request.getfixturevalue("s3_endpoint")))


def put(lake, source: str, batch_id: str) -> Batch:
    batch = Batch(batch_id, source, "retailrocket", f"{batch_id}.csv", 1, "2026-11-23T00:00:00+00:00")
    for name, data in ((batch.object_name, b"x"), (batch.record_name, batch.to_json())):
        with lake.create(name) as stream:
            stream.write(data)
    return batch


def test_batches_come_in_order(lake):
    made = [put(lake, source, f"{number:02}") for source in ("b", "a") for number in range(30)]
    assert list(batches(lake)) == sorted(made, key=lambda batch: (batch.source, batch.batch_id))
    assert sorted(listed(lake).batches) == sorted((batch.source, batch.batch_id) for batch in made)
    assert sorted(listed(lake, "b").batches) == [("b", f"{number:02}") for number in range(30)]


def test_bytes_without_record_are_no_batch(lake):
    batch = put(lake, "a", "01")
    lake.delete(batch.record_name)
    assert (list(batches(lake)), listed(lake).batches) == ([], set())


def test_a_source_whose_name_begins_another_is_apart(lake):
    put(lake, "shop", "01")
    put(lake, "shop2", "02")
    assert sorted(listed(lake, "shop").batches) == [("shop", "01")]


def test_records_of_known_batches_are_not_opened(lake, monkeypatch):
    put(lake, "a", "01")
    put(lake, "a", "02")
    put(lake, "b", "01")
    opened, real = [], type(lake).open
    monkeypatch.setattr(type(lake), "open", lambda self, name: (opened.append(name), real(self, name))[1])
    found = list(batches(lake, known={("a", "01"), ("b", "01")}))
    assert [(batch.source, batch.batch_id) for batch in found] == [("a", "02")]
    assert opened == ["raw/a/batches/02.json"]
    assert list(batches(lake, known=listed(lake).batches)) == []
    assert len(opened) == 1


def test_records_are_read_several_at_a_time(tmp_path, monkeypatch):
    lake = LocalStorage(str(tmp_path), Settings())
    for number in range(4):
        put(lake, "a", f"{number:02}")
    together, real = threading.Barrier(4), LocalStorage.open

    def waiting(self, name):
        together.wait(30)  # breaks unless four are opened at a time
        return real(self, name)

    monkeypatch.setattr(LocalStorage, "open", waiting)
    assert len(list(batches(lake))) == 4


def test_a_damaged_record_is_named(lake):
    batch = put(lake, "a", "01")
    with lake.create(batch.record_name, if_absent=False) as stream:
        stream.write(b"{}")
    with pytest.raises(LakeError, match="raw/a/batches/01.json cannot be read"):
        list(batches(lake))


def test_a_batch_takes_the_place_of_another_when_the_lake_says_so(lake):
    old, new = put(lake, "shop", "02"), put(lake, "shop", "01")
    new = replace(new, details={"replaces": old.batch_id})
    with lake.create(new.record_name, if_absent=False) as to:
        to.write(new.to_json())
    assert (list(batches(lake)), listed(lake).replaced) == ([old], set())

    with lake.create(replaced_name("shop", old.batch_id)) as to:
        to.write(b"{}")
    assert list(batches(lake)) == [new]
    assert sorted(listed(lake).batches) == sorted(listed(lake, "shop").batches) == [("shop", "01")]
    assert listed(lake).replaced == listed(lake, "shop").replaced == {("shop", "02")}
    assert listed(lake, "other") == (set(), set())
