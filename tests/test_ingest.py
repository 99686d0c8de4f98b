"""The Ingestor: bytes unchanged, each content once, clear words for what cannot be used."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from ecom_analytics import Ingestor, Settings, plugins
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
from ecom_analytics.ingest import slices
from ecom_analytics.lake import batches
from ecom_analytics.storages import open_storage
from ecom_analytics.storages.local import LocalStorage
from ecom_analytics.storages.s3 import S3Storage
from ecom_analytics.storages.s3_write import Writer

pytest_plugins = ["s3_server", "s3_moto"]

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

    @pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
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

    @pytest.mark.parametrize("data", [b"\x1f\x8bnot really", gzip.compress(EVENTS, mtime=0)[:11]])
    def test_broken_gzip(self, ingestor, drop, data):
        self.refused(ingestor, drop("events.csv.gz", data), kind=InputError, match="after 0 decompressed bytes")

    def test_not_a_regular_file(self, ingestor, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        self.refused(ingestor, tmp_path / "pipe", kind=InputError, match="not a regular file")

    def test_not_local(self, ingestor):
        self.refused(ingestor, "https://example.com/a.csv", kind=InputError, match="neither a local file nor in S3")

    def test_unreadable_file(self, ingestor, drop, monkeypatch):
        path, real = drop(), Path.open

        def denied(self, *arguments, **options):
            if self == path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
            return real(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", denied)
        self.refused(ingestor, path, kind=InputError, match="cannot read .*Permission denied")

    @pytest.mark.parametrize("rows", [1, 200_000])
    @pytest.mark.parametrize(
        "change",
        [
            lambda path: os.truncate(path, 10),
            lambda path: path.write_bytes(b"x" * 10**7),
            lambda path: os.utime(path, (1, 1)),
            lambda path: path.with_name("new").write_bytes(path.read_bytes()) and path.with_name("new").replace(path),
        ],
    )
    def test_a_file_that_changes_while_it_is_read(self, ingestor, drop, change, rows, monkeypatch):
        path, tidy = drop(data=HEADER + ROW * rows), LocalStorage.tidy
        monkeypatch.setattr(LocalStorage, "tidy", lambda *_: (change(path), tidy(*_)))  # after it was looked at
        self.refused(ingestor, path, kind=InputError, match="changed while it was read")

    def test_a_file_that_vanishes(self, ingestor, drop, monkeypatch):
        path, tidy = drop(), LocalStorage.tidy
        monkeypatch.setattr(LocalStorage, "tidy", lambda *_: (path.unlink(), tidy(*_)))
        self.refused(ingestor, path, kind=MissingFileError, match="vanished while it was read")

    def test_a_file_that_grows_while_it_is_read(self, ingestor, drop, monkeypatch):
        path, named_last = drop(data=HEADER + ROW * 200_000), LocalStorage.create_named_last

        @contextmanager
        def growing(self, folder, name):
            with named_last(self, folder, name) as to, path.open("ab") as more:
                more.write(ROW)
                more.flush()
                yield to

        monkeypatch.setattr(LocalStorage, "create_named_last", growing)
        self.refused(ingestor, path, kind=InputError, match="changed while it was read")

    def test_full_disk(self, ingestor, drop, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        self.refused(ingestor, drop(), kind=StorageFullError, match="disk is full")

    def test_lake_below_a_file(self, drop):
        path = drop()
        self.refused(Ingestor(Settings(lake=path / "lake")), path, kind=LakeError, match="Not a directory")


class TestDaily:
    DAY = 86_400_000

    def row(self, millis, extra: bytes = b"") -> bytes:
        return b"%s,1,view,2,%s\n" % (str(millis).encode(), extra)

    def slices(self, settings) -> dict[str, bytes]:
        objects = Path(settings.lake) / "raw/shop/objects"
        found = {batch.details["day"]: (objects / batch.batch_id).read_bytes() for batch in known(settings)}
        return dict(sorted(found.items()))

    def test_each_day_is_a_batch(self, ingestor, settings, drop):
        first, second = self.row(1433221332117), self.row(1433221332117 + self.DAY)
        data = HEADER + second + first + second
        report = ingestor.ingest(drop(data=data), daily=True)
        assert self.slices(settings) == {"2015-06-02": HEADER + first, "2015-06-03": HEADER + second + second}
        assert [batch.name for batch in report.batches] == ["events-2015-06-02.csv", "events-2015-06-03.csv"]
        assert {batch.details["sliced_from"] for batch in known(settings)} == {sha(data)}
        assert {batch.source_format for batch in known(settings)} == {"retailrocket"}

    def test_again_all_are_already_present(self, ingestor, settings, drop):
        data = HEADER + b"".join(self.row(1433221332117 + self.DAY * day) for day in range(5))
        assert ingestor.ingest(drop(data=data), daily=True).new == 5
        report = ingestor.ingest(drop("other.csv", data), daily=True)
        assert (report.files, report.new, report.already_present) == (5, 0, 5)

    def test_days_are_those_of_the_time_zone(self, settings, drop):
        row = self.row(1433221332117)  # 05:02 UTC on June 2
        zoned = settings.model_copy(update={"timezone": "America/Los_Angeles"})
        Ingestor(zoned).ingest(drop(data=HEADER + row), daily=True)
        assert list(self.slices(settings)) == ["2015-06-01"]

    def test_what_has_no_time_goes_with_the_record_before(self, ingestor, settings, drop):
        one, two = self.row(1433221332117), self.row(1433221332117 + self.DAY)
        odd = [b"later,1,view,2,\n", b"\n", b"1,2\n", b'"open,1,view\n', b"\xff\x00\n"]
        ingestor.ingest(drop(data=HEADER + odd[0] + odd[1] + two + odd[2] + one + odd[3] + odd[4] + two), daily=True)
        assert self.slices(settings) == {
            "2015-06-02": HEADER + one + odd[3] + odd[4],
            "2015-06-03": HEADER + odd[0] + odd[1] + two + odd[2] + two,
        }

    def test_quoted_records_stay_whole(self, ingestor, settings, drop):
        one = self.row(1433221332117, b'"a\n""b"",\n\n1433307732117,"')
        two = b'"%d","1\r\n2",view,2,\r\n' % (1433221332117 + self.DAY)
        ingestor.ingest(drop(data=HEADER + one + two + one + two), daily=True)
        assert self.slices(settings) == {"2015-06-02": HEADER + one + one, "2015-06-03": HEADER + two + two}

    def test_mark_and_line_ends_are_kept(self, ingestor, settings, drop):
        mark, header = b"\xef\xbb\xbf", HEADER.replace(b"\n", b"\r\n")
        rows = [self.row(1433221332117 + self.DAY * day).replace(b"\n", b"\r\n") for day in range(2)]
        ingestor.ingest(drop(data=mark + header + rows[1] + rows[0].rstrip()), daily=True)
        assert self.slices(settings) == {
            "2015-06-02": mark + header + rows[0].rstrip(),
            "2015-06-03": mark + header + rows[1],
        }

    def test_gzip_is_cut_as_what_it_holds(self, ingestor, settings, drop):
        data = gzip.compress(HEADER + ROW) + gzip.compress(ROW)
        report = ingestor.ingest(drop("events.csv.gz", data), daily=True)
        assert self.slices(settings) == {"2015-06-02": HEADER + ROW + ROW}
        assert report.batches[0].name == "events-2015-06-02.csv"
        assert known(settings)[0].details["sliced_from"] == sha(data)

    def test_another_format_has_another_column(self, ingestor, settings, drop):
        header = b"event_type,visitor_id,event_ts\n"
        one, two = b"view,1,2024-02-29T23:59:59+00:00\n", b"view,1,2024-03-01 00:00:00Z\n"
        ingestor.ingest(drop(data=header + two + one), daily=True)
        assert self.slices(settings) == {"2024-02-29": header + one, "2024-03-01": header + two}

    def test_more_than_memory_holds(self, ingestor, settings, drop, monkeypatch):
        monkeypatch.setattr(slices, "_HELD", 100)
        rows = [self.row(1433221332117 + self.DAY * (number % 3)) for number in range(100)]
        ingestor.ingest(drop(data=HEADER + b"".join(rows)), daily=True)
        assert list(self.slices(settings).values()) == [HEADER + b"".join(rows[day::3]) for day in range(3)]

    def test_no_record_is_written_before_all_objects(self, ingestor, settings, drop, monkeypatch):
        create, objects = LocalStorage.create, []

        def failing(self, name, *, if_absent=True):
            objects.append(name)
            if len(objects) == 3:
                raise StorageFullError("full")
            return create(self, name, if_absent=if_absent)

        data = HEADER + b"".join(self.row(1433221332117 + self.DAY * day) for day in range(3))
        with monkeypatch.context() as patch, pytest.raises(StorageFullError):
            patch.setattr(LocalStorage, "create", failing)
            ingestor.ingest(drop(data=data), daily=True)
        assert known(settings) == []
        assert ingestor.ingest(drop(data=data), daily=True).new == 3

    def test_progress_ends_at_the_total(self, settings, drop):
        seen = []
        Ingestor(settings, watch=seen.append).ingest(drop("a.csv"), drop("b.csv", EVENTS + ROW), daily=True)
        assert [step.done for step in seen] == sorted(step.done for step in seen)
        assert seen[-1].done == seen[-1].total == 2 * len(EVENTS) + len(ROW)

    @pytest.mark.parametrize(
        ("name", "data", "match"),
        [
            ("a.csv", HEADER + b"later,1,view,2,\n", "no record with a readable time in the column 'timestamp'"),
            ("a.csv", HEADER.replace(b"timestamp", b"when") + ROW, "no column 'timestamp'"),
            ("a.csv.gz", gzip.compress(HEADER + os.urandom(200_000))[:150_000], "cannot be read to its end"),
        ],
        ids=["no time", "no column", "broken gzip"],
    )
    def test_what_cannot_be_cut(self, ingestor, settings, drop, name, data, match):
        with pytest.raises(InputError, match=match) as caught:
            ingestor.ingest(drop(name, data), daily=True, source_format="retailrocket")
        assert caught.value.hint
        assert lake_files(settings) == []

    def test_a_format_without_times(self, ingestor, drop, monkeypatch):
        class Timeless:
            name = "timeless"

            def detect(self, _):
                return 1.0

        monkeypatch.setattr(
            "ecom_analytics.plugins.load",
            lambda kind, name, load=plugins.load: Timeless if name == "timeless" else load(kind, name),
        )
        with pytest.raises(InputError, match="'timeless', which cannot be cut"):
            ingestor.ingest(drop(), daily=True, source_format="timeless")

    def test_a_file_that_changes_meanwhile(self, settings, drop):
        path = drop()

        def watch(step):
            os.utime(path, (1, 1))

        with pytest.raises(InputError, match="changed while it was read"):
            Ingestor(settings, watch=watch).ingest(path, daily=True)
        assert lake_files(settings) == []

    fields = st.sampled_from(["7", "view", "", "é", '"q"', '"a,b"', '"two\nlines"', '"say ""hi"""'])
    times = st.one_of(st.integers(1433221332117, 1433221332117 + 4 * DAY).map(str), st.sampled_from(["", "x", "-5"]))
    records = st.tuples(times, st.lists(fields, max_size=6), st.sampled_from(["\n", "\r\n", "\n\n"]))

    @settings_of_hypothesis(deadline=None, max_examples=60)
    @given(rows=st.lists(records, min_size=1, max_size=30), zone=st.sampled_from(["UTC", "Asia/Kolkata"]))
    def test_slices_are_the_file_in_other_order(self, rows, zone, tmp_path_factory):
        """Every record is in the slice of its day, in the file's order, byte for byte."""
        home = tmp_path_factory.mktemp("daily")
        settings = Settings(home=home, source="shop", timezone=zone)
        texts = [(time, ",".join([time, *fields]) + end) for time, fields, end in rows]
        (home / "events.csv").write_bytes(HEADER + "".join(text for _, text in texts).encode())
        expected: dict[str, bytes] = {}
        day, waiting = None, b""
        for time, text in texts:
            if time.isdigit():
                day = datetime.fromtimestamp(int(time) / 1000, settings.zone).date().isoformat()
            if day is None:
                waiting += text.encode()
            else:
                expected[day] = expected.get(day, HEADER) + waiting + text.encode()
                waiting = b""
        if day is None:
            with pytest.raises(InputError, match="readable time|no record"):
                Ingestor(settings).ingest(home / "events.csv", daily=True, source_format="retailrocket")
            return
        Ingestor(settings).ingest(home / "events.csv", daily=True, source_format="retailrocket")
        assert self.slices(settings) == expected


