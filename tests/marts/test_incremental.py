"""A build that starts from the one before it makes the same marts as one that makes everything anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import staged_events
from staged_events import START, Event, complete, event

import ecom_analytics.staging
from ecom_analytics import Eraser, Ingestor, MartBuilder, Settings, Stager, Warehouse
from ecom_analytics.catalogue import arrow_schema as catalogue_schema
from ecom_analytics.events import arrow_schema
from ecom_analytics.generate import generate
from ecom_analytics.marts import start
from ecom_analytics.reports import BuildReport

pytestmark = pytest.mark.long

FIRST = datetime(2026, 3, 27, 20, tzinfo=UTC)  # Berlin's clocks go forward on the 29th
MOMENTS = [timedelta(minutes=10 * n) for n in range(14)] + [timedelta(hours=n) for n in range(0, 24 * 5, 3)]
TYPES = ["view", "view", "add_to_cart", "remove_from_cart", "checkout", "purchase", "purchase", "refund", "search"]


def world(source: str, pick: Random, currencies: tuple[str | None, ...]) -> list[Event]:
    """All events that a source may ever have: few values of everything, so that they meet."""
    known = {name: pick.random() < 0.6 for name in ("login", "visit", "product")}
    values: dict[str, tuple[str, list[Any]]] = {
        "user_id": ("login", [None, None, "u1", "u2"]),
        "category": ("product", [None, "c1", "c2"]),
        "brand": ("product", [None, "b1", "b2"]),
        "traffic_source": ("visit", [None, "mail", "search"]),
        "medium": ("visit", [None, "cpc"]),
        "campaign": ("visit", [None, "spring"]),
        "device": ("visit", [None, "mobile", "desktop"]),
        "country": ("visit", [None, "DE"]),
    }
    return [
        event(
            source=source,
            event_ts=FIRST + pick.choice(MOMENTS),
            event_type=pick.choice(TYPES),
            visitor_id=pick.choice(["v1", "v2", "v3"]),
            product_id=pick.choice([None, "p1", "p2", "p3"]),
            source_item=pick.choice([None, None, 1]),
            transaction_id=pick.choice([None, "t1", "t2", "t3"]),
            quantity=Decimal(pick.randint(1, 3)),
            unit_price=pick.choice([Decimal("3.3333"), Decimal(10)]),
            currency=pick.choice(currencies),
            batch_id=hashlib.sha256(source.encode()).hexdigest(),
            source_line=line,
            **{name: pick.choice(options) for name, (of, options) in values.items() if known[of]},
        )
        for line in range(2, 2 + pick.randint(5, 40))
    ]


def beaten(source: str, pick: Random) -> list[Event]:
    """A visitor that is a bot for as long as all its events are there."""
    batch = hashlib.sha256(source.encode()).hexdigest()
    moment = FIRST + timedelta(minutes=pick.randint(0, 3000))
    return [
        event(source=source, event_ts=moment + timedelta(milliseconds=100 * n), visitor_id="bot", product_id="p1",
              batch_id=batch, source_line=1000 + n)
        for n in range(200)
    ]  # fmt: skip


@dataclass
class Lake:
    """Staged events of many sources, of which some come and some go."""

    folder: Path
    pick: Random
    timezone: str
    present: list[Event] = field(default_factory=list)
    away: list[Event] = field(default_factory=list)
    products: int = 0
    version: int = 0

    def change(self, share: float) -> None:
        """Let events of a share of the sources come and go."""
        chosen = {row["source"] for row in self.present + self.away if self.pick.random() < share}
        stay, go = [], []
        for row in self.present:
            (go if row["source"] in chosen and self.pick.random() < 0.2 else stay).append(row)
        for row in self.away:
            (stay if row["source"] in chosen and self.pick.random() < 0.5 else go).append(row)
        self.present, self.away = stay, go

    def snapshot(self) -> staged_events.Snapshot:
        """A file for each day; a day of which nothing changed keeps its file."""
        self.version += 1
        days: dict[date, list[Event]] = {}
        for row in complete(self.present, self.timezone):
            days.setdefault(row["event_date"], []).append(row)
        files = []
        for day, rows in sorted(days.items()):
            rows.sort(key=lambda row: (row["batch_id"], row["source_line"]))
            schema = pa.schema([f for f in arrow_schema() if f.name != "event_date"])
            table = pa.Table.from_pylist(rows, schema=schema)
            name = hashlib.sha256(repr([tuple(row.values()) for row in rows]).encode()).hexdigest()
            path = self.folder / f"event_date={day}" / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
            files.append(str(path))
        batches = sorted({row["batch_id"] for row in self.present})
        named = {"name": [f"{batch[:6]}.csv" for batch in batches], "staged_at": [START] * len(batches)}
        names = pa.table({"batch_id": batches, **named})
        return staged_events.Snapshot(self.version, files, names, staged_events.Account(), self.catalogue())

    def catalogue(self) -> dict[str, list[str]]:
        """What a catalogue says of p1 and p2: from the start, and from the middle of the second day."""
        rows = [
            {"product_id": product, "source": source, "name": f"{product} {said}", "category": "c9", "brand": None,
             "valid_from": FIRST + timedelta(days=said), "price": Decimal(said + 1), "currency": "EUR",
             "ingested_at": FIRST, "batch_id": "c" * 64, "source_line": said, "stage_id": "1"}
            for said in range(self.products)
            for product in ("p1", "p2")
            for source in ("s0", "s1", "s2")
        ]  # fmt: skip
        if not rows:
            return {}
        path = self.folder / f"products-{self.products}.parquet"
        schema = catalogue_schema("products")
        pq.write_table(pa.Table.from_pylist([{n: r.get(n) for n in schema.names} for r in rows], schema=schema), path)
        return {"products": [str(path)]}


@pytest.fixture
def lake(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lake:
    seed, timezone, currencies = request.param
    monkeypatch.setattr(start, "LARGEST_CHANGE", 1.0)
    pick = Random(seed)
    made = Lake(tmp_path / "staged" / "events", pick, timezone)
    for number in range(60):
        made.away += world(f"s{number}", pick, currencies)
        if pick.random() < 0.3:
            made.away += beaten(f"s{number}", pick)
    return made


def differences(one: Settings, other: Settings) -> dict[str, tuple[int, int]]:
    """Mart → rows that only the one has, and that only the other has."""
    with duckdb.connect() as connection:
        for name, settings in (("one", one), ("other", other)):
            connection.execute(f"ATTACH '{Warehouse(settings).current().path}' AS {name} (READ_ONLY)")
        found = {}
        for mart in Warehouse(one).public_marts():
            only_one, only_other = (
                len(connection.execute(f"FROM {a}.{mart} EXCEPT ALL FROM {b}.{mart}").fetchall())
                for a, b in (("one", "other"), ("other", "one"))
            )
            if only_one or only_other:
                found[mart] = (only_one, only_other)
        return found


def build(settings: Settings, snapshot: staged_events.Snapshot, **options: Any) -> BuildReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ecom_analytics.staging, "snapshot", lambda _: snapshot, raising=False)
        return MartBuilder(settings).build(**options)


@pytest.mark.parametrize(
    "lake",
    [(2, "Europe/Berlin", ("EUR", None)), (3, "UTC", ("EUR",) * 400 + ("USD",))],
    indirect=True,
)
def test_marts_are_those_of_a_build_that_makes_all_anew_whatever_comes_and_goes(lake: Lake, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", timezone=lake.timezone)
    anew = Settings(home=tmp_path / "anew", timezone=lake.timezone)
    lake.change(1.0)
    first = build(settings, lake.snapshot())
    assert Warehouse(settings).current().info["started_from"] is None
    last = first.build_id
    for step, share in enumerate((0.1, 0.3, 1.0, 0.05)):
        lake.change(share)
        lake.products += step in (0, 2)
        snapshot = lake.snapshot()
        report = build(settings, snapshot)
        assert Warehouse(settings).current().info["started_from"] == last
        last = report.build_id
        build(anew, snapshot, full_refresh=True)
        assert differences(settings, anew) == {}
        assert report.rows["bots"] > 0


def _removes_an_old_file(snapshot: staged_events.Snapshot, settings: Settings) -> None:
    Path(snapshot.files[0]).unlink()


def _removes_the_state(snapshot: staged_events.Snapshot, settings: Settings) -> None:
    for path in settings.warehouse.glob("*.state"):
        path.unlink()


def _damages_the_state(snapshot: staged_events.Snapshot, settings: Settings) -> None:
    for path in settings.warehouse.glob("*.state"):
        path.write_bytes(b"not a database")


@pytest.mark.parametrize("lake", [(4, "UTC", ("EUR",))], indirect=True)
@pytest.mark.parametrize("happens", [_removes_an_old_file, _removes_the_state, _damages_the_state])
def test_all_is_made_anew_where_what_was_before_is_not_there(
    lake: Lake, tmp_path: Path, happens: Callable[[staged_events.Snapshot, Settings], None]
) -> None:
    settings, anew = Settings(home=tmp_path / "home"), Settings(home=tmp_path / "anew")
    lake.change(1.0)
    before = lake.snapshot()
    build(settings, before)
    lake.present = [row for row in lake.present if row["event_ts"] > FIRST + timedelta(hours=4)]
    after = lake.snapshot()
    happens(before, settings)

    build(settings, after)

    assert Warehouse(settings).current().info["started_from"] is None
    build(anew, after)
    assert differences(settings, anew) == {}


@pytest.mark.parametrize("lake", [(5, "UTC", ("EUR",))], indirect=True)
def test_a_build_does_not_start_from_one_that_shares_too_little_with_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "LARGEST_CHANGE", 0.3)
    settings = Settings(home=tmp_path / "home")
    lake.change(1.0)
    build(settings, lake.snapshot())
    lake.change(1.0)
    build(settings, lake.snapshot())
    assert Warehouse(settings).current().info["started_from"] is None


def test_a_lake_that_grows_out_of_order_is_built_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real stages: lines of one file in four files, in another order; a visitor is forgotten in between.
    pick = Random(7)
    generate(tmp_path / "shop.csv", like="shop", events=6_000, days=12, seed=7, faults=True)
    header, *lines = (tmp_path / "shop.csv").read_bytes().splitlines(keepends=True)
    pieces: list[list[bytes]] = [[], [], [], []]
    for number, line in enumerate(lines):
        # The first file has most of the days, the others have a part of the rest and a few lines of before.
        later = number >= len(lines) * 0.85 or pick.random() < 0.01
        pieces[pick.randrange(1, 4) if later else 0].append(line)
    settings = Settings(home=tmp_path / "home")
    anew = settings.model_copy(update={"warehouse": tmp_path / "anew"})
    monkeypatch.setattr(start, "LARGEST_CHANGE", 1.0)
    started = []
    for number, piece in enumerate(pieces):
        path = tmp_path / f"piece-{number}.csv"
        path.write_bytes(b"".join([header, *piece]))
        Ingestor(settings).ingest(path)
        Stager(settings).stage()
        started.append(MartBuilder(settings).build().started_from)
        if number == 2:
            visitor = pick.choice(lines).split(b",")[2].decode()
            Eraser(settings).forget([visitor], dry_run=False)
    MartBuilder(anew).build(full_refresh=True)
    assert differences(settings, anew) == {}
    assert [build is not None for build in started] == [False, True, True, True]
