"""Sources in S3, by name, prefix or pattern, to any lake; told when they change. And no request too many."""

from __future__ import annotations

import collections
import gzip
import hashlib
import threading

import pytest

from ecom_analytics import Ingestor, Settings
from ecom_analytics.errors import EmptyFileError, InputError, MissingFileError, UnknownFormatError
from ecom_analytics.ingest import copying
from ecom_analytics.lake import batches
from ecom_analytics.storages import open_storage
from ecom_analytics.storages.s3_client import s3_client

pytest_plugins = ["s3_server"]

HEADER = b"timestamp,visitorid,event,itemid,transactionid\n"
ROW = b"1433221332117,257597,view,355908,\n"
EVENTS = HEADER + ROW


@pytest.fixture(params=["folder", "s3"])
def settings(request, tmp_path, s3_endpoint, s3_bucket) -> Settings:
    lake = str(tmp_path / "lake") if request.param == "folder" else f"s3://{s3_bucket}/lake"
    return Settings(home=tmp_path, source="shop", lake=lake, s3_endpoint_url=s3_endpoint)


@pytest.fixture
def client(settings):
    return s3_client(settings)


@pytest.fixture
def drop(client, s3_bucket):
    """Puts an object of raw events, of its own unless told; its address."""

    def put(key: str, data: bytes | None = None) -> str:
        client.put_object(Bucket=s3_bucket, Key=key, Body=EVENTS + key.encode() + b"\n" if data is None else data)
        return f"s3://{s3_bucket}/{key}"

    return put


def names(report) -> list[str]:
    return [batch.name for batch in report.batches]


@pytest.fixture
def requests(monkeypatch):
    """How often each operation is asked for, and the largest number of them at a time."""
    import botocore.httpsession

    counted: collections.Counter[str] = collections.Counter()
    send, lock, now = botocore.httpsession.URLLib3Session.send, threading.Lock(), [0]

    def counting(self, request):
        with lock:
            now[0] += 1
            counted["at a time"] = max(counted["at a time"], now[0])
            counted[request.method + ("?" if "list-type" in request.url else "")] += 1
        try:
            return send(self, request)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", counting)
    return counted


class TestWhich:
    def test_one_object(self, settings, drop, s3_bucket):
        report = Ingestor(settings).ingest(drop("drops/events.csv", EVENTS))
        assert (names(report), report.batches[0].batch_id) == (["events.csv"], hashlib.sha256(EVENTS).hexdigest())
        lake = open_storage(settings.lake, settings)
        with lake.open(next(batches(lake)).object_name) as stream:
            assert stream.read() == EVENTS

    @pytest.mark.parametrize("end", ["", "/"])
    def test_all_below_a_prefix_but_what_is_hidden_or_no_events(self, settings, drop, s3_bucket, end):
        for key in ("in/b.csv", "in/sub/a.csv", "in/.x.csv", "in/_old/c.csv", "inside.csv", "in/"):
            drop(key)
        drop("in/notes.txt", b"Not events.\nBut two lines.\n")
        drop("in/empty.csv", b"")
        assert names(Ingestor(settings).ingest(f"s3://{s3_bucket}/in{end}")) == ["b.csv", "a.csv"]

    def test_a_whole_bucket_but_for_the_lake(self, settings, drop, s3_bucket):
        drop("a.csv")
        ingestor = Ingestor(settings)
        assert ingestor.ingest(f"s3://{s3_bucket}").new == 1
        assert names(ingestor.ingest(f"s3://{s3_bucket}/")) == ["a.csv"]

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("2026-*/events*.csv", ["01/events1", "01/events2", "02/events"]),
            ("2026-0[1]/*.csv", ["01/events1", "01/events2", "01/other"]),
            ("2026-0[!1]/*.csv", ["02/events"]),
            ("2026-01/events?.csv", ["01/events1", "01/events2"]),
            ("**/events.csv", ["02/deep/events", "02/events"]),
            ("2026-02/**", ["02/deep/events", "02/events"]),
            ("2026-0*", ["01/events1", "01/events2", "01/other", "02/deep/events", "02/events"]),
            ("2026-02/*/", ["02/deep/events"]),
        ],
    )
    def test_patterns(self, settings, drop, s3_bucket, pattern, expected):
        keys = ["01/events1", "01/events2", "01/other", "01/.events", "02/events", "02/deep/events"]
        held = {}
        for key in keys:
            drop(f"2026-{key}.csv")
            held[hashlib.sha256(EVENTS + f"2026-{key}.csv\n".encode()).hexdigest()] = key
        report = Ingestor(settings).ingest(f"s3://{s3_bucket}/{pattern}")
        assert [held[batch.batch_id] for batch in report.batches] == expected

    def test_an_object_named_like_a_pattern_is_an_object(self, settings, drop):
        drop("events1.csv")
        assert names(Ingestor(settings).ingest(drop("events[1].csv"))) == ["events[1].csv"]

    def test_the_same_object_twice_counts_once(self, settings, drop, s3_bucket):
        uri = drop("in/a.csv")
        assert Ingestor(settings).ingest(uri, f"s3://{s3_bucket}/in/", f"s3://{s3_bucket}/*/a.csv").files == 1

    def test_local_files_and_objects_together(self, settings, drop, tmp_path):
        (tmp_path / "b.csv").write_bytes(EVENTS)
        assert names(Ingestor(settings).ingest(drop("a.csv"), tmp_path / "b.csv")) == ["a.csv", "b.csv"]


