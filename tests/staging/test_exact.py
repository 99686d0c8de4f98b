"""Staging equals its oracle, whatever is staged in whatever order: a state machine over a growing lake."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from staging.oracle import Event, stage

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.staging import snapshot
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.state import State, load

pytestmark = pytest.mark.long

EXAMPLES = max(120, settings.default.max_examples)  # 5,000 with --hypothesis-profile=nightly

KINDS = {"view": "view", "add_to_cart": "addtocart", "purchase": "transaction"}

NIGHTS = {
    "the hour that Europe skips": datetime(2026, 3, 29, tzinfo=UTC),
    "the hour that Europe has twice": datetime(2026, 10, 25, tzinfo=UTC),
    "the end of a month and a year": datetime(2026, 1, 1, tzinfo=UTC),
}

EDGES = [
    timedelta(days=day, minutes=minute, milliseconds=ms)
    for day in (-1, 0, 1)
    for minute in (-60, -30, -15, 0, 15, 30)
    for ms in (0, 0, 1)
]
"""Times where rules change: around midnights, at the timeout and one millisecond later, a day apart."""

BAD = {
    "rocket": {"no,v,view,p,": "bad_timestamp", "1774742400000,,view,p,": "missing_visitor_id",
               "cut": "too_few_fields"},
    "shop": {"no,view,v,p,": "bad_timestamp", "2026-03-29T00:00:00Z,dance,v,p,": "unknown_event_type",
             "a,b,c,d,e,f": "too_many_fields"},
}  # fmt: skip
"""Records that are rejected, and by which rule."""

Line = Event | str
"""A line of a file: an event, a record that is rejected, or nothing."""


@st.composite
def rocket_lines(draw: st.DrawFn) -> list[Line]:
    rows: list[Line] = []
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        order = draw(st.sampled_from("12")) if kind == "purchase" else None
        visitor, product = draw(st.sampled_from("aaab")), draw(st.sampled_from("ppq"))
        rows.append(Event("rocket", at(draw), kind, visitor, product, order, None, "", 0))
    return rows + draw(st.lists(st.sampled_from(["", *BAD["rocket"]]), max_size=2))


@st.composite
def shop_lines(draw: st.DrawFn) -> list[Line]:
    rows: list[Line] = []
    for _ in range(draw(st.integers(1, 8))):
        event_id = draw(st.sampled_from([None, "x", "y"]))
        visitor, product = draw(st.sampled_from("aaab")), draw(st.sampled_from("ppq"))
        rows.append(Event("shop", at(draw), "view", visitor, product, None, event_id, "", 0))
    return rows + draw(st.lists(st.sampled_from(["", *BAD["shop"]]), max_size=2))


def at(draw: st.DrawFn) -> datetime:
    """An offset from no night in particular: the machine adds its own."""
    return datetime.fromtimestamp(0, UTC) + draw(st.sampled_from(EDGES))


def as_file(lines: list[Line], source: str) -> bytes:
    text = []
    for line in lines:
        if isinstance(line, str):
            text.append(line)
        elif source == "rocket":
            millis = round(line.ts.timestamp() * 1000)
            fields = [millis, line.visitor_id, KINDS[line.event_type], line.product_id, line.transaction_id or ""]
            text.append(",".join(map(str, fields)))
        else:
            fields = [line.ts.isoformat(), line.event_type, line.visitor_id, line.product_id, line.event_id or ""]
            text.append(",".join(map(str, fields)))
    header = {
        "rocket": "timestamp,visitorid,event,itemid,transactionid",
        "shop": "event_ts,event_type,visitor_id,product_id,source_event_id",
    }
    return "\n".join([header[source], *text, ""]).encode()


FORMATS = {"rocket": "retailrocket", "shop": "canonical"}


class Lake:
    """A lake that grows, what is known of it, and the comparison of the two."""

    def __init__(self, zone: str, timeout: float, night: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.settings = self.new("home", timezone=zone, session_timeout_minutes=timeout)
        self.night = NIGHTS[night]
        self.files: dict[tuple[str, str], list[Line]] = {}
        self.staged: set[tuple[str, str]] = set()

    def new(self, name: str, **more: Any) -> Settings:
        return Settings(home=Path(self.folder.name, name), threads=1, memory_limit="500MB", **more)

    def close(self) -> None:
        self.folder.cleanup()

    def shifted(self, lines: list[Line]) -> list[Line]:
        since = self.night - datetime.fromtimestamp(0, UTC)
        return [line if isinstance(line, str) else replace(line, ts=line.ts + since) for line in lines]

    def ingest(self, lines: list[Line], source: str) -> None:
        path = Path(self.folder.name, "events.csv")
        path.write_bytes(as_file(lines, source))
        (batch,) = Ingestor(self.settings).ingest(path, source=source, source_format=FORMATS[source]).batches
        assert batch.new == ((source, batch.batch_id) not in self.files)
        self.files[source, batch.batch_id] = [
            line if isinstance(line, str) else replace(line, batch_id=batch.batch_id, line=number)
            for number, line in enumerate(lines, 2)
        ]

    def stage(self) -> None:
        report = Stager(self.settings).stage()
        new = self.files.keys() - self.staged
        assert (report.new_batches, report.replayed_batches) == (len(new), 0)
        assert report.new_records == sum(len(self.files[key]) for key in new)
        assert (report.stage_id is None) == (not new)
        self.staged = set(self.files)
        self.check(report.to_dict())

    def read_again(self, keys: set[tuple[str, str]]) -> None:
        report = Stager(self.settings)._stage_with(lambda state, stale: keys)
        assert report.replayed_batches == len(keys)
        self.staged = set(self.files)
        self.check(report.to_dict())

    def check(self, report: dict[str, Any]) -> None:
        """All tables and counts are those of the oracle."""
        lines = [line for some in self.files.values() for line in some]
        wanted = stage(
            [line for line in lines if isinstance(line, Event)],
            timeout=timedelta(minutes=self.settings.session_timeout_minutes),
            zone=self.settings.zone,
        )
        rejected = {
            (source, batch_id, number, BAD[source][line], line)
            for (source, batch_id), some in self.files.items()
            for number, line in enumerate(some, 2)
            if isinstance(line, str) and line
        }
        found = staged_rows(self.settings)
        assert found["events"] == {(e.origin, e.ts, day, start) for e, day, start in wanted.events}
        assert found["duplicates"] == {(e.origin, kept) for e, kept in wanted.duplicates}
        assert found["rejected"] == rejected
        assert found["batches"] == {
            (*key, len(some), sum(isinstance(line, str) and line != "" for line in some), some.count(""))
            for key, some in self.files.items()
        }
        counts = {
            "batches": len(self.files),
            "records": len(lines),
            "staged": len(wanted.events),
            "duplicates": len(wanted.duplicates),
            "rejected": len(rejected),
            "blank": lines.count(""),
            "erased": 0,
            "rejected_by_rule": dict(Counter(rule for *_, rule, _ in rejected)),
        }
        assert {name: report[name] for name in counts} == counts

    def check_all_at_once(self) -> None:
        """A lake of the same files, staged all at once, has the same tables: EXCEPT ALL, both ways, is empty."""
        if self.staged != set(self.files):
            self.stage()
        made = self.settings.model_dump(include={"timezone", "session_timeout_minutes"})
        other = self.new("once", **made)
        shutil.copytree(Path(self.settings.lake, "raw"), Path(other.lake, "raw"))
        Stager(other).stage()
        one, two = (load(open_place(settings)) for settings in (self.settings, other))
        with duckdb.connect(config={"threads": 1}) as connection:
            for table in ("events", "duplicates", "rejected", "batches"):
                first, second = (relation(connection, state, table) for state in (one, two))
                assert first.columns == second.columns
                for here, there in ((first, second), (second, first)):
                    assert here.except_(there).fetchall() == []
                assert len(first) == len(second)
        assert snapshot(self.settings).account == snapshot(other).account


def relation(connection: duckdb.DuckDBPyConnection, state: State, table: str) -> duckdb.DuckDBPyRelation:
    """The rows that count of a staged table, with all but what tells one stage from another."""
    if table == "batches":
        rows = connection.from_arrow(state.batches)
    else:
        files = {
            "events": [file for some in state.events.values() for file in some],
            "duplicates": [file for some in state.duplicates.values() for file in some],
            "rejected": state.rejected,
        }[table]
        paths = state.place.paths([f"{table}/{file.path}" for file in files])
        if not paths:
            return connection.sql("SELECT 1 AS nothing WHERE false")
        rows = connection.read_parquet(paths, union_by_name=True, hive_partitioning=True)
    return rows.select(", ".join(sorted(set(rows.columns) - {"stage_id", "staged_at"})))


def staged_rows(settings: Settings) -> dict[str, set[Any]]:
    """What the staged tables say, each row once (a row that is there twice fails)."""
    queries = {
        "events": "batch_id, source_line, epoch_us(event_ts), event_date::VARCHAR, epoch_us(session_start)",
        "duplicates": "batch_id, source_line, kept_batch_id, kept_line",
        "rejected": "source, batch_id, source_line, rule, raw_text",
        "batches": "source, batch_id, records, rejected, blank",
    }
    state = load(open_place(settings))
    found: dict[str, set[Any]] = {}
    with duckdb.connect(config={"threads": 1}) as connection:
        for table, query in queries.items():
            rows = relation(connection, state, table)
            read = [] if rows.columns == ["nothing"] else rows.select(query).fetchall()
            found[table] = set(read)
            assert len(read) == len(found[table]), f"{table} holds a row twice"
    found["events"] = {
        ((batch, line), instant(ts), date.fromisoformat(day), instant(start))
        for batch, line, ts, day, start in found["events"]
    }
    found["duplicates"] = {((batch, line), (kept, number)) for batch, line, kept, number in found["duplicates"]}
    return found


def instant(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)


class Staging(RuleBasedStateMachine):
    """Ingest files of two sources in any order, stage now and then, read some again; compare after each stage."""

    @initialize(
        zone=st.sampled_from(["UTC", "Europe/Berlin"]),
        timeout=st.sampled_from([30.0, 1500.0]),
        night=st.sampled_from(sorted(NIGHTS)),
    )
    def start(self, zone: str, timeout: float, night: str) -> None:
        self.lake = Lake(zone, timeout, night)

    def teardown(self) -> None:
        if hasattr(self, "lake"):
            try:
                if self.lake.files:
                    self.lake.check_all_at_once()
            finally:
                self.lake.close()

    @rule(lines=rocket_lines())
    def ingest_retailrocket(self, lines: list[Line]) -> None:
        self.lake.ingest(self.lake.shifted(lines), "rocket")

    @rule(lines=shop_lines())
    def ingest_canonical(self, lines: list[Line]) -> None:
        self.lake.ingest(self.lake.shifted(lines), "shop")

    @precondition(lambda self: self.lake.files)
    @rule(data=st.data())
    def ingest_some_lines_again(self, data: st.DataObject) -> None:
        """Lines of files that came before, in a file of their own, or the very same file."""
        key = data.draw(st.sampled_from(sorted(self.lake.files)))
        lines = self.lake.files[key]
        chosen = data.draw(st.lists(st.sampled_from(lines), min_size=1, max_size=6) | st.just(lines))
        self.lake.ingest(chosen, key[0])

    @rule()
    def stage(self) -> None:
        self.lake.stage()

    @precondition(lambda self: self.lake.staged)
    @rule(data=st.data())
    def read_again(self, data: st.DataObject) -> None:
        self.lake.read_again(data.draw(st.sets(st.sampled_from(sorted(self.lake.staged)), min_size=1)))


Staging.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=6, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStaging = Staging.TestCase


@pytest.mark.parametrize("seed", range(25))
def test_any_split_and_order_gives_the_oracles_tables(seed: int) -> None:
    """The same as the state machine, denser: one busy visitor, times at the edges of every rule."""
    chance = Random(seed)
    lake = Lake(
        chance.choice(["UTC", "Europe/Berlin"]), chance.choice([30.0, 30.0, 1500.0]), chance.choice(sorted(NIGHTS))
    )
    try:
        for _ in range(chance.randint(2, 5)):
            for _ in range(chance.randint(1, 2)):
                source = chance.choice(["rocket", "shop"])
                make = _retailrocket if source == "rocket" else _canonical
                lake.ingest([make(chance, lake.night) for _ in range(chance.randint(1, 6))], source)
            lake.stage()
        lake.check_all_at_once()
    finally:
        lake.close()


def _retailrocket(chance: Random, night: datetime) -> Event:
    kind = chance.choice(["view", "view", "purchase"])
    order = chance.choice("12") if kind == "purchase" else None
    moment = night + chance.choice(EDGES)
    return Event("rocket", moment, kind, chance.choice("aaab"), chance.choice("ppq"), order, None, "", 0)


def _canonical(chance: Random, night: datetime) -> Event:
    moment = night + chance.choice(EDGES)
    return Event("shop", moment, "view", chance.choice("aaab"), "p", None, chance.choice([None, "x", "x", "y"]), "", 0)
