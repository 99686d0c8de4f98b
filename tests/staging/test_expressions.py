"""The rule of sessions as windows, which any engine runs, says what the one sort of DuckDB's way says."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import ibis
import pytest

from ecom_analytics import Settings
from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.staging.expressions import with_sessions
from ecom_analytics.staging.visits import Visits

TIMEOUT = timedelta(minutes=30)
KINDS = {
    "event_ts": "timestamp(6)",
    "visitor_id": "string",
    "product_id": "string",
    "source": "string",
    "batch_id": "string",
    "source_line": "int64",
}
MOMENTS = [timedelta(minutes=minutes, microseconds=us) for minutes in (0, 10, 30, 40, 60, 90) for us in (0, 0, 1)]


@pytest.mark.parametrize("seed", range(20))
def test_windows_and_the_sort_agree(seed: int, tmp_path: Path) -> None:
    chance = Random(seed)
    midnight = datetime(2026, 3, 29)
    rows = [
        (midnight + chance.choice(MOMENTS), chance.choice("abc"), "p", chance.choice(["web", "app"]), "1", line, None)
        for line in range(chance.randint(1, 60))
    ]
    for visitor in chance.sample("abc", chance.randint(0, 3)):
        last = midnight - chance.choice(MOMENTS[:6]) - timedelta(microseconds=1)
        rows.append((last, visitor, None, "web", None, None, last - chance.choice(MOMENTS)))
    chance.shuffle(rows)
    with DuckDBEngine(Settings(threads=2), tmp_path) as engine:
        engine.execute(
            "CREATE TABLE rows (event_ts TIMESTAMP, visitor_id VARCHAR, product_id VARCHAR, source VARCHAR, "
            "batch_id VARCHAR, source_line BIGINT, carry TIMESTAMP)"
        )
        engine.backend.con.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        table = ibis.table({**KINDS, "carry": "timestamp(6)"}, name="rows")
        windows = engine.rows(engine.backend.compile(with_sessions(table, TIMEOUT).drop("tied")))
        visits = Visits(engine, KINDS, TIMEOUT)
        visits.sort(old=False)
        sort = engine.rows(visits.events())
    assert sorted(windows) == sorted(sort)
    assert len(windows) == sum(row[-1] is None for row in rows)