class TestHow:
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_an_object_larger_than_memory_should_hold(self, settings, drop, monkeypatch, pack):
        monkeypatch.setattr(copying, "SMALL", 1000)
        data = pack(HEADER + b"".join(b"%d,1,view,2,\n" % (1433221332117 + number) for number in range(500_000)))
        report = Ingestor(settings).ingest(drop("large", data))
        assert report.batches[0].batch_id == hashlib.sha256(data).hexdigest()
        lake = open_storage(settings.lake, settings)
        with lake.open(f"raw/shop/objects/{report.batches[0].batch_id}") as stream:
            assert stream.read() == data

    def test_daily(self, settings, drop):
        rows = [b"%d,1,view,2,\n" % (1433221332117 + day * 86_400_000) for day in (1, 0, 1)]
        report = Ingestor(settings).ingest(drop("in/events.csv.gz", gzip.compress(HEADER + b"".join(rows))), daily=True)
        assert names(report) == ["events-2015-06-02.csv", "events-2015-06-03.csv"]

    def test_progress_ends_at_the_total(self, settings, drop):
        seen = []
        Ingestor(settings, watch=seen.append).ingest(drop("a.csv", EVENTS), drop("b.csv", HEADER + ROW * 100_000))
        assert [step.done for step in seen] == sorted(step.done for step in seen)
        assert seen[-1].done == seen[-1].total == 2 * len(HEADER) + 100_001 * len(ROW)

    def test_requests_go_out_together(self, settings, drop, requests):
        for number in range(40):
            drop(f"in/{number}.csv")
        Ingestor(settings).ingest(drop("in/").rstrip("/"))
        assert requests["at a time"] > 4

    def test_a_connection_that_breaks_off_is_tried_again(self, settings, drop, monkeypatch):
        from botocore.exceptions import ReadTimeoutError
        from botocore.response import StreamingBody

        read, broken = StreamingBody.read, []

        def breaking(self, amt=None):
            if len(broken) < 2:
                broken.append(1)
                raise ReadTimeoutError(endpoint_url="s3")
            return read(self, amt)

        uri = drop("a.csv")
        monkeypatch.setattr(StreamingBody, "read", breaking)
        assert Ingestor(settings).ingest(uri).new == 1


