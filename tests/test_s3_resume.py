"""An upload that broke off goes on where it stopped; nothing is left behind, nothing partial is seen."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from ecom_analytics import Settings
from ecom_analytics.errors import InputError, LakeError
from ecom_analytics.storages import s3_resume
from ecom_analytics.storages.s3 import S3Storage
from ecom_analytics.storages.s3_write import Writer

pytest_plugins = ["s3_server", "s3_moto"]
pytestmark = pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
"""Other stores insist on larger parts."""

PART = 1 << 16
DATA = os.urandom(4 * PART + 100)
NAME = "raw/shop/objects/" + hashlib.sha256(DATA).hexdigest()


class Bytes:
    """Content in memory."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.size = len(data)
        self.good = True

    def read(self, start: int, size: int) -> bytes:
        return self.data[start : start + size]

    def check(self) -> None:
        if not self.good:
            raise InputError("it changed")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch, moto_uploads, s3_server):
    monkeypatch.setattr(s3_resume, "PART", PART)
    monkeypatch.setattr(s3_resume, "part_size", lambda _: PART)


@pytest.fixture(params=["crc32", "md5"])
def lake(request, s3_endpoint, s3_bucket) -> S3Storage:
    return S3Storage(f"s3://{s3_bucket}/lake", Settings(s3_endpoint_url=s3_endpoint, s3_checksums=request.param))


@pytest.fixture
def sent(monkeypatch) -> list[int]:
    """Numbers of the parts that are sent."""
    numbers: list[int] = []
    part = Writer.part

    def told(self, upload_id, number, data):
        numbers.append(number)
        return part(self, upload_id, number, data)

    monkeypatch.setattr(Writer, "part", told)
    return numbers


def begun(lake: S3Storage, parts: dict[int, bytes]) -> str:
    """An upload as a killed process leaves it."""
    writer = lake._writer(NAME)
    upload_id = writer.begin()
    for number, data in parts.items():
        writer.part(upload_id, number, data)
    return upload_id


def pieces(*numbers: int) -> dict[int, bytes]:
    return {number: DATA[(number - 1) * PART : number * PART] for number in numbers}


def uploads(lake: S3Storage) -> list[str]:
    found = lake.client.list_multipart_uploads(Bucket=lake.bucket).get("Uploads", [])
    return [upload["UploadId"] for upload in found]


def stored(lake: S3Storage) -> bytes:
    with lake.open(NAME) as stream:
        return stream.read()


def test_all_parts_are_sent_and_told(lake, sent):
    told: list[int] = []
    assert lake.put(NAME, Bytes(), told.append)
    assert (stored(lake), sorted(sent), sum(told)) == (DATA, [1, 2, 3, 4, 5], len(DATA))
    assert uploads(lake) == []


def test_only_missing_parts_are_sent(lake, sent):
    begun(lake, pieces(1, 3))
    sent.clear()
    told: list[int] = []
    assert lake.put(NAME, Bytes(), told.append)
    assert (stored(lake), sorted(sent), sum(told)) == (DATA, [2, 4, 5], len(DATA))
    assert uploads(lake) == []


def test_parts_with_other_bytes_are_sent_again(lake, sent):
    begun(lake, {1: pieces(1)[1], 2: os.urandom(PART), 3: pieces(3)[3][:-1], 9: b"of another layout"})
    sent.clear()
    assert lake.put(NAME, Bytes())
    assert (stored(lake), sorted(sent)) == (DATA, [2, 3, 4, 5])


def test_of_several_uploads_the_furthest_goes_on_and_the_others_are_aborted(lake, sent):
    begun(lake, {})
    begun(lake, pieces(1, 2, 3))
    begun(lake, pieces(1))
    sent.clear()
    assert lake.put(NAME, Bytes())
    assert (stored(lake), sorted(sent), uploads(lake)) == (DATA, [4, 5], [])


def test_uploads_of_other_names_stay(lake):
    other = Writer(lake.client, lake.bucket, f"lake/{NAME}x", "s3://x", lake.settings).begin()
    lake.put(NAME, Bytes())
    assert uploads(lake) == [other]


def test_what_is_there_is_not_sent_again(lake, sent):
    lake.put(NAME, Bytes())
    begun(lake, pieces(1))
    sent.clear()
    assert not lake.put(NAME, Bytes())
    assert (sent, uploads(lake)) == ([], [])


@pytest.mark.parametrize("size", [0, 10, PART, len(DATA)])
def test_content_that_changed_does_not_appear(lake, size):
    content = Bytes(DATA[:size])
    content.good = False
    with pytest.raises(InputError):
        lake.put(NAME, content)
    assert (list(lake.list()), uploads(lake)) == ([], [])


def test_what_fails_is_aborted(lake, monkeypatch):
    real = Writer.part

    def failing(self, upload_id, number, data):
        if number == 3:
            raise KeyboardInterrupt
        return real(self, upload_id, number, data)

    monkeypatch.setattr(Writer, "part", failing)
    with pytest.raises(KeyboardInterrupt):
        lake.put(NAME, Bytes())
    assert (list(lake.list()), uploads(lake)) == ([], [])


def test_an_upload_that_another_one_aborts_is_begun_again(lake, monkeypatch):
    real, aborted = Writer.complete, []

    def disturbed(self, upload_id, parts, *, if_absent):
        if not aborted:
            aborted.append(upload_id)
            self.abort(upload_id)
        return real(self, upload_id, parts, if_absent=if_absent)

    monkeypatch.setattr(Writer, "complete", disturbed)
    assert lake.put(NAME, Bytes())
    assert (stored(lake), len(aborted), uploads(lake)) == (DATA, 1, [])


