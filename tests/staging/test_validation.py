"""Pandera's schemas: each rule has a row that breaks it, and what all of them cost is two queries over the new data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import pandera.config
import pandera.errors
import pytest
from staged_rows import ingest

from ecom_analytics import Settings, Stager
from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.errors import SchemaError
from ecom_analytics.events import COLUMNS
from ecom_analytics.source_formats.canonical import Canonical
from ecom_analytics.staging import attempt, event_schema, raw_schema, snapshot, validation
from ecom_analytics.staging.validation import validate, validate_columns, validate_raw

KINDS = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "DECIMAL(18, 4)",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
}
EVENT: dict[str, Any] = {
    **{column.name: None for column in COLUMNS},
    "event_ts": "2026-01-05 10:00:00+00",
    "event_date": "2026-01-05",
    "event_type": "view",
    "visitor_id": "v",
    "session_start": "2026-01-05 10:00:00+00",
    "source": "s",
    "batch_id": "b",
    "source_line": 2,
}
AMOUNTS = [column.name for column in COLUMNS if column.type == "decimal"]
BROKEN_EVENTS = [
    *((column.name, None, f"{column.name}.not_null") for column in COLUMNS if column.required),
    ("event_type", "viewed", "event_type.is_known"),
    ("event_ts", "1989-12-31 23:59:59.999999+00", "event_ts.is_plausible"),
    ("event_ts", "2100-01-01 00:00:00+00", "event_ts.is_plausible"),
    ("session_start", "2026-01-05 10:00:00.000001+00", "session_starts_before_its_events"),
    ("event_date", "2026-01-06", "event_date_is_its_day"),
    ("source_line", 0, "source_line.is_from_1"),
    ("source_item", 0, "source_item.is_from_1"),
    *((name, Decimal("-0.0001"), f"{name}.is_not_negative") for name in AMOUNTS),
]
RECORD = {"price": "1,5", "batch_id": "b", "source": "s", "source_line": 1, "source_item": None}
BROKEN_RECORDS = [
    *((name, None, f"{name}.not_null") for name in ("batch_id", "source", "source_line")),
    ("source_line", 0, "source_line.is_from_1"),
    ("source_item", 0, "source_item.is_from_1"),
]


def relation(rows: Sequence[dict[str, Any]], kinds: dict[str, str]) -> Any:
    connection = ibis.duckdb.connect(threads=1)
    connection.raw_sql("SET TimeZone = 'Asia/Tokyo'")  # no check may depend on it
    connection.raw_sql(f"CREATE TABLE t ({', '.join(f'{name} {kinds[name]}' for name in rows[0])})")
    for row in rows:
        connection.con.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(row))})", [*row.values()])
    return connection.table("t")


def events(*changes: dict[str, Any]) -> Any:
    return relation([{**EVENT, **changed} for changed in changes], {c.name: KINDS[c.type] for c in COLUMNS})


def records(*changes: dict[str, Any]) -> Any:
    kinds = {name: "BIGINT" if name.startswith("source_") else "VARCHAR" for name in RECORD}
    return relation([{**RECORD, **changed} for changed in changes], kinds)


def told_by_pandera(schema: Any, table: Any) -> set[str]:
    """What breaks when the schema is used as any of Pandera's is, named as we name it."""
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        schema.validate(table, lazy=True)
    told = set()
    for error in caught.value.schema_errors:
        check = error.check if isinstance(error.check, str) else error.check.name
        check = {"not_nullable": "not_null"}.get(check, check)
        told.add(check if error.schema.name == schema.name else f"{error.schema.name}.{check}")
    return told


def test_a_good_event_keeps_the_schema() -> None:
    full = {name: Decimal(0) for name in AMOUNTS} | {"source_item": 1, "brand": "b", "event_type": "purchase"}
    table = events({}, {**full, "source_line": 3}, {**full, "source_line": 3, "source_item": 2}, {"batch_id": "c"})
    validate(table)
    event_schema(table.columns).validate(table, lazy=True)