class TestWrong:
    """Each one clear sentence and a hint, and nothing in the lake."""

    @pytest.fixture(autouse=True)
    def _nothing_written(self, settings):
        yield
        assert list(open_storage(settings.lake, settings).list()) == []

    def refused(self, settings, uri: str, kind: type[Exception], match: str, **options) -> None:
        with pytest.raises(kind, match=match) as caught:
            Ingestor(settings).ingest(uri, **options)
        assert caught.value.hint
        assert "\n" not in caught.value.message

    @pytest.mark.parametrize("key", ["none.csv", "none/", ""])
    def test_nothing_there(self, settings, s3_bucket, key):
        self.refused(settings, f"s3://{s3_bucket}/{key}", MissingFileError, f"there is no object .*{s3_bucket}/{key}")

    def test_no_match(self, settings, s3_bucket):
        self.refused(settings, f"s3://{s3_bucket}/*.csv", MissingFileError, "no object matches")

    @pytest.mark.parametrize("key", ["a.csv", "a/", "*.csv"])
    def test_no_bucket_of_that_name(self, settings, key):
        self.refused(settings, f"s3://nosuchbucket/{key}", InputError, "cannot read .*NoSuchBucket")

    @pytest.mark.parametrize("uri", ["s3://", "s3:///a", "s3://b*/a"])
    def test_no_bucket(self, settings, uri):
        self.refused(settings, uri, InputError, "names no bucket")

    def test_a_prefix_without_events(self, settings, drop, s3_bucket):
        drop("in/a.txt", b"one\ntwo\n")
        self.refused(settings, f"s3://{s3_bucket}/in/", MissingFileError, "holds no file of events")

    def test_a_second_prefix_without_events(self, settings, drop, s3_bucket):
        drop("in/a.txt", b"one\ntwo\n")
        with pytest.raises(MissingFileError, match="in/' holds no file of events"):
            Ingestor(settings).ingest(drop("a.csv"), f"s3://{s3_bucket}/in/")

    def test_empty(self, settings, drop):
        self.refused(settings, drop("a.csv", b""), EmptyFileError, "a.csv' is empty")

    def test_unknown_format(self, settings, drop):
        self.refused(settings, drop("a.csv", b"<html>\n<body>\n"), UnknownFormatError, "begins '<html>'")

    def test_broken_gzip(self, settings, drop):
        self.refused(settings, drop("a.csv", b"\x1f\x8bnot really"), InputError, "after 0 decompressed bytes")

    @pytest.mark.parametrize("rows", [1, 100_000])
    @pytest.mark.parametrize("daily", [False, True])
    def test_an_object_that_changes_meanwhile(self, settings, client, drop, s3_bucket, monkeypatch, rows, daily):
        uri, enter = drop("a.csv", HEADER + ROW * rows), copying.Copier.__enter__

        def changing(self):
            client.put_object(Bucket=s3_bucket, Key="a.csv", Body=HEADER + ROW * rows + b"more\n")
            return enter(self)

        monkeypatch.setattr(copying.Copier, "__enter__", changing)
        self.refused(settings, uri, InputError, "a.csv' changed while it was read", daily=daily)

    def test_an_object_that_vanishes(self, settings, client, drop, s3_bucket, monkeypatch):
        uri, enter = drop("a.csv"), copying.Copier.__enter__

        def deleting(self):
            client.delete_object(Bucket=s3_bucket, Key="a.csv")
            return enter(self)

        monkeypatch.setattr(copying.Copier, "__enter__", deleting)
        self.refused(settings, uri, MissingFileError, "there is no object .*a.csv")


class TestRequests:
    """Local files to a lake in S3."""

    @pytest.fixture
    def settings(self, tmp_path, s3_endpoint, s3_bucket) -> Settings:
        return Settings(home=tmp_path, source="shop", lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint)

    @pytest.fixture
    def files(self, tmp_path):
        def write(count: int):
            folder = tmp_path / "drops"
            folder.mkdir()
            for number in range(count):
                (folder / f"{number:03}.csv").write_bytes(EVENTS + b"%d\n" % number)
            return folder

        return write

    def test_a_few_files_are_looked_for_and_written_with_their_records(self, settings, files, requests):
        folder = files(3)
        Ingestor(settings).ingest(folder)
        assert (requests["HEAD"], requests["PUT"], requests["GET"], requests["GET?"]) == (3, 6, 1, 1)
        requests.clear()
        Ingestor(settings).ingest(folder)
        assert (requests["HEAD"], requests["PUT"], requests["GET"], requests["GET?"]) == (3, 0, 1, 1)

    def test_many_files_are_looked_for_with_one_listing(self, settings, files, requests, monkeypatch):
        monkeypatch.setattr(copying, "_FEW", 29)
        folder = files(30)
        Ingestor(settings).ingest(folder)
        # one listing of batches, and one of those whose place others took
        assert (requests["HEAD"], requests["PUT"], requests["GET?"]) == (0, 60, 2)
        requests.clear()
        report = Ingestor(settings).ingest(folder)
        assert (report.new, report.already_present) == (0, 30)
        assert (requests["HEAD"], requests["PUT"], requests["GET?"]) == (0, 0, 2)

    def test_groups_keep_the_order(self, settings, files, monkeypatch):
        monkeypatch.setattr(copying, "_GROUP_FILES", 7)
        report = Ingestor(settings).ingest(files(30))
        assert (names(report), report.new) == ([f"{number:03}.csv" for number in range(30)], 30)

    def test_a_busy_store_is_asked_again(self, settings, files, monkeypatch):
        """A store that says SlowDown for a while."""
        import botocore.httpsession

        send, busy = botocore.httpsession.URLLib3Session.send, iter([True] * 3)

        def slow(self, request):
            response = send(self, request)
            if request.method == "PUT" and next(busy, False):
                response.status_code = 503
            return response

        monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", slow)
        monkeypatch.setattr("time.sleep", lambda _: None)
        assert Ingestor(settings).ingest(files(1)).new == 1