def test_an_upload_that_is_always_aborted_is_given_up(lake, monkeypatch):
    real = Writer.complete

    def disturbed(self, upload_id, parts, *, if_absent):
        self.abort(upload_id)
        return real(self, upload_id, parts, if_absent=if_absent)

    monkeypatch.setattr(Writer, "complete", disturbed)
    with pytest.raises(LakeError, match="again and again"):
        lake.put(NAME, Bytes())


@pytest.mark.parametrize("step", ["part", "complete"])
def test_one_that_another_one_completes_is_there(lake, monkeypatch, step):
    real = getattr(Writer, step)

    def late(self, upload_id, *arguments, **options):
        for found in uploads(lake):
            self.abort(found)  # as the one that completes another upload of the same bytes does
        lake.client.put_object(Bucket=lake.bucket, Key=self.key, Body=DATA)
        return real(self, upload_id, *arguments, **options)

    monkeypatch.setattr(Writer, step, late)
    assert not lake.put(NAME, Bytes())
    assert (stored(lake), uploads(lake)) == (DATA, [])


def test_racing_puts_leave_one_object(lake):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: lake.put(NAME, Bytes()), range(4)))
    assert (stored(lake), list(lake.list()), uploads(lake)) == (DATA, [NAME], [])


def test_a_store_that_tells_of_no_uploads(lake, monkeypatch):
    real = lake.client.get_paginator

    def refused(operation):
        if operation == "list_multipart_uploads":
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListMultipartUploads")
        return real(operation)

    monkeypatch.setattr(lake.client, "get_paginator", refused)
    lake.tidy("raw/shop/")
    assert lake.put(NAME, Bytes())
    assert stored(lake) == DATA


def test_stale_uploads_are_aborted(lake, monkeypatch):
    begun(lake, pieces(1))
    other = Writer(lake.client, lake.bucket, "elsewhere/a", "s3://x", lake.settings).begin()
    lake.tidy("raw/shop/")
    assert len(uploads(lake)) == 2  # moto says that each was begun in 2010, before there was this library
    monkeypatch.setattr(s3_resume, "_FIRST", datetime(2000, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(s3_resume, "_STALE", timedelta(days=36_500))
    lake.tidy("raw/shop/")
    assert len(uploads(lake)) == 2
    monkeypatch.setattr(s3_resume, "_STALE", timedelta(days=7))
    lake.tidy("raw/shop/")
    assert uploads(lake) == [other]


def test_encryption_is_asked_for(lake):
    settings = lake.settings.model_copy(update={"s3_server_side_encryption": "aws:kms", "s3_kms_key_id": "my-key"})
    encrypted = S3Storage(lake.uri(), settings)
    for name, data in ((NAME, DATA), ("small", b"few")):
        encrypted.put(name, Bytes(data))
        answer = lake.client.head_object(Bucket=lake.bucket, Key=f"lake/{name}")
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", "my-key")


def test_a_conflict_is_tried_again(lake, monkeypatch):
    put, codes = lake.client.put_object, ["ConditionalRequestConflict"]

    def busy(**arguments):
        if codes:
            raise ClientError({"Error": {"Code": codes.pop()}}, "PutObject")
        return put(**arguments)

    monkeypatch.setattr(lake.client, "put_object", busy)
    assert lake.put(NAME, Bytes(b"few"))
    with lake.open(NAME) as stream:
        assert stream.read() == b"few"


def test_a_store_that_takes_no_condition_on_completion(lake, monkeypatch):
    """As Ceph does: it completes whatever is there already."""
    complete = lake.client.complete_multipart_upload

    def careless(**arguments):
        arguments.pop("IfNoneMatch", None)
        return complete(**arguments)

    monkeypatch.setattr(lake.client, "complete_multipart_upload", careless)
    with pytest.raises(FileExistsError), lake.create("a") as stream:
        with lake.create("a") as faster:
            faster.write(b"first")
        stream.write(b"x" * (9 << 20))
    with lake.open("a") as stream:
        assert stream.read() == b"first"
    assert uploads(lake) == []


def test_a_checksum_goes_with_all_bytes(lake, monkeypatch):
    seen = []
    lake.client.meta.events.register("before-send.s3", lambda request, **_: seen.append(dict(request.headers)))
    lake.put(NAME, Bytes())
    with lake.create("small") as stream:
        stream.write(b"few")
    header = "x-amz-checksum-crc32" if lake.settings.s3_checksums == "crc32" else "Content-MD5"
    bodies = [
        headers for headers in seen if int(headers.get("Content-Length", 0)) and b"xml" not in str(headers).encode()
    ]
    with_bytes = [headers for headers in bodies if header in headers]
    assert len(with_bytes) == 6  # five parts, one small object
    assert not any("aws-chunked" in str(headers) or "Expect" in headers for headers in seen)


@pytest.mark.parametrize(("size", "expected"), [(10**9, 8 << 20), (75 * 2**30, 9 << 20), (5 * 2**40, 583 << 20)])
def test_parts_are_few_enough_for_the_largest_object(size, expected, monkeypatch):
    monkeypatch.undo()
    assert s3_resume.part_size(size) == expected
    assert size / expected < 10_000
