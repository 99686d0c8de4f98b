"""Storages: the contract for each, and what each does with errors of its own."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from ecom_analytics import Settings
from ecom_analytics.errors import ConfigError, LakeError, PluginError, StorageFullError
from ecom_analytics.storages import open_storage, s3_upload, s3_write
from ecom_analytics.storages.local import LocalStorage
from ecom_analytics.storages.s3 import S3Storage
from ecom_analytics.storages.s3_client import s3_client
from ecom_analytics.storages.s3_errors import explanation
from ecom_analytics.testing.storages import StorageContract

pytest_plugins = ["s3_server"]


class TestLocalStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> LocalStorage:
        return LocalStorage(str(tmp_path / "lake"), Settings())

    @pytest.fixture
    def files(self, tmp_path: Path):
        return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())

    def test_leaves_no_hidden_file(self, storage, files):
        with storage.create("a/b") as stream:
            stream.write(b"1")
        with pytest.raises(FileExistsError), storage.create("a/b") as stream:
            stream.write(b"2")
        with pytest.raises(KeyboardInterrupt), storage.create("a/c") as stream:
            stream.write(b"3")
            raise KeyboardInterrupt
        assert files() == ["lake/a/b"]

    def test_named_last(self, storage, files):
        for data in (b"1", b"2"):
            try:
                with storage.create_named_last("a", lambda: "same") as stream:
                    stream.write(data)
            except FileExistsError:
                assert data == b"2"
        assert files() == ["lake/a/same"]
        assert (storage.root / "a/same").read_bytes() == b"1"

    def test_full_disk(self, storage, files, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.raises(StorageFullError, match="disk is full") as caught, storage.create("a") as stream:
            stream.write(b"1")
            monkeypatch.setattr(os, "fsync", full)
        assert "free some space" in caught.value.hint
        assert files() == []

    def test_full_disk_for_real(self, tmp_path):
        """A file size limit is the nearest thing to a full disk that needs no root."""
        code = (
            "import sys\n"
            "from ecom_analytics import Settings\n"
            "from ecom_analytics.errors import StorageFullError\n"
            "from ecom_analytics.storages.local import LocalStorage\n"
            "try:\n"
            "    with LocalStorage(sys.argv[1], Settings()).create('a') as stream:\n"
            "        for _ in range(100): stream.write(b'x' * 1000)\n"
            "except StorageFullError: sys.exit(7)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "lake")],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
        )
        assert result.returncode == 7
        assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []

    def test_permission_is_explained(self, storage, monkeypatch):
        def denied(*_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "open", denied)
        with pytest.raises(LakeError, match="Permission denied") as caught, storage.create("a"):
            pass
        assert "permissions" in caught.value.hint

    def test_a_file_where_the_lake_should_be(self, tmp_path):
        (tmp_path / "lake").write_text("not a folder")
        storage = LocalStorage(str(tmp_path / "lake"), Settings())
        with pytest.raises(LakeError, match="Not a directory"), storage.create("a/b"):
            pass
        assert list(storage.list()) == []

    def test_what_a_killed_writer_left_is_hidden_and_swept(self, tmp_path, files):
        folder = tmp_path / "lake" / "a"
        folder.mkdir(parents=True)
        old, young = folder / ".b.0123.part", folder / ".b.4567.part"
        for path in (old, young):
            path.write_bytes(b"half")
        os.utime(old, (time.time() - 7200, time.time() - 7200))
        storage = LocalStorage(str(tmp_path / "lake"), Settings())
        assert list(storage.list()) == []
        with storage.create("a/b") as stream:
            stream.write(b"1")
        assert files() == ["lake/a/.b.4567.part", "lake/a/b"]

    def test_a_living_writer_is_not_swept(self, tmp_path):
        writer, other = (LocalStorage(str(tmp_path), Settings()) for _ in range(2))
        with writer.create("a/b") as stream:
            stream.write(b"1")
            (part,) = (tmp_path / "a").iterdir()
            os.utime(part, (time.time() - 7200, time.time() - 7200))
            with other.create("a/c") as second:
                second.write(b"2")
        assert list(writer.list()) == ["a/b", "a/c"]


class TestS3Storage(StorageContract):
    @pytest.fixture
    def s3_settings(self, s3_endpoint: str) -> Settings:
        return Settings(s3_endpoint_url=s3_endpoint, s3_addressing_style="path")

    @pytest.fixture
    def storage(self, s3_settings: Settings, s3_bucket: str) -> S3Storage:
        return S3Storage(f"s3://{s3_bucket}/lake", s3_settings)

    @pytest.fixture
    def uploads(self, storage: S3Storage):
        """Unfinished uploads."""
        return lambda: storage.client.list_multipart_uploads(Bucket=storage.bucket).get("Uploads", [])

    def test_keys_lie_below_the_prefix(self, storage):
        with storage.create("a/b") as stream:
            stream.write(b"1")
        keys = [entry["Key"] for entry in storage.client.list_objects_v2(Bucket=storage.bucket)["Contents"]]
        assert keys == ["lake/a/b"]

    def test_other_prefixes_are_not_listed(self, storage, s3_settings):
        other = S3Storage(f"s3://{storage.bucket}/lake2", s3_settings)
        with other.create("a") as stream:
            stream.write(b"1")
        assert list(storage.list()) == []

    def test_a_whole_bucket(self, storage, s3_settings):
        whole = S3Storage(f"s3://{storage.bucket}", s3_settings)
        with whole.create("a") as stream:
            stream.write(b"1")
        assert (list(whole.list()), whole.uri("a")) == (["a"], f"s3://{storage.bucket}/a")

    def test_more_names_than_one_page(self, storage):
        names = [f"{number:04}" for number in range(1005)]
        for name in names:
            storage.client.put_object(Bucket=storage.bucket, Key=f"lake/{name}", Body=b"")
        assert list(storage.list()) == names

    @pytest.mark.parametrize("size", [100, 9 * 1024 * 1024])
    def test_of_racing_writers_exactly_one_wins(self, storage, s3_server, size):
        if s3_server.name != "ceph" or size == 100:
            super().test_of_racing_writers_exactly_one_wins(storage, size)
            return
        # It takes no condition for what comes in parts: of those that see the name free at once the last one stays.
        with ThreadPoolExecutor(4) as pool:
            won = [
                number for number in pool.map(partial(self.race, storage, size, Barrier(4)), range(4)) if number >= 0
            ]
        with storage.open("a/b") as stream:
            data = stream.read()
        assert data in [bytes([number]) * size for number in won]
        assert list(storage.list()) == ["a/b"]

    @staticmethod
    def race(storage: S3Storage, size: int, barrier: Barrier, number: int) -> int:
        """The number if this one won."""
        try:
            with storage.create("a/b") as stream:
                stream.write(bytes([number]) * size)
                barrier.wait(30)
        except FileExistsError:
            return -1
        return number

    @pytest.mark.parametrize("parts", [2, 3.5])
    def test_large_bytes_are_sent_in_parts(self, storage, uploads, parts):
        size = int(s3_write.PART * parts)
        with storage.create("a") as stream:
            stream.write(b"x" * size)
            assert len(uploads()) == 1
            assert stream.tell() == size
        assert uploads() == []
        assert storage.client.head_object(Bucket=storage.bucket, Key="lake/a")["ContentLength"] == size

    def test_no_upload_is_left_behind(self, storage, uploads):
        with pytest.raises(KeyboardInterrupt), storage.create("a") as stream:
            stream.write(b"x" * 3 * s3_write.PART)
            raise KeyboardInterrupt
        with storage.create("b") as stream:
            stream.write(b"first")
        with pytest.raises(FileExistsError), storage.create("b") as stream:
            stream.write(b"x" * 3 * s3_write.PART)
        assert uploads() == []

    def test_memory_is_bounded_by_the_parts_in_flight(self, storage, monkeypatch):
        monkeypatch.setattr(s3_upload, "PART", 5 * 1024 * 1024)
        with storage.create("a") as stream:
            for _ in range(12):
                stream.write(b"x" * 5 * 1024 * 1024)
                assert len(stream._buffer) <= 5 * 1024 * 1024
                assert len(stream._under_way) <= s3_upload.IN_FLIGHT

    def test_encryption_is_asked_for(self, s3_endpoint, s3_bucket):
        settings = Settings(s3_endpoint_url=s3_endpoint, s3_server_side_encryption="aws:kms", s3_kms_key_id="my-key")
        storage = S3Storage(f"s3://{s3_bucket}", settings)
        for name, size in (("small", 1), ("large", 2 * s3_write.PART)):
            with storage.create(name) as stream:
                stream.write(b"x" * size)
            answer = storage.client.head_object(Bucket=s3_bucket, Key=name)
            assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", "my-key")

    def test_a_store_without_conditional_writes(self, storage, monkeypatch):
        from botocore.exceptions import ClientError

        client, put = storage.client, storage.client.put_object

        def unconditional(**arguments):
            if "IfNoneMatch" in arguments:
                raise ClientError({"Error": {"Code": "NotImplemented"}}, "PutObject")
            return put(**arguments)

        monkeypatch.setattr(client, "put_object", unconditional)
        with storage.create("a") as stream:
            stream.write(b"first")
        with pytest.raises(FileExistsError), storage.create("a") as stream:
            stream.write(b"second")
        with storage.open("a") as stream:
            assert stream.read() == b"first"

    def test_missing_bucket(self, s3_settings):
        storage = S3Storage("s3://nosuchbucket/a", s3_settings)
        with pytest.raises(LakeError, match="NoSuchBucket") as caught, storage.create("a"):
            pass
        assert "create the bucket" in caught.value.hint
        with pytest.raises(LakeError, match="NoSuchBucket"):
            list(storage.list())
        with pytest.raises(LakeError, match="NoSuchBucket"), storage.open("a"):
            pass

    def test_missing_credentials(self, storage, s3_settings, monkeypatch, tmp_path):
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(variable)
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(LakeError, match="no credentials") as caught:
            list(S3Storage(storage.uri(), s3_settings).list())
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint

    def test_unreachable_endpoint(self, s3_bucket, monkeypatch):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.setattr(time, "sleep", lambda _: None)  # botocore waits between its attempts
        storage = S3Storage(f"s3://{s3_bucket}", Settings(s3_endpoint_url=f"http://127.0.0.1:{port}"))
        with pytest.raises(LakeError, match="cannot reach") as caught:
            storage.exists("a")
        assert "s3_endpoint_url" in caught.value.hint

    def test_bad_endpoint(self, s3_endpoint):
        with pytest.raises(ConfigError, match="'nonsense'"):
            s3_client(Settings(s3_endpoint_url="nonsense"))

    def test_no_bucket(self):
        with pytest.raises(ConfigError, match="names no bucket"):
            S3Storage("s3:///a", Settings())

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("404", FileNotFoundError),
            ("NoSuchKey", FileNotFoundError),
            ("PreconditionFailed", FileExistsError),
            ("ConditionalRequestConflict", FileExistsError),
            ("AccessDenied", LakeError),
            ("403", LakeError),
            ("QuotaExceeded", StorageFullError),
            ("SomethingNew", LakeError),
        ],
    )
    def test_answers_are_mapped(self, code, kind):
        from botocore.exceptions import ClientError

        error = explanation(ClientError({"Error": {"Code": code, "Message": "words"}}, "GetObject"), "s3://b/k")
        assert type(error) is kind
        assert "s3://b/k" in str(error)
        assert getattr(error, "hint", "-")

    def test_every_error_of_botocore_is_mapped(self):
        from botocore import exceptions

        kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type)]
        kinds = [kind for kind in kinds if issubclass(kind, exceptions.BotoCoreError)]
        assert len(kinds) > 50
        for kind in kinds:
            error = explanation(kind.__new__(kind), "s3://b/k")
            assert isinstance(error, LakeError)
            assert error.hint


def test_the_scheme_picks_the_storage(tmp_path):
    assert isinstance(open_storage(str(tmp_path), Settings()), LocalStorage)
    assert isinstance(open_storage("s3://bucket/lake", Settings()), S3Storage)
    assert open_storage(f"file://{tmp_path}", Settings()).uri("a") == str(tmp_path / "a")


def test_an_unknown_scheme_names_the_known_ones():
    with pytest.raises(PluginError, match="'ftp'") as caught:
        open_storage("ftp://host/folder", Settings())
    assert "file, s3" in caught.value.hint