class TestS3:
    @pytest.fixture
    def settings(self, s3_endpoint, s3_bucket, tmp_path) -> Settings:
        return Settings(
            home=tmp_path / "home", source="shop", lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint
        )

    def names(self, settings):
        return list(open_storage(settings.lake, settings).list())

    @pytest.mark.parametrize("rows", [1, 400_000])
    def test_bytes_are_copied_unchanged_under_their_hash(self, ingestor, settings, drop, rows):
        data = HEADER + ROW * rows
        assert ingestor.ingest(drop(data=data)).new == 1
        assert self.names(settings) == [f"raw/shop/batches/{sha(data)}.json", f"raw/shop/objects/{sha(data)}"]
        with open_storage(settings.lake, settings).open(f"raw/shop/objects/{sha(data)}") as stream:
            assert stream.read() == data

    def test_a_second_time_nothing_is_uploaded(self, ingestor, settings, drop, monkeypatch):
        ingestor.ingest(drop("monday.csv"))
        monkeypatch.setattr(S3Storage, "create", None)
        report = ingestor.ingest(drop("tuesday.csv"))
        assert (report.new, report.already_present) == (0, 1)
        assert [batch.name for batch in known(settings)] == ["monday.csv"]

    def test_a_file_that_changes_between_its_two_readings(self, ingestor, settings, drop, monkeypatch):
        path = drop(data=HEADER + ROW * 400_000)
        part = Writer.part

        def changing(self, upload_id, number, data):
            os.utime(path, (1, 1))
            return part(self, upload_id, number, data)

        monkeypatch.setattr(Writer, "part", changing)
        with pytest.raises(InputError, match="changed while it was read"):
            ingestor.ingest(path)
        assert self.names(settings) == []
        lake = open_storage(settings.lake, settings)
        assert lake.client.list_multipart_uploads(Bucket=lake.bucket).get("Uploads", []) == []

    def test_progress_ends_at_the_total(self, settings, drop):
        seen = []
        for name in ("a.csv", "b.csv"):
            Ingestor(settings, watch=seen.append).ingest(drop(name))
            assert seen[-1].done == seen[-1].total == len(EVENTS)

    def test_missing_bucket(self, settings, drop):
        with pytest.raises(LakeError, match="NoSuchBucket"):
            Ingestor(settings.model_copy(update={"lake": "s3://nosuchbucket/lake"})).ingest(drop())