def test_a_good_record_keeps_the_schema() -> None:
    table = records({}, {"price": None, "source_item": 1})
    validate_columns(table, "own")
    validate_raw(table)
    raw_schema(table.columns).validate(table, lazy=True)


@pytest.mark.parametrize(("name", "value", "check"), BROKEN_EVENTS, ids=lambda value: str(value))
def test_each_rule_of_events_is_named_by_us_and_by_pandera(name: str, value: Any, check: str) -> None:
    table = events({"source_line": 7}, {name: value})
    with pytest.raises(SchemaError) as caught:
        validate(table, names=lambda: {("s", "b"): "shop.csv"})
    also = {"event_date_is_its_day", "session_starts_before_its_events"} if check == "event_ts.is_plausible" else set()
    assert caught.value.facts["broken"].keys() - also == {check}
    assert caught.value.facts["broken"][check] == 1
    place = {"source": "b:2", "batch_id": "no file:2", "source_line": "shop.csv:None"}
    line = place.get(name, "shop.csv:2") if value is None else f"shop.csv:{value if name == 'source_line' else 2}"
    assert f"{check} (1 row: {line})" in caught.value.message
    assert told_by_pandera(event_schema(table.columns), table) - also == {check}


@pytest.mark.parametrize(("name", "value", "check"), BROKEN_RECORDS, ids=lambda value: str(value))
def test_each_rule_of_raw_records_is_named_by_us_and_by_pandera(name: str, value: Any, check: str) -> None:
    table = records({}, {name: value})
    with pytest.raises(SchemaError, match=check) as caught:
        validate_raw(table)
    assert caught.value.facts["broken"] == {check: 1}
    assert told_by_pandera(raw_schema(table.columns), table) == {check}


def test_several_broken_checks_are_all_told_with_their_rows() -> None:
    table = events(*({"source_line": 10 + n, "quantity": -1} for n in range(5)), {"event_type": "x"})
    with pytest.raises(SchemaError) as caught:
        validate(table, names=lambda: {("s", "b"): "shop.csv"})
    assert caught.value.message == (
        "staged events do not keep the schema: event_type.is_known (1 row: shop.csv:2); "
        "quantity.is_not_negative (5 rows: shop.csv:10, shop.csv:11, shop.csv:12)"
    )


@pytest.mark.parametrize(
    "twice",
    [{}, {"source_item": 3}, {"source_line": 31}, {"source_line": 32}, {"source_line": 63}, {"source_line": 1 << 40}],
    ids=str,
)
def test_no_record_is_there_twice(twice: dict[str, Any]) -> None:
    others = [{"source_line": line} for line in (1, 30, 33, 64, 65)] + [{"batch_id": "c"}, {"source": "t"}]
    table = events(twice, *others, {**twice, "brand": "other"}, {**twice, "source_item": 4})
    name = "source_batch_id_source_line_source_item.unique"
    with pytest.raises(SchemaError) as caught:
        validate(table)
    assert caught.value.facts["broken"] == {name: 1}
    assert caught.value.facts["samples"][name][0]["source_line"] == twice.get("source_line", 2)
    assert told_by_pandera(event_schema(table.columns), table) == {"multiple_fields_uniqueness"}
    validate(events(twice, *others, {**twice, "source_item": 4}))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.mutate(source_line=table.source_line.cast("string")), "source_line"),
        (lambda table: table.mutate(unit_price=table.unit_price.cast("float64")), "unit_price"),
        (lambda table: table.mutate(event_ts=table.event_ts.cast("timestamp")), "event_ts"),
        (lambda table: table.mutate(event_date=table.event_date.cast("string")), "event_date"),
        (lambda table: table.drop("visitor_id"), "column 'visitor_id' not found"),
        (lambda table: table.mutate(price=ibis.literal(1)), "column 'price' not in"),
    ],
)
def test_names_and_types_are_those_of_an_event(change: Callable[[Any], Any], named: str) -> None:
    table = change(events({}))
    with pytest.raises(SchemaError, match=named):
        validate(table)
    with pytest.raises(pandera.errors.SchemaErrors, match=named.split("'")[1] if "'" in named else named):
        event_schema(table.columns).validate(table, lazy=True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.drop("source_line"), "column 'source_line' not found"),
        (lambda table: table.drop("batch_id"), "column 'batch_id' not found"),
        (lambda table: table.mutate(source_line=table.source_line.cast("int32")), "source_line"),
        (lambda table: table.mutate(source_item=table.source_item.cast("float64")), "source_item"),
        (lambda table: table.mutate(price=ibis.literal(1.5)), "price"),
    ],
)
def test_names_and_types_are_those_of_raw_records(change: Callable[[Any], Any], named: str) -> None:
    with pytest.raises(SchemaError, match=f"(?s)source format own .*{named}"):
        validate_columns(change(records({})), "own")


