"""Staging equals its oracle, whatever is staged in whatever order: a state machine over a growing lake."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from staging.oracle import Event, stage

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.state import load

MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)  # near the hour that Europe skips
KINDS = {"view": "view", "add_to_cart": "addtocart", "purchase": "transaction"}

EDGES = [
    timedelta(days=day, minutes=minute, milliseconds=ms)
    for day in (-1, 0, 1)
    for minute in (-60, -30, -15, 0, 15, 30)
    for ms in (0, 0, 1)
]
"""Times where rules change: around midnights, at the timeout and one millisecond later, a day apart."""

moments = st.sampled_from(EDGES)


@st.composite
def retailrocket_rows(draw: st.DrawFn) -> list[Event]:
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        order = draw(st.sampled_from(["1", "2"])) if kind == "purchase" else None
        at = MIDNIGHT + draw(moments)
        rows.append(
            Event("rocket", at, kind, draw(st.sampled_from("aaab")), draw(st.sampled_from("ppq")), order, None, "", 0)
        )
    return rows


@st.composite
def canonical_rows(draw: st.DrawFn) -> list[Event]:
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        event_id = draw(st.sampled_from([None, "x", "y"]))
        at = MIDNIGHT + draw(moments)
        rows.append(
            Event(
                "shop", at, "view", draw(st.sampled_from("aaab")), draw(st.sampled_from("ppq")), None, event_id, "", 0
            )
        )
    return rows


def as_file(rows: list[Event], source: str) -> bytes:
    if source == "rocket":
        lines = ["timestamp,visitorid,event,itemid,transactionid"]
        lines += [
            f"{round(e.ts.timestamp() * 1000)},{e.visitor_id},{KINDS[e.event_type]},{e.product_id},"
            f"{e.transaction_id or ''}"
            for e in rows
        ]
    else:
        lines = ["event_ts,event_type,visitor_id,product_id,source_event_id"]
        lines += [f"{e.ts.isoformat()},{e.event_type},{e.visitor_id},{e.product_id},{e.event_id or ''}" for e in rows]
    return ("\n".join(lines) + "\n").encode()


class Staging(RuleBasedStateMachine):
    """Ingest files of two sources in any order, stage now and then; after each stage all tables equal the oracle's."""

    @initialize(zone=st.sampled_from(["UTC", "Europe/Berlin"]), timeout=st.sampled_from([30.0, 1500.0]))
    def start(self, zone: str, timeout: float) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.settings = Settings(
            home=self.folder.name, timezone=zone, session_timeout_minutes=timeout, threads=1, memory_limit="500MB"
        )
        self.known: dict[tuple[str, str], list[Event]] = {}
        self.staged_batches = 0
        self.checked = True

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def ingest(self, rows: list[Event], source: str, source_format: str) -> None:
        path = Path(self.folder.name) / "events.csv"
        path.write_bytes(as_file(rows, source))
        (batch,) = Ingestor(self.settings).ingest(path, source=source, source_format=source_format).batches
        self.known[source, batch.batch_id] = [
            replace(event, batch_id=batch.batch_id, line=line) for line, event in enumerate(rows, 2)
        ]

    @rule(rows=retailrocket_rows())
    def ingest_retailrocket(self, rows: list[Event]) -> None:
        self.ingest(rows, "rocket", "retailrocket")

    @rule(rows=canonical_rows())
    def ingest_canonical(self, rows: list[Event]) -> None:
        self.ingest(rows, "shop", "canonical")

    @rule()
    def stage(self) -> None:
        report = Stager(self.settings).stage()
        assert report.new_batches == len(self.known) - self.staged_batches
        self.staged_batches = len(self.known)
        self.check()

    def check(self) -> None:
        everything = [event for rows in self.known.values() for event in rows]
        wanted = stage(
            everything,
            timeout=timedelta(minutes=self.settings.session_timeout_minutes),
            zone=ZoneInfo(self.settings.timezone),
        )
        events, duplicates = staged_rows(self.settings)
        assert events == {(e.origin, e.ts, day, start) for e, day, start in wanted.events}
        assert duplicates == {(e.origin, kept) for e, kept in wanted.duplicates}


def staged_rows(settings: Settings) -> tuple[set[object], set[object]]:
    """What the staged tables say, each row once (a row that is there twice fails)."""
    state = load(open_place(settings))

    def read(name: str, query: str) -> set[object]:
        by_day = state.events if name == "events" else state.duplicates
        paths = state.place.paths([f"{name}/{f.path}" for files in by_day.values() for f in files])
        if not paths:
            return set()
        with duckdb.connect(config={"threads": 1}) as con:
            con.execute("SET TimeZone = 'UTC'")
            rows = con.execute(
                f"SELECT {query} FROM read_parquet($1, union_by_name = true, hive_partitioning = true, "
                "hive_types = {'event_date': DATE})",
                [paths],
            ).fetchall()
        assert len(rows) == len(set(rows)), f"{name} holds a row twice"
        return set(rows)

    events = {
        ((batch, line), datetime.fromtimestamp(0, UTC) + timedelta(microseconds=ts), day,
         datetime.fromtimestamp(0, UTC) + timedelta(microseconds=start))
        for batch, line, ts, day, start in read(
            "events", "batch_id, source_line, epoch_us(event_ts), event_date, epoch_us(session_start)"
        )
    }  # fmt: skip
    duplicates = {
        ((batch, line), (kept, kept_line))
        for batch, line, kept, kept_line in read("duplicates", "batch_id, source_line, kept_batch_id, kept_line")
    }
    return events, duplicates


Staging.TestCase.settings = settings(
    max_examples=10, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStaging = Staging.TestCase


@pytest.mark.parametrize("seed", range(25))
def test_any_split_and_order_gives_the_oracles_tables(seed: int, tmp_path: Path) -> None:
    """The same as the state machine, denser: one busy visitor, times at the edges of every rule."""
    random = Random(seed)
    lake = Staging()
    try:
        lake.start(random.choice(["UTC", "Europe/Berlin"]), random.choice([30.0, 30.0, 1500.0]))
        for _ in range(random.randint(2, 5)):
            for _ in range(random.randint(1, 2)):
                if random.random() < 0.5:
                    rows = [_retailrocket(random) for _ in range(random.randint(1, 6))]
                    lake.ingest(rows, "rocket", "retailrocket")
                else:
                    rows = [_canonical(random) for _ in range(random.randint(1, 6))]
                    lake.ingest(rows, "shop", "canonical")
            lake.stage()
    finally:
        lake.teardown()


def _retailrocket(random: Random) -> Event:
    kind = random.choice(["view", "view", "purchase"])
    order = random.choice("12") if kind == "purchase" else None
    at = MIDNIGHT + random.choice(EDGES)
    return Event("rocket", at, kind, random.choice("aaab"), random.choice("ppq"), order, None, "", 0)


def _canonical(random: Random) -> Event:
    at = MIDNIGHT + random.choice(EDGES)
    return Event("shop", at, "view", random.choice("aaab"), "p", None, random.choice([None, "x", "x", "y"]), "", 0)