def race(ingestor: Ingestor, path: Path) -> list[int]:
    barrier = threading.Barrier(4)

    def ingest(_) -> int:
        barrier.wait(30)
        return ingestor.ingest(path).new

    with ThreadPoolExecutor(4) as pool:
        return sorted(pool.map(ingest, range(4)))


def test_of_racing_ingestors_one_is_first(ingestor, settings, drop):
    assert race(ingestor, drop(data=HEADER + ROW * 100_000)) == [0, 0, 0, 1]
    assert len(lake_files(settings)) == 2


def test_of_racing_ingestors_one_is_first_on_s3(s3_endpoint, s3_bucket, drop, moto_uploads):
    settings = Settings(lake=f"s3://{s3_bucket}", s3_endpoint_url=s3_endpoint)
    assert race(Ingestor(settings), drop(data=HEADER + ROW * 300_000)) == [0, 0, 0, 1]
    assert len(list(open_storage(settings.lake, settings).list())) == 2


def test_a_truncated_gzip_is_the_readers_to_judge(ingestor, drop):
    data = gzip.compress(HEADER + b"".join(b"%d,%d,view,1,\n" % (i * 7919, i) for i in range(50_000)))
    assert ingestor.ingest(drop("events.csv.gz", data[: len(data) // 2])).new == 1