def test_a_column_of_the_file_may_be_called_source_item() -> None:
    """It is text then; what the reader counts is a number."""
    table = records({})
    validate_columns(table.mutate(source_item=table.source_item.cast("string")), "canonical")


def test_pandera_cannot_be_switched_off_from_outside() -> None:
    table = events({"quantity": -1}).mutate(price=ibis.literal(1))
    with pandera.config.config_context(validation_enabled=False, validation_depth="DATA_ONLY"):
        with pytest.raises(SchemaError, match="price"):
            validate(table)
        with pytest.raises(SchemaError, match="quantity"):
            validate(table.drop("price"))


# clocks that jump at night, at midnight, at a minute past it, by two hours, and over a whole day
ZONES = {
    "UTC": "2026-03-29",
    "Europe/Berlin": "2026-03-29",
    "America/Sao_Paulo": "2018-11-04",
    "America/St_Johns": "2006-10-29",
    "America/Havana": "2026-11-01",
    "Antarctica/Troll": "2026-03-29",
    "Asia/Kathmandu": "2026-01-01",
    "Pacific/Apia": "2011-12-31",
    "Pacific/Kiritimati": "2026-01-01",
}


@pytest.mark.parametrize("zone", ZONES)
def test_the_day_is_that_of_the_store_whatever_clocks_do(zone: str) -> None:
    middle = datetime.fromisoformat(ZONES[zone]).replace(tzinfo=UTC)
    moments = [
        middle + timedelta(minutes=minute, microseconds=us) for minute in range(-2880, 2880, 7) for us in (0, -1)
    ]
    moments += [middle + timedelta(seconds=30, minutes=minute) for minute in range(90, 300)]  # 00:01 in St. John's
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in moments]

    def table(day_of: Callable[[date], date]) -> Any:
        connection = ibis.duckdb.connect(threads=1)
        rows = {"event_ts": moments, "event_date": [day_of(day) for day in days]}
        made = connection.create_table("t", ibis.memtable(rows, schema={"event_ts": "timestamp('UTC', 6)",
                                                                        "event_date": "date"}))  # fmt: skip
        checks = event_schema(made.columns, zone).checks
        [check] = [check for check in checks if check.name == "event_date_is_its_day"]
        return made.count(where=check(made).check_output).execute()

    assert table(lambda day: day) == len(moments)
    assert table(lambda day: day - timedelta(days=1)) == 0
    assert table(lambda day: day + timedelta(days=1)) == 0


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that DuckDB itself says it ran while something was validated."""
    statements: list[str] = []
    for name in ("validate_columns", "validate_raw", "validate"):
        original = getattr(validation, name)

        def noted(table: Any, *more: Any, original: Any = original, **options: Any) -> None:
            connection = table.get_backend().con
            connection.execute("CALL enable_logging('QueryLog', storage = 'memory')")
            try:
                original(table, *more, **options)
            finally:
                connection.execute("CALL disable_logging()")
                ran = connection.execute("SELECT message FROM duckdb_logs WHERE type = 'QueryLog'").fetchall()
                statements.extend(sql for (sql,) in ran if "_logging(" not in sql)
                connection.execute("CALL truncate_duckdb_logs()")

        monkeypatch.setattr(validation, name, noted)
    return statements


def test_a_stage_is_validated_in_two_queries(settings: Settings, tmp_path: Path, logged: list[str]) -> None:
    ingest(settings, tmp_path, "a.csv", ["2026-01-05T10:00:00Z,view,v,p,", "2026-01-06T10:00:00Z,view,v,p,x", "bad"])
    ingest(settings, tmp_path, "b.csv", ["2026-01-05T10:20:00Z,view,v,p,x"], source="other")
    Stager(settings).stage()
    assert len(logged) == 2, logged
    assert ["FROM parsed" in logged[0], "FROM written" in logged[1]] == [True, True]


def test_a_broken_stage_is_told_of_in_three(
    settings: Settings, tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, lambda table: table.mutate(quantity=ibis.literal(-1).cast("decimal(18, 4)")))
    ingest(settings, tmp_path, "a.csv", ["2026-01-05T10:00:00Z,view,v,p,", "2026-01-06T10:00:00Z,view,v,p,"])
    with pytest.raises(SchemaError, match=r"quantity.is_not_negative \(2 rows: a.csv:2, a.csv:3\)"):
        Stager(settings).stage()
    assert len(logged) == 3, logged
    assert snapshot(settings).version == 0
    assert not [path for path in Path(settings.lake, "staged").rglob("*.parquet") if "_delta_log" not in path.parts]


def test_only_what_this_stage_wrote_is_looked_at(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[int, int]] = []
    original = attempt.Attempt._validate

    def noted(self: Any, engine: DuckDBEngine, judged: Any) -> None:
        original(self, engine, judged)
        written = "SELECT count(*), count(DISTINCT event_date) FROM written"
        counted.extend(engine.rows(written))

    monkeypatch.setattr(attempt.Attempt, "_validate", noted)
    rows = [f"2026-01-{day:02d}T10:00:00Z,view,v,p," for day in range(1, 21)]
    ingest(settings, tmp_path, "a.csv", rows)
    Stager(settings).stage()
    ingest(settings, tmp_path, "b.csv", ["2026-01-05T22:00:00Z,view,v,p,"])
    Stager(settings).stage()
    assert counted == [(20, 20), (2, 1)]


def spoil(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], method: str = "to_events") -> None:
    """Make a format give something else."""
    original = getattr(Canonical, method)
    monkeypatch.setattr(Canonical, method, lambda self, *arguments: change(original(self, *arguments)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.mutate(source_line=table.source_line - 2), r"source_line.is_from_1 \(1 row: a.csv:0\)"),
        (lambda table: table.drop("source_line"), "column 'source_line' not found"),
        (lambda table: table.mutate(brand=ibis.literal(1)), "brand"),
        (lambda table: table.mutate(batch_id=ibis.null(str)), r"batch_id.not_null \(2 rows: no file:2, no file:3\)"),
    ],
)
def test_a_format_that_reads_what_is_no_raw_record_is_told_of(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], named: str
) -> None:
    spoil(monkeypatch, change, "read")
    ingest(settings, tmp_path, "a.csv", ["2026-01-05T10:00:00Z,view,v,p,", "nonsense,view,v,p,"])
    with pytest.raises(SchemaError, match=named):
        Stager(settings).stage()
    assert snapshot(settings).version == 0


def test_validation_runs_whatever_the_environment_says(tmp_path: Path) -> None:
    """In a process of its own, for Pandera reads its variables once."""
    import subprocess
    import sys

    code = (
        "import ibis\n"
        "from ecom_analytics.staging.validation import validate\n"
        "validate(ibis.duckdb.connect().sql('SELECT 1 AS price'))\n"
    )
    off = {"PANDERA_VALIDATION_ENABLED": "False", "PANDERA_VALIDATION_DEPTH": "DATA_ONLY"}
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **off}, capture_output=True, check=False)
    assert b"SchemaError" in done.stderr
