"""Every staged event leads back to its file, line and text; every line to what became of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.errors import InputError
from ecom_analytics.events import COLUMNS
from ecom_analytics.staging import search, snapshot, trace
from ecom_analytics.staging.search import Search

pytest_plugins = ["s3_server"]

HEADER = "event_ts,event_type,visitor_id,product_id,source_event_id"
with_moto = pytest.mark.parametrize("s3_server", ["moto"], indirect=True)


def ingest(settings: Settings, data: bytes | str, name: str = "a.csv", **options: Any) -> str:
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    [batch] = Ingestor(settings).ingest(path, **options).batches
    return batch.batch_id


def stage(settings: Settings, *lines: str, name: str = "a.csv", **options: Any) -> str:
    batch_id = ingest(settings, "\n".join([HEADER, *lines]) + "\n", name, **options)
    Stager(settings).stage()
    return batch_id


def key_of(*values: str | None) -> str:
    """The md5 of a row, as plain Python says: of each value that makes events the same, its length before it."""
    text = "".join("-" if value is None else f"{len(value)}:{value}" for value in values)
    return hashlib.md5(text.encode()).hexdigest()


def micros(at: datetime) -> str:
    return str(int(at.timestamp()) * 1_000_000 + at.microsecond)


def event_key(at: str, kind: str, visitor: str, product: str | None, event_id: str | None = None) -> str:
    told = {"event_ts": micros(datetime.fromisoformat(at)), "event_type": kind, "visitor_id": visitor,
            "product_id": product, "source_event_id": event_id, "source": "default"}  # fmt: skip
    return key_of(*(told.get(column.name) for column in COLUMNS if column.meaning == "event"))


def told(found: Any) -> list[tuple[str, str, str | None]]:
    return [(row.place, row.status, row.reason) for row in found.rows]


NINE = "2026-01-05T09:00:00Z,view,v,p,"
TEN = "2026-01-05T10:00:00Z,view,v,p,"


def test_an_event_is_shown_with_file_line_text_and_all_its_values(settings: Settings) -> None:
    batch_id = stage(settings, "2026-01-05T23:50:00Z,view,v,p,", "2026-01-06T00:10:00Z,purchase,v,é€,")
    key = event_key("2026-01-06T00:10:00Z", "purchase", "v", "é€")
    found = trace(settings, key)
    assert found == trace(settings, key.upper())
    assert (found.asked, found.answer) == (key, "staged")
    [row] = found.rows
    assert (row.status, row.table, row.name, row.source, row.batch_id) == (
        "staged",
        "events",
        "a.csv",
        "default",
        batch_id,
    )
    assert (row.source_line, row.raw_text) == (3, "2026-01-06T00:10:00Z,purchase,v,é€,")
    assert list(row.values) == [*(column.name for column in COLUMNS), "event_key", "session_id"]
    start = datetime(2026, 1, 5, 23, 50, tzinfo=UTC)
    assert {name: value for name, value in row.values.items() if value is not None} == {
        "event_ts": datetime(2026, 1, 6, 0, 10, tzinfo=UTC), "event_date": date(2026, 1, 6), "event_type": "purchase",
        "visitor_id": "v", "product_id": "é€", "session_start": start, "source": "default", "batch_id": batch_id,
        "source_line": 3, "event_key": key,
        "session_id": hashlib.md5(f"default|v|{micros(start)}".encode()).hexdigest(),
    }  # fmt: skip
    assert json.loads(json.dumps(found.to_dict()))["rows"][0]["values"]["event_date"] == "2026-01-06"


def test_identical_rows_are_shown_with_the_one_that_won_first(settings: Settings) -> None:
    stage(settings, NINE, TEN, TEN)
    stage(settings, TEN, "2026-01-05T10:00:01Z,view,v,p,", name="b.csv")
    first = trace(settings, event_key("2026-01-05T10:00:00Z", "view", "v", "p"))
    assert first.answer == "staged"
    assert {row.place for row in first.rows} == {"a.csv:3", "a.csv:4", "b.csv:2"}
    kept, *others = first.rows
    assert kept.status == "staged"
    assert (kept.batch_id, kept.source_line) == min((row.batch_id, row.source_line) for row in first.rows)
    for row in others:
        assert (row.status, row.reason) == ("duplicate", "identical row")
        assert (row.kept_name, row.kept_batch_id, row.kept_line) == (kept.name, kept.batch_id, kept.source_line)
        assert row.values["session_start"] is None
        assert row.raw_text == TEN


def test_rows_of_one_event_id_lead_to_the_one_that_was_kept_over_midnight_too(settings: Settings) -> None:
    stage(
        settings,
        "2026-01-05T23:00:00Z,view,v,p,x",
        "2026-01-06T22:59:00Z,view,v,q,x",
        "2026-01-06T23:00:01Z,view,v,p,x",
    )
    expected = [
        ("a.csv:2", "staged", None),
        ("a.csv:3", "duplicate", "same event id within 24 hours"),
    ]
    late = trace(settings, event_key("2026-01-06T22:59:00Z", "view", "v", "q", "x"))
    assert (late.answer, told(late)) == ("duplicate", expected)
    early = trace(settings, event_key("2026-01-05T23:00:00Z", "view", "v", "p", "x"))
    assert (early.answer, told(early)) == ("staged", expected)
    assert told(trace(settings, event_key("2026-01-06T23:00:01Z", "view", "v", "p", "x"))) == [
        ("a.csv:4", "staged", None)
    ]


def test_the_items_of_a_record_have_families_of_their_own(settings: Settings) -> None:
    header = "event_ts,event_type,visitor_id,product_id,source_item"
    order = [f"2026-01-05T10:00:00Z,purchase,v,p,{item}" for item in (1, 2, 1, 2)]
    ingest(settings, "\n".join([header, *order]) + "\n")
    Stager(settings).stage()
    found = trace(settings, "a.csv:5")
    assert found.answer == "duplicate"
    assert [(row.place, row.values["source_item"]) for row in found.rows] == [("a.csv:5", 2), ("a.csv:3", 2)]
    assert told(trace(settings, str(found.rows[0].values["event_key"]))) == [
        ("a.csv:3", "staged", None),
        ("a.csv:5", "duplicate", "identical row"),
    ]


def test_every_staged_event_is_found_whatever_chunk_it_is_in(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "CHUNK_ROWS", 2)
    rows = [f"2026-01-{day:02d}T10:00:00Z,view,v,p{n}," for day in range(1, 6) for n in range(2)]
    stage(settings, *rows, rows[0])
    for line, row in enumerate(rows, 2):
        at, kind, visitor, product, _ = row.split(",")
        found = trace(settings, event_key(at, kind, visitor, product))
        assert found.rows[0].place == f"a.csv:{line}"
        assert found.rows[0].raw_text == row


def test_a_line_is_answered_for(settings: Settings) -> None:
    quoted = '2026-01-05T11:00:00Z,view,v,"p\nq\n\nr",'
    batch_id = stage(settings, NINE, NINE, "", "nonsense,view,v,p,", quoted, "a,b", TEN)
    cases = {1: "header", 2: "staged", 3: "duplicate", 4: "blank", 5: "rejected", 6: "staged", 7: "staged", 8: "staged",
             9: "staged", 10: "rejected", 11: "staged"}  # fmt: skip
    answers = {line: trace(settings, f"a.csv:{line}") for line in cases}
    assert {line: found.answer for line, found in answers.items()} == cases
    for name in (batch_id, batch_id[:6], batch_id[:12].upper()):
        assert trace(settings, f"{name}:11").rows == answers[11].rows
    assert [row.raw_text for row in answers[8].rows] == [quoted]
    assert answers[8].rows[0].place == "a.csv:6"
    assert told(answers[2]) == [("a.csv:2", "staged", None), ("a.csv:3", "duplicate", "identical row")]
    assert told(answers[3]) == [("a.csv:3", "duplicate", "identical row"), ("a.csv:2", "staged", None)]
    for line, rule, text in ((5, "bad_timestamp", "nonsense,view,v,p,"), (10, "too_few_fields", "a,b")):
        [reject] = answers[line].rejected
        assert (reject.source_line, reject.rule, reject.raw_text) == (line, rule, text)
    assert all(not found.rows and not found.rejected for found in (answers[1], answers[4]))


def test_of_a_file_with_erased_records_no_empty_line_is_said_to_be_blank(settings: Settings) -> None:
    batch_id = stage(settings, NINE, "")
    record = Path(settings.lake) / "raw" / "default" / "batches" / f"{batch_id}.json"
    told_of = json.loads(record.read_bytes())
    told_of["details"]["erased"] = {"records": 1, "lines": 1}
    record.chmod(0o644)
    record.write_text(json.dumps(told_of))
    assert trace(settings, "a.csv:3").answer == "blank or erased"


def test_a_forgotten_visitor_in_a_file_that_came_later_is_not_shown(settings: Settings) -> None:
    from ecom_analytics.erasure import Eraser

    stage(settings, NINE, NINE.replace(",v,", ",forgotten-visitor,"))
    Eraser(settings).forget(["forgotten-visitor"], dry_run=False)
    stage(settings, TEN.replace(",v,", ",forgotten-visitor,"), TEN, name="b.csv")
    found = {line: trace(settings, f"b.csv:{line}") for line in (1, 2, 3)}
    assert [found[line].answer for line in found] == ["header", "erased", "staged"]
    assert "forgotten" not in repr(found[2])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("a.csv:12", "a.csv has no line 12"),
        ("a.csv:0", "a.csv has no line 0"),
        ("b.csv:2", "no staged file is called 'b.csv'"),
        ("abcdef:2", "no staged file is called 'abcdef'"),
        ("0" * 32, "there is no staged event with the key 0"),
        ("0" * 31, "neither the key of an event"),
        ("g" * 32, "neither the key of an event"),
        ("a.csv", "neither the key of an event"),
        ("a.csv:-1", "neither the key of an event"),
        ("", "neither the key of an event"),
    ],
)
def test_what_is_not_there_is_told_with_a_hint(asked: str, message: str, settings: Settings) -> None:
    stage(settings, NINE, TEN)
    with pytest.raises(InputError, match=message) as caught:
        trace(settings, asked)
    assert caught.value.hint


@pytest.mark.parametrize("asked", ["0" * 32, "a.csv:2"])
def test_a_lake_without_a_stage_has_nothing_to_trace(asked: str, settings: Settings) -> None:
    with pytest.raises(InputError, match="no staged"):
        trace(settings, asked)


def test_a_name_that_several_files_have_is_refused_and_their_ids_named(settings: Settings) -> None:
    ids = [stage(settings, NINE), stage(settings, TEN)]
    with pytest.raises(InputError, match="2 staged files are called 'a.csv'") as caught:
        trace(settings, "a.csv:2")
    assert all(batch_id[:12] in caught.value.message for batch_id in ids)
    assert [trace(settings, f"{batch_id[:12]}:2").rows[0].raw_text for batch_id in ids] == [NINE, TEN]


def test_one_file_of_two_sources_is_two_rows(settings: Settings) -> None:
    for source in ("one", "two"):
        stage(settings, NINE, source=source)
    assert [(row.source, row.place) for row in trace(settings, "a.csv:2").rows] == [
        ("one", "a.csv:2"),
        ("two", "a.csv:2"),
    ]


def records() -> list[dict[str, str]]:
    return [{"event_ts": f"2026-01-05T10:0{n}:00Z", "event_type": "view", "visitor_id": f"v{n}"} for n in range(3)]


def as_lines() -> bytes:
    return (
        b"\n".join([json.dumps(records()[0]).encode(), b"", *(json.dumps(r).encode() for r in records()[1:])]) + b"\n"
    )


def test_gzip_json_lines_and_parquet_have_texts_too(settings: Settings) -> None:
    table = settings.home / "a.parquet"
    settings.home.mkdir()
    pq.write_table(pa.Table.from_pylist([{**row, "visitor_id": f"P{row['visitor_id']}"} for row in records()]), table)
    ingest(settings, gzip.compress(f"{HEADER}\n{NINE}\n{TEN}\n".encode()), "a.csv.gz")
    ingest(settings, as_lines(), "a.jsonl", source_format="canonical")
    ingest(settings, table.read_bytes(), "a.parquet", source_format="canonical")
    Stager(settings).stage()
    assert trace(settings, "a.csv.gz:3").rows[0].raw_text == TEN
    found = {line: trace(settings, f"a.jsonl:{line}") for line in (1, 2, 3)}
    assert [found[line].answer for line in found] == ["staged", "blank", "staged"]
    assert json.loads(found[3].rows[0].raw_text) == records()[1]
    [row] = trace(settings, "a.parquet:2").rows
    assert json.loads(row.raw_text)["visitor_id"] == row.values["visitor_id"] == "Pv1"
    assert told(trace(settings, row.values["event_key"])) == [("a.parquet:2", "staged", None)]


def test_a_file_in_another_encoding_is_shown_as_text(settings: Settings) -> None:
    other = settings.model_copy(update={"encoding": "latin-1"})
    ingest(other, f"{HEADER}\n2026-01-05T10:00:00Z,view,v,Käse,\n".encode("latin-1"))
    Stager(other).stage()
    assert trace(settings, "a.csv:2").rows[0].raw_text == "2026-01-05T10:00:00Z,view,v,Käse,"


def test_lines_about_products_lead_to_their_rows(settings: Settings) -> None:
    ingest(settings, "categoryid,parentid\n7,1\n8,\n", "category_tree.csv")
    Stager(settings).stage()
    found = trace(settings, "category_tree.csv:2")
    [row] = found.rows
    assert (found.answer, row.table, row.values["category_id"], row.raw_text) == ("staged", "categories", "7", "7,1")


def test_all_staged_events_have_the_key_that_the_marts_see(settings: Settings) -> None:
    import duckdb

    from ecom_analytics.marts.lake import events_query

    stage(settings, NINE, TEN, "2026-01-05T23:00:00Z,view,v,p,x", "2026-01-05T10:00:00.123456+05:30,search,w,,")
    connection = duckdb.connect(config={"threads": 1})
    query = f"SELECT event_key, source_line, session_id FROM ({events_query(snapshot(settings).files)})"
    rows = connection.execute(query).fetchall()
    assert len(rows) == 4
    for key, line, session_id in rows:
        [row] = trace(settings, key).rows
        assert (row.source_line, row.values["session_id"]) == (line, session_id)


def test_only_what_is_needed_is_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest days first, and no more once the event is found."""
    monkeypatch.setattr(search, "CHUNK_ROWS", 1)
    stage(settings, *(f"2026-01-{day:02d}T10:00:00Z,view,v,p," for day in (1, 8, 15, 22)))
    views: list[str] = []
    original = Search._view
    monkeypatch.setattr(
        Search,
        "_view",
        lambda self, table, name="", files=None: views.append(name) or original(self, table, name, files),
    )
    trace(settings, event_key("2026-01-15T10:00:00Z", "view", "v", "p"))
    assert views == ["events_chunk_0", "events_chunk_1", "events_20260115", "duplicates_20260115"]


@with_moto
def test_a_lake_on_s3_is_traced_as_a_local_one(
    s3_bucket: str, s3_endpoint: str, settings: Settings, tmp_path: Path
) -> None:
    on_s3 = Settings(home=tmp_path / "s3", lake=f"s3://{s3_bucket}/shop/lake", s3_endpoint_url=s3_endpoint)
    key = event_key("2026-01-05T10:00:00Z", "view", "v", "p")
    for each in (settings, on_s3):
        stage(each, NINE, TEN, TEN, "", "bad")
    shutil.rmtree(on_s3.cache)  # as another machine would find things
    for asked in (key, "a.csv:2", "a.csv:4", "a.csv:5", "a.csv:6", "a.csv:1"):
        assert trace(on_s3, asked) == trace(settings, asked)
    assert told(trace(on_s3, key)) == [("a.csv:3", "staged", None), ("a.csv:4", "duplicate", "identical row")]
