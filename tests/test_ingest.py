"""The Ingestor: bytes unchanged, each content once, clear words for what cannot be used."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from ecom_analytics import Ingestor, Settings
from ecom_analytics.errors import (
    ConfigError,
    EcomError,
    EmptyFileError,
    InputError,
    LakeError,
    MissingFileError,
    PluginError,
    StorageFullError,
    UnknownFormatError,
)
from ecom_analytics.lake import batches
from ecom_analytics.storages import open_storage
from ecom_analytics.storages.local import LocalStorage

HEADER = b"timestamp,visitorid,event,itemid,transactionid\n"
ROW = b"1433221332117,257597,view,355908,\n"
EVENTS = HEADER + ROW


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", source="shop")


@pytest.fixture
def ingestor(settings: Settings) -> Ingestor:
    return Ingestor(settings)


@pytest.fixture
def drop(tmp_path: Path):
    """Writes a file of raw events."""

    def write(name: str = "events.csv", data: bytes = EVENTS) -> Path:
        path = tmp_path / "drops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return write


def lake_files(settings: Settings) -> list[str]:
    """Every file of the lake, hidden ones too."""
    root = Path(settings.lake)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def known(settings: Settings):
    return list(batches(open_storage(settings.lake, settings)))


class TestWhole:
    def test_bytes_are_copied_unchanged_under_their_hash(self, ingestor, settings, drop):
        report = ingestor.ingest(drop())
        assert (report.files, report.new, report.already_present, report.bytes) == (1, 1, 0, len(EVENTS))
        assert lake_files(settings) == [f"raw/shop/batches/{sha(EVENTS)}.json", f"raw/shop/objects/{sha(EVENTS)}"]
        assert (Path(settings.lake) / "raw/shop/objects" / sha(EVENTS)).read_bytes() == EVENTS

    def test_the_record_says_what_is_known(self, ingestor, settings, drop):
        ingestor.ingest(drop())
        (batch,) = known(settings)
        assert (batch.batch_id, batch.source, batch.name, batch.bytes) == (
            sha(EVENTS),
            "shop",
            "events.csv",
            len(EVENTS),
        )
        assert batch.source_format == "retailrocket"
        assert batch.details == {}

    def test_same_bytes_under_another_name_are_the_same_batch(self, ingestor, settings, drop):
        ingestor.ingest(drop("monday.csv"))
        before = known(settings)
        report = ingestor.ingest(drop("tuesday.csv"))
        assert (report.files, report.new, report.already_present) == (1, 0, 1)
        assert report.batches[0].name == "tuesday.csv"
        assert known(settings) == before

    def test_same_bytes_twice_in_one_call(self, ingestor, settings, drop):
        report = ingestor.ingest(drop("a.csv"), drop("b.csv"))
        assert [batch.new for batch in report.batches] == [True, False]
        assert [batch.name for batch in known(settings)] == ["a.csv"]

    def test_the_same_file_named_twice_counts_once(self, ingestor, drop):
        path = drop()
        (path.parent / "link.csv").symlink_to(path)
        assert ingestor.ingest(path, str(path), path.parent / "." / path.name, path.parent / "link.csv").files == 1

    def test_sources_are_apart(self, ingestor, settings, drop):
        ingestor.ingest(drop())
        report = ingestor.ingest(drop(), source="other")
        assert (report.new, report.batches[0].source) == (1, "other")
        assert [batch.source for batch in known(settings)] == ["other", "shop"]

    def test_gzip_is_copied_as_it_is(self, ingestor, settings, drop):
        data = gzip.compress(EVENTS)
        report = ingestor.ingest(drop("events.csv.gz", data))
        assert (Path(settings.lake) / "raw/shop/objects" / sha(data)).read_bytes() == data
        assert report.batches[0].source_format == "retailrocket"

    def test_a_larger_file_than_one_chunk(self, ingestor, settings, drop):
        data = HEADER + ROW * 100_000
        ingestor.ingest(drop(data=data))
        assert (Path(settings.lake) / "raw/shop/objects" / sha(data)).read_bytes() == data

    def test_an_object_without_record_gets_one(self, ingestor, settings, drop):
        ingestor.ingest(drop())
        (Path(settings.lake) / f"raw/shop/batches/{sha(EVENTS)}.json").unlink()
        assert ingestor.ingest(drop()).new == 1
        assert len(known(settings)) == 1

    def test_the_object_is_there_before_the_record(self, ingestor, settings, drop, monkeypatch):
        create = LocalStorage.create

        def failing(self, name, *, if_absent=True):
            if "/batches/" in name:
                raise StorageFullError("full")
            return create(self, name, if_absent=if_absent)

        with monkeypatch.context() as patch, pytest.raises(StorageFullError):
            patch.setattr(LocalStorage, "create", failing)
            ingestor.ingest(drop())
        assert lake_files(settings) == [f"raw/shop/objects/{sha(EVENTS)}"]
        assert known(settings) == []

    def test_progress_ends_at_the_total(self, settings, drop):
        seen = []
        Ingestor(settings, watch=seen.append).ingest(drop("a.csv"), drop("b.csv", EVENTS + ROW))
        total = 2 * len(EVENTS) + len(ROW)
        assert {(step.stage, step.total, step.unit) for step in seen} == {("ingest", total, "bytes")}
        assert [step.done for step in seen] == sorted(step.done for step in seen)
        assert seen[-1].done == total


class TestArguments:
    def test_order_of_arguments_is_kept(self, ingestor, drop):
        paths = [drop(name, EVENTS + name.encode() + b"\n") for name in ("c.csv", "a.csv", "b.csv")]
        assert [batch.name for batch in ingestor.ingest(*paths).batches] == ["c.csv", "a.csv", "b.csv"]

    def test_folders_are_searched_but_not_hidden_files(self, ingestor, drop):
        for name in ("b.csv", "sub/a.csv", ".hidden.csv", "_draft.csv", ".git/x.csv", "_old/x.csv"):
            drop(name, EVENTS + name.encode() + b"\n")
        folder = drop("notes.txt", b"Not events.\nBut two lines.\n").parent
        drop("empty.csv", b"")
        drop("header.csv", HEADER)
        assert [batch.name for batch in ingestor.ingest(folder).batches] == ["b.csv", "a.csv"]

    def test_what_a_folder_leaves_out_is_told(self, settings, drop):
        seen = []
        drop("notes.txt", b"Not events.\nBut two lines.\n")
        Ingestor(settings, watch=seen.append).ingest(drop().parent)
        assert [step.message for step in seen if "notes.txt" in step.message] != []

    def test_the_lake_inside_a_folder_is_not_ingested_again(self, settings, drop):
        path = drop()
        ingestor = Ingestor(Settings(home=path.parent, source="shop"))
        assert ingestor.ingest(path.parent).files == 1
        assert ingestor.ingest(path.parent).files == 1

    def test_patterns(self, ingestor, drop):
        for name in ("a1.csv", "a2.csv", "b.csv"):
            drop(name, EVENTS + name.encode() + b"\n")
        pattern = str(drop("c.txt").parent / "a*.csv")
        assert [batch.name for batch in ingestor.ingest(pattern).batches] == ["a1.csv", "a2.csv"]

    def test_a_file_named_like_a_pattern_is_a_file(self, ingestor, drop):
        drop("events1.csv", EVENTS + b"other\n")
        path = drop("events[1].csv")
        assert [batch.name for batch in ingestor.ingest(path).batches] == ["events[1].csv"]

    def test_a_bad_argument_leaves_the_lake_as_it_was(self, ingestor, settings, drop):
        with pytest.raises(MissingFileError):
            ingestor.ingest(drop(), "nowhere.csv")
        assert not Path(settings.lake).exists()

    def test_bad_source_name(self, ingestor, drop):
        with pytest.raises(ConfigError, match="'a/b'"):
            ingestor.ingest(drop(), source="a/b")


class TestBadInput:
    """Each one clear sentence and a hint, and nothing half-written."""

    @pytest.fixture(autouse=True)
    def _nothing_written(self, settings):
        yield
        assert lake_files(settings) == []

    def refused(self, ingestor, *paths, kind: type[EcomError], match: str, **options) -> EcomError:
        with pytest.raises(kind, match=match) as caught:
            ingestor.ingest(*paths, **options)
        assert caught.value.hint
        assert "\n" not in caught.value.message
        return caught.value

    def test_no_argument(self, ingestor):
        self.refused(ingestor, kind=MissingFileError, match="no file to ingest")

    def test_missing_file(self, ingestor, tmp_path):
        self.refused(ingestor, tmp_path / "no.csv", kind=MissingFileError, match="there is no file .*no.csv")

    def test_pattern_without_match(self, ingestor, tmp_path):
        self.refused(ingestor, tmp_path / "*.csv", kind=MissingFileError, match="no file matches")

    def test_dangling_link(self, ingestor, tmp_path):
        (tmp_path / "a.csv").symlink_to(tmp_path / "gone.csv")
        self.refused(ingestor, tmp_path / "a.csv", kind=MissingFileError, match="gone.csv")

    def test_empty_folder(self, ingestor, tmp_path):
        (tmp_path / "empty").mkdir()
        self.refused(ingestor, tmp_path / "empty", kind=MissingFileError, match="empty' holds no file of events")

    def test_folder_without_events(self, ingestor, drop):
        self.refused(ingestor, drop("a.txt", b"one\ntwo\n").parent, kind=MissingFileError, match="no file of events")

    def test_second_folder_without_events(self, ingestor, drop, tmp_path):
        (tmp_path / "empty").mkdir()
        folders = (drop().parent, tmp_path / "empty")
        self.refused(ingestor, *folders, kind=MissingFileError, match="empty' holds no file of events")

    def test_folder_of_another_format_than_named(self, ingestor, drop):
        folder = drop("a.txt", b"one\ntwo\n").parent
        self.refused(ingestor, folder, kind=MissingFileError, match="no file", source_format="retailrocket")

    @pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf", gzip.compress(b"")])
    @pytest.mark.parametrize("options", [{}, {"source_format": "retailrocket"}])
    def test_empty_file(self, ingestor, drop, data, options):
        self.refused(ingestor, drop(data=data), kind=EmptyFileError, match="events.csv' is empty", **options)

    @pytest.mark.parametrize(
        "data", [HEADER, HEADER.rstrip(), HEADER + b"\r\n\n", b"\xef\xbb\xbf" + HEADER, HEADER + b"\n" * 100_000]
    )
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_header_only(self, ingestor, drop, data, pack):
        self.refused(ingestor, drop(data=pack(data)), kind=EmptyFileError, match="holds a header but no record")

    def test_unknown_format(self, ingestor, drop):
        path = drop(data=b"<html>\n<body>\n")
        error = self.refused(ingestor, path, kind=UnknownFormatError, match="begins '<html>'")
        assert "retailrocket" in error.hint

    def test_unknown_format_name(self, ingestor, drop):
        self.refused(ingestor, drop(), kind=PluginError, match="'nosuch'", source_format="nosuch")

    def test_two_formats_equally_sure(self, ingestor, drop, monkeypatch):
        from ecom_analytics import plugins

        class Twin:
            name = "twin"

            def detect(self, _):
                return plugins.load("source_formats", "retailrocket")().detect(EVENTS)

        names, load = plugins.names, plugins.load
        monkeypatch.setattr(plugins, "names", lambda kind: [*names(kind), "twin"])
        monkeypatch.setattr(plugins, "load", lambda kind, name: Twin if name == "twin" else load(kind, name))
        self.refused(ingestor, drop(), kind=UnknownFormatError, match="retailrocket and twin")

    @pytest.mark.parametrize("data", [b"\x1f\x8bnot really", gzip.compress(EVENTS)[:11]])
    def test_broken_gzip(self, ingestor, drop, data):
        self.refused(ingestor, drop("events.csv.gz", data), kind=InputError, match="is none")

    def test_not_a_regular_file(self, ingestor, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        self.refused(ingestor, tmp_path / "pipe", kind=InputError, match="not a regular file")

    def test_not_local(self, ingestor):
        self.refused(ingestor, "https://example.com/a.csv", kind=InputError, match="not a local file")

    def test_unreadable_file(self, ingestor, drop, monkeypatch):
        path, real = drop(), Path.open

        def denied(self, *arguments, **options):
            if self == path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
            return real(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", denied)
        self.refused(ingestor, path, kind=InputError, match="cannot read .*Permission denied")

    @pytest.mark.parametrize(
        "change", [lambda path: os.truncate(path, 100), lambda path: path.write_bytes(b"x" * 10**7)]
    )
    def test_a_file_that_changes_while_it_is_read(self, settings, drop, change):
        path = drop(data=HEADER + ROW * 200_000)
        changed = []

        def watch(step):
            if step.done and not changed:
                changed.append(change(path))

        self.refused(Ingestor(settings, watch=watch), path, kind=InputError, match="changed while it was read")
        assert changed

    def test_full_disk(self, ingestor, drop, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        self.refused(ingestor, drop(), kind=StorageFullError, match="No space left")

    def test_lake_below_a_file(self, drop):
        path = drop()
        self.refused(Ingestor(Settings(lake=path / "lake")), path, kind=LakeError, match="Not a directory")


def test_a_damaged_record_is_named(ingestor, settings, drop):
    ingestor.ingest(drop())
    record = Path(settings.lake) / f"raw/shop/batches/{sha(EVENTS)}.json"
    record.write_text(json.dumps({"nothing": 1}))
    with pytest.raises(LakeError, match="cannot be read"):
        ingestor.ingest(drop())


def test_a_truncated_gzip_is_the_readers_to_judge(ingestor, drop):
    data = gzip.compress(HEADER + b"".join(b"%d,%d,view,1,\n" % (i * 7919, i) for i in range(50_000)))
    assert ingestor.ingest(drop("events.csv.gz", data[: len(data) // 2])).new == 1
