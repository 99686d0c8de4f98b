"""The contract of a storage, as tests to inherit.

Examples
--------
.. code-block:: python

    class TestMyStorage(StorageContract):
        @pytest.fixture
        def storage(self):
            return MyStorage("my://address", Settings())
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ecom_analytics.errors import LakeError
from ecom_analytics.protocols import Storage


class StorageContract:
    """What every storage must do. Override the fixture ``storage``: empty, and a new one for each test."""

    large = 20 * 1024 * 1024
    """Bytes that the storage should not hold in one piece."""

    @pytest.fixture
    def storage(self) -> Storage:
        raise NotImplementedError("override the fixture 'storage'")

    def test_keeps_the_protocol(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)

    def test_reads_back_what_was_created(self, storage: Storage) -> None:
        _write(storage, "a/b.bin", b"one\r\ntwo\x00")
        assert _read(storage, "a/b.bin") == b"one\r\ntwo\x00"
        assert storage.exists("a/b.bin")

    def test_reads_in_pieces(self, storage: Storage) -> None:
        _write(storage, "a.bin", b"0123456789")
        with storage.open("a.bin") as stream:
            assert [stream.read(4), stream.read(4), stream.read(4), stream.read(4)] == [b"0123", b"4567", b"89", b""]

    def test_empty_bytes_are_bytes(self, storage: Storage) -> None:
        _write(storage, "empty", b"")
        assert storage.exists("empty")
        assert _read(storage, "empty") == b""

    def test_large_bytes_in_many_writes(self, storage: Storage) -> None:
        piece = bytes(range(256)) * 4096
        with storage.create("large") as stream:
            for _ in range(self.large // len(piece)):
                assert stream.write(piece) == len(piece)
        with storage.open("large") as stream:
            for _ in range(self.large // len(piece)):
                assert stream.read(len(piece)) == piece
            assert stream.read(1) == b""

    def test_lists_names_in_order_by_prefix(self, storage: Storage) -> None:
        for name in ("b/2", "a/x/1", "b/1", "a.txt", "a/y", "bb", "c/é"):
            _write(storage, name, b"")
        assert list(storage.list()) == ["a.txt", "a/x/1", "a/y", "b/1", "b/2", "bb", "c/é"]
        assert list(storage.list("b")) == ["b/1", "b/2", "bb"]
        assert list(storage.list("b/")) == ["b/1", "b/2"]
        assert list(storage.list("a/x")) == ["a/x/1"]
        assert list(storage.list("nothing/")) == []

    def test_nothing_there(self, storage: Storage) -> None:
        assert list(storage.list()) == []
        assert not storage.exists("a")
        with pytest.raises(FileNotFoundError), storage.open("a"):
            pass

    def test_a_folder_is_not_bytes(self, storage: Storage) -> None:
        _write(storage, "a/b", b"")
        assert not storage.exists("a")
        with pytest.raises(FileNotFoundError), storage.open("a"):
            pass

    def test_delete_removes_and_does_not_mind_absence(self, storage: Storage) -> None:
        _write(storage, "a/b", b"1")
        storage.delete("a/b")
        storage.delete("a/b")
        storage.delete("never/there")
        assert not storage.exists("a/b")

    @pytest.mark.parametrize("size", [10, 20 * 1024 * 1024])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_block_that_fails_leaves_nothing(self, storage: Storage, error: type[BaseException], size: int) -> None:
        with pytest.raises(error), storage.create("a/b") as stream:
            stream.write(b"x" * size)
            raise error
        assert not storage.exists("a/b")
        assert list(storage.list()) == []

    def test_a_block_that_fails_leaves_the_old_bytes(self, storage: Storage) -> None:
        _write(storage, "a", b"old")
        with pytest.raises(ValueError), storage.create("a", if_absent=False) as stream:
            stream.write(b"new")
            raise ValueError
        assert _read(storage, "a") == b"old"

    def test_nothing_appears_before_the_block_ends(self, storage: Storage) -> None:
        with storage.create("a") as stream:
            stream.write(b"1" * 9_000_000)
            assert not storage.exists("a")
            assert list(storage.list()) == []
        assert list(storage.list()) == ["a"]

    @pytest.mark.parametrize("size", [10, 20 * 1024 * 1024])
    def test_a_name_that_is_taken_stays(self, storage: Storage, size: int) -> None:
        _write(storage, "a", b"first")
        with pytest.raises(FileExistsError):
            _write(storage, "a", b"x" * size)
        assert _read(storage, "a") == b"first"
        assert list(storage.list()) == ["a"]

    def test_replaces_when_told(self, storage: Storage) -> None:
        _write(storage, "a", b"first")
        with storage.create("a", if_absent=False) as stream:
            stream.write(b"second")
        assert _read(storage, "a") == b"second"

    def test_a_reader_keeps_what_it_opened(self, storage: Storage) -> None:
        _write(storage, "a", b"first")
        with storage.open("a") as stream:
            with storage.create("a", if_absent=False) as to:
                to.write(b"other")
            assert stream.read() == b"first"

    @pytest.mark.parametrize("size", [100, 9 * 1024 * 1024])
    def test_of_racing_writers_exactly_one_wins(self, storage: Storage, size: int) -> None:
        barrier = threading.Barrier(4)
        won: list[int] = []
        lost: list[int] = []

        def race(number: int) -> None:
            try:
                with storage.create("a/b") as stream:
                    stream.write(bytes([number]) * size)
                    barrier.wait(30)
                won.append(number)
            except FileExistsError:
                lost.append(number)

        _together(race, 4)
        assert (len(won), len(lost)) == (1, 3)
        assert _read(storage, "a/b") == bytes(won) * size
        assert list(storage.list()) == ["a/b"]

    @pytest.mark.parametrize("name", ["", "/a", "../a", "a/../../b", "a//b", "a/", "./a", "a\0b"])
    def test_refuses_names_that_are_not_below_it(self, storage: Storage, name: str) -> None:
        with pytest.raises(LakeError), storage.create(name) as stream:
            stream.write(b"")
        with pytest.raises(LakeError), storage.open(name):
            pass
        with pytest.raises(LakeError):
            storage.exists(name)
        with pytest.raises(LakeError):
            storage.delete(name)

    def test_uri_is_absolute(self, storage: Storage) -> None:
        assert storage.uri("a/b") == storage.uri() + "/a/b"
        assert storage.uri().startswith("/") or "://" in storage.uri()


def _write(storage: Storage, name: str, data: bytes) -> None:
    with storage.create(name) as stream:
        stream.write(data)


def _read(storage: Storage, name: str) -> bytes:
    with storage.open(name) as stream:
        return stream.read()


def _together(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
