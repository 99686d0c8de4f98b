"""Files of any columns by a mapping: each rule by the row that breaks it, and real files the whole way."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from staging_rows import stage

from ecom_analytics import Ingestor, Pipeline, Settings, Stager, Warehouse
from ecom_analytics.errors import InputError
from ecom_analytics.lake import batches
from ecom_analytics.staging import rejected, snapshot
from ecom_analytics.storages import open_storage

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "mappings"
SHOP = """
required = ["product_id"]
[event_ts]
path = "at"
[columns]
visitor_id = ["login", "cookie"]
product_id = "sku"
event_type = {path = "what", map = {look = "view", buy = "purchase"}}
source_item = "n"
quantity = {path = "qty", default = 1}
unit_price = {path = "price", decimal = ",", thousands = "."}
currency = {value = "EUR"}
device = {path = "device", map = {Handy = "mobile"}}
"""
HEADER = "at;login;cookie;sku;what;n;qty;price;device"
GOOD = "2026-01-05T10:00:00Z;u1;c1;p1;look;1;2;1.249,50;Handy"


@pytest.fixture
def shop(settings: Settings) -> Settings:
    return mapped(settings, SHOP)


def mapped(settings: Settings, text: str) -> Settings:
    """The settings with that mapping."""
    settings.home.mkdir(parents=True, exist_ok=True)
    path = settings.home / f"{abs(hash(text))}.toml"
    path.write_text(text, encoding="utf-8")
    return Settings(**{**settings.model_dump(), "mapping": path})


def staged(settings: Settings) -> list[dict[str, Any]]:
    rows = [row for file in snapshot(settings).files for row in pq.ParquetFile(file).read().to_pylist()]
    return sorted(rows, key=lambda row: (row["batch_id"], row["source_line"], row.get("source_item") or 0))


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (";u1;c1;p1;look;1;2;1,5;", "bad_timestamp"),
        ("2026-02-30T10:00:00Z;u1;c1;p1;look;1;2;1,5;", "bad_timestamp"),
        ("1989-12-31T23:59:59Z;u1;c1;p1;look;1;2;1,5;", "timestamp_out_of_range"),
        ("2100-01-01T00:00:00Z;u1;c1;p1;look;1;2;1,5;", "timestamp_out_of_range"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;gaze;1;2;1,5;", "unknown_event_type"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;;1;2;1,5;", "unknown_event_type"),
        ("2026-01-05T10:00:00Z;;;p1;look;1;2;1,5;", "missing_visitor_id"),
        ("2026-01-05T10:00:00Z;u1;c1;;look;1;2;1,5;", "missing_product_id"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;one;2;1,5;", "bad_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;0;2;1,5;", "bad_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;two;1,5;", "bad_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;2;1.50;", "bad_number"),  # neither 1.5 nor 150
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;2;1,5,0;", "bad_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;2;12.34,5;", "bad_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;2;1,5 €;", "bad_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;2;-1,5;", "negative_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;-2;1,5;", "negative_number"),
        ("2026-01-05T10:00:00Z;u1;c1;p1;look;1;2;1,5", "too_few_fields"),
    ],
)
def test_what_breaks_a_rule_is_rejected_and_only_that(row: str, rule: str, shop: Settings) -> None:
    rows, bad = stage(shop, "mapping", HEADER, GOOD, row)
    assert bad == [(3, rule)]
    assert [r["source_line"] for r in rows] == [2]


def test_values_become_what_the_mapping_says(shop: Settings) -> None:
    rows, bad = stage(
        shop,
        "mapping",
        HEADER,
        GOOD,
        "2026-01-05T10:00:01Z;;c2;007;buy;;;12345,6;Tablet",
        "2026-01-05T10:00:02Z;;c2;007;purchase;;0,;;",
    )
    assert bad == [(4, "bad_number")]
    assert [(r["visitor_id"], r["product_id"], r["event_type"], r["source_item"]) for r in rows] == [
        ("u1", "p1", "view", 1), ("c2", "007", "purchase", None),
    ]  # fmt: skip
    assert [(r["quantity"], r["unit_price"], r["currency"], r["device"]) for r in rows] == [
        (Decimal(2), Decimal("1249.5"), "EUR", "mobile"), (Decimal(1), Decimal("12345.6"), "EUR", "Tablet"),
    ]  # fmt: skip


def test_a_type_that_a_map_does_not_list_stays_or_becomes_the_default(settings: Settings) -> None:
    types = ("look", "purchase", "gaze", "")
    lines = ["at,who,what", *(f"76730000{second},a,{name}" for second, name in enumerate(types))]
    text = '[event_ts]\npath = "at"\nformat = "seconds"\n[columns]\nvisitor_id = "who"\n'
    text += 'event_type = {path = "what", map = {look = "view"}%s}\n'
    rows, bad = stage(mapped(Settings(home=settings.home / "1"), text % ""), "mapping", *lines)
    assert [r["event_type"] for r in rows] == ["view", "purchase"]
    assert bad == [(4, "unknown_event_type"), (5, "unknown_event_type")]
    rows, bad = stage(mapped(Settings(home=settings.home / "2"), text % ', default = "other"'), "mapping", *lines)
    assert [r["event_type"] for r in rows] == ["view", "other", "other", "other"]
    assert bad == []


def test_columns_named_as_our_own_and_columns_with_dots_or_spaces(settings: Settings) -> None:
    text = (
        '[event_ts]\npath = "Order Date (UTC)"\n[columns]\nvisitor_id = \'"user.id"\'\ntraffic_source = "source"\n'
        'campaign = "batch_id"\nbrand = "source_line"\nevent_type = {value = "view"}\n'
    )
    header, row = "source,Order Date (UTC),batch_id,user.id,source_line", "ads,2026-01-05 10:00:00,b,7,x"
    rows, bad = stage(mapped(settings, text), "mapping", header, row)
    assert bad == []
    assert [(r["source"], r["traffic_source"], r["campaign"], r["brand"]) for r in rows] == [
        ("default", "ads", "b", "x")
    ]
    assert (rows[0]["visitor_id"], rows[0]["source_line"]) == ("7", 2)


def test_a_file_without_the_needed_column_is_refused_by_name_and_an_optional_one_is_reported(shop: Settings) -> None:
    path = shop.home / "drop.csv"
    path.write_text("at;login;sku;n;qty\n2026-01-05T10:00:00Z;u1;p1;1;1\n")
    with pytest.raises(
        InputError, match=r"drop.csv' is not of the format mapping: there is no column 'what'; it has: at"
    ):
        Ingestor(shop).ingest(path)
    path.write_text("at;what;sku\n2026-01-05T10:00:00Z;look;p1\n")
    with pytest.raises(
        InputError, match=r"drop.csv': there is none of the columns 'login', 'cookie'; it has: at, what"
    ):
        Ingestor(shop).ingest(path)
    path.write_text("at;what;sku;cookie;extra\n2026-01-05T10:00:00Z;look;p1;c1;x\n")
    (batch,) = Ingestor(shop).ingest(path).batches
    assert batch.source_format == "mapping"
    assert batch.new_columns == ("extra",)
    assert sorted(batch.missing_columns) == ["device", "login", "n", "price", "qty"]
    Stager(shop).stage()
    (row,) = staged(shop)
    assert (row["visitor_id"], row["quantity"], row["unit_price"]) == ("c1", Decimal(1), None)


def test_a_file_of_another_kind_is_refused_by_name(settings: Settings) -> None:
    path = settings.home / "drop.jsonl"
    chosen = mapped(settings, SHOP + '[file]\nkind = "parquet"\n')
    path.write_text('{"at": 1}\n')
    with pytest.raises(InputError, match=r"drop.jsonl': the mapping is for files of the kind parquet"):
        Ingestor(chosen).ingest(path)


def test_each_batch_is_read_by_the_mapping_of_its_own_day(settings: Settings) -> None:
    """One stage, two mappings; neither file is needed any more."""
    one = '[event_ts]\npath = "t"\n[columns]\nvisitor_id = "v"\nevent_type = {value = "view"}\nbrand = "x"\n'
    first, second = mapped(settings, one), mapped(settings, one.replace("brand", "category"))
    for number, chosen in enumerate((first, second), 1):
        path = settings.home / f"{number}.csv"
        path.write_text(f"t,v,x\n2026-01-0{number}T10:00:00Z,a,x{number}\n")
        Ingestor(chosen).ingest(path)
    for chosen in (first, second):
        assert chosen.mapping
        chosen.mapping.write_text("nothing of it is left")
    Stager(settings).stage()
    rows = sorted(staged(settings), key=lambda row: row["event_ts"])
    assert [(r.get("brand"), r.get("category")) for r in rows] == [("x1", None), (None, "x2")]
    assert {batch.source_format for batch in batches(open_storage(settings.lake, settings))} == {"mapping"}


def test_another_format_is_staged_after_a_mapping(settings: Settings) -> None:
    """What was staged with a mapping is judged again together with rows of a format that fills other columns."""
    text = '[event_ts]\npath = "t"\n[columns]\nvisitor_id = "v"\nevent_type = {value = "view"}\nbrand = "x"\n'
    chosen = mapped(settings, text)
    path = settings.home / "a.csv"
    path.write_text("t,v,x\n2026-01-01T10:00:00Z,a,x1\n")
    Ingestor(chosen).ingest(path)
    Stager(settings).stage()
    rows = ["2026-01-01T10:00:00Z,view,a,x1", "2026-01-01T09:59:00Z,view,a,"]
    path.write_text("\n".join(["event_ts,event_type,visitor_id,brand", *rows, ""]))
    Ingestor(settings).ingest(path)
    report = Stager(settings).stage()
    assert (report.staged, report.duplicates) == (2, 1)
    assert {row["session_start"] for row in staged(settings)} == {datetime(2026, 1, 1, 9, 59, tzinfo=UTC)}


def test_a_file_without_a_header(settings: Settings) -> None:
    text = (
        '[file]\nheader = false\ndelimiter = "|"\ncolumns = ["t", "v", "what"]\n'
        '[event_ts]\npath = "t"\nformat = "micros"\n[columns]\nvisitor_id = "v"\nevent_type = "what"\n'
    )
    lines = ["1767607200000001|a,b|view", "1767607200000002|a,b|search"]
    rows, bad = stage(mapped(settings, text), "mapping", *lines)
    assert bad == []
    assert [(r["source_line"], r["visitor_id"], r["event_type"]) for r in rows] == [
        (1, "a,b", "view"), (2, "a,b", "search"),
    ]  # fmt: skip
    assert rows[0]["event_ts"] == datetime(2026, 1, 5, 10, 0, 0, 1, UTC)


def test_a_parquet_file_of_nested_columns(settings: Settings) -> None:
    at = datetime(2026, 1, 5, 10, tzinfo=UTC)
    table = pa.table(
        {
            "at": pa.array([at, at + timedelta(microseconds=1), None], pa.timestamp("us", tz="UTC")),
            "user": pa.array([{"id": 2**63 - 1}, {"id": 7}, {"id": 8}], pa.struct([("id", pa.int64())])),
            "price": pa.array([Decimal("19.99"), None, Decimal("0.10")], pa.decimal128(10, 2)),
            "tags": pa.array(
                [[{"k": "brand", "v": "acme"}], [], None], pa.list_(pa.struct([("k", pa.string()), ("v", pa.string())]))
            ),
        }
    )
    path = settings.home / "drop.parquet"
    chosen = mapped(
        settings,
        '[event_ts]\npath = "at"\n[columns]\nvisitor_id = "user.id"\nunit_price = "price"\nbrand = "tags[k=brand].v"\n'
        'event_type = {value = "view"}\n',
    )
    pq.write_table(table, path)
    Ingestor(chosen).ingest(path)
    Stager(settings).stage()
    rows = staged(settings)
    assert [(r["event_ts"], r["visitor_id"], r["unit_price"], r["brand"]) for r in rows] == [
        (at, str(2**63 - 1), Decimal("19.99"), "acme"), (at + timedelta(microseconds=1), "7", None, None),
    ]  # fmt: skip
    assert [(row["source_line"], row["rule"]) for row in rejected(settings)[1]] == [(3, "bad_timestamp")]


def test_a_semicolon_file_with_local_times_agrees_with_plain_python(settings: Settings) -> None:
    zone = ZoneInfo("Europe/Berlin")
    actions = {"Ansicht": "view", "Kauf": "purchase", "Rückgabe": "refund", "Anruf": "other", "": "other"}
    lines, expected, gone = ["Datum;Uhrzeit;Kunde;Aktion;Artikel;Warengruppe;Menge;Einzelpreis;Bestellnummer"], [], []
    clocks = [datetime(2025, m, d) + timedelta(minutes=n) for m, d in ((3, 30), (10, 26)) for n in range(0, 360, 7)]
    for line, local in enumerate(clocks, 2):
        action = list(actions)[line % 5]
        cents = line * 123_457
        price = f"{cents // 100:,}".replace(",", ".") + f",{cents % 100:02}"
        lines.append(f"{local:%d.%m.%Y;%H:%M:%S};Müller {line};{action};A{line};Schuhe;{line % 3 + 1};{price};B-{line}")
        at = local.replace(tzinfo=zone).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=None) == local:
            expected.append((line, at, f"Müller {line}", actions[action], Decimal(cents) / 100))
        else:
            gone.append(line)
    path = settings.home / "export.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    chosen = Settings(home=settings.home, mapping=EXAMPLES / "semicolon.toml", timezone="Europe/Berlin")
    Ingestor(chosen).ingest(path)
    Stager(chosen).stage()
    told = [
        (r["source_line"], r["event_ts"], r["visitor_id"], r["event_type"], r["unit_price"]) for r in staged(chosen)
    ]
    assert told == expected
    assert len(gone) == 8  # clocks never showed 02:00 to 03:00
    assert [(row["source_line"], row["rule"]) for row in rejected(chosen)[1]] == [
        (line, "bad_timestamp") for line in gone
    ]


def test_lists_of_events_keep_equal_ones_apart_and_know_what_was_sent_again(settings: Settings) -> None:
    view = {"aid": 1, "ts": 1659304800025, "type": "clicks"}
    record = {"session": 5, "events": [view, view, {**view, "type": "hovers"}]}
    chosen = Settings(home=settings.home, mapping=EXAMPLES / "otto.toml")
    longer = {**record, "events": [*record["events"], {**view, "ts": 1659304800026}]}
    empty = {"session": 6, "events": []}
    rows, bad = stage(chosen, "mapping", *map(json.dumps, (record, longer, empty)), name="sessions.jsonl")
    assert [(r["source_line"], r["source_item"]) for r in rows] == [(1, 1), (1, 2), (2, 4)]
    assert bad == [(1, "unknown_event_type"), (2, "unknown_event_type"), (3, "bad_timestamp")]
    report = Stager(chosen).stage()
    assert (report.records, report.staged, report.duplicates, report.rejected) == (8, 3, 2, 3)


def test_the_otto_sessions_the_whole_way(settings: Settings, shared_data: Path) -> None:
    source = shared_data / "otto_recsys" / "test" / "resources" / "train.jsonl"
    chosen = Settings(home=settings.home, mapping=EXAMPLES / "otto.toml")
    report = Pipeline(chosen).run(source, export=False)
    assert (report.stage.records, report.stage.staged, report.stage.rejected) == (862, 862, 0)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [
        (str(record["session"]), str(event["aid"]), epoch + timedelta(milliseconds=event["ts"]),
         {"clicks": "view", "carts": "add_to_cart", "orders": "purchase"}[event["type"]])
        for record in map(json.loads, source.read_text().splitlines()) for event in record["events"]
    ]  # fmt: skip
    rows = [(r["visitor_id"], r["product_id"], r["event_ts"], r["event_type"]) for r in staged(chosen)]
    assert Counter(rows) == Counter(expected)
    query = "SELECT sum(views)::INT AS v, sum(add_to_carts)::INT AS a, sum(purchases)::INT AS p FROM sessions"
    assert Warehouse(chosen).sql(query).to_pylist() == [{"v": 800, "a": 52, "p": 10}]


ECOM = """
[event_ts]
path = "timestamp"
[columns]
visitor_id = "user_id"
source_session_id = "session_id"
traffic_source = "acquisition_channel"
device = "platform"
category = "event"
event_type = {path = "event", default = "other", map = {%s}}
"""
ECOM_TYPES = {"product_view": "view", "add_to_cart": "add_to_cart", "purchase": "purchase", "search": "search"}


def test_the_sessions_of_ecom_are_those_it_names(settings: Settings, shared_data: Path) -> None:
    """31,106 events, 30 of them exact copies; 3,605 sessions at a pause of 30 minutes."""
    source = shared_data / "ecom_retentioneering" / "ecom.csv.gz"
    if not source.is_file():
        pytest.skip(f"the shared data are not here: {source}")
    chosen = mapped(settings, ECOM % ", ".join(f'{key} = "{value}"' for key, value in ECOM_TYPES.items()))
    report = Pipeline(chosen).run(source, export=False)
    assert (report.stage.records, report.stage.duplicates, report.stage.rejected) == (31_106, 30, 0)
    with gzip.open(source, "rt", newline="") as file:
        named = {row["session_id"] for row in csv.DictReader(file)}
    assert len(named) == report.build.rows["sessions"] == 3_605
    in_ours = Counter((r["visitor_id"], r["session_start"]) for r in staged(chosen))
    pairs = {((r["visitor_id"], r["session_start"]), r["source_session_id"]) for r in staged(chosen)}
    assert len(pairs) == len(in_ours) == len(named)


def test_orders_of_a_plain_csv(settings: Settings, shared_data: Path) -> None:
    """A list of (date, customer): each line a purchase, equal lines told apart by nothing."""
    source = shared_data / "cdnow_lifetimes" / "example_transactions.csv"
    text = '[event_ts]\npath = "date"\n[columns]\nvisitor_id = "id"\nevent_type = {value = "purchase"}\n'
    chosen = mapped(settings, text)
    Ingestor(chosen).ingest(source)
    report = Stager(chosen).stage()
    with source.open(newline="") as file:
        orders = [(row["date"], row["id"]) for row in csv.DictReader(file)]
    assert report.records == len(orders)
    assert (report.staged, report.duplicates) == (len(set(orders)), len(orders) - len(set(orders)))
    rows = {(r["event_ts"].strftime("%Y-%m-%d %H:%M:%S"), r["visitor_id"]) for r in staged(chosen)}
    assert rows == set(orders)
