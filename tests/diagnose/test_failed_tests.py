"""Failed tests are traced from their rows to events, files and lines."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecom_analytics import Ingestor, MartBuilder, Pipeline, Settings, Stager
from ecom_analytics.diagnose import Diagnoser
from ecom_analytics.errors import TestsFailedError

HEADER = "event_ts,event_type,visitor_id,product_id,transaction_id,quantity,unit_price,currency\n"
ROWS = [
    "2026-01-05T10:00:00Z,view,v1,p1,,,,",
    "2026-01-05T10:01:00Z,view,v1,p1,,,,",
    "2026-01-05T11:00:00Z,purchase,v2,p2,t1,1,9.90,EUR",
]


def write(path: Path, rows: list[str]) -> Path:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


@pytest.fixture
def failed(settings: Settings, tmp_path: Path) -> Settings:
    """A build that fails, for a staged file was damaged: the second view of v1 lies before its session's start."""
    Ingestor(settings).ingest(write(tmp_path / "shop.csv", ROWS))
    Stager(settings).stage()
    [path] = Path(settings.lake, "staged", "events").rglob("*.parquet")
    rows = pq.read_table(path, partitioning=None)
    late = [row["session_start"].replace(hour=23) for row in rows.to_pylist()]
    at = rows.schema.get_field_index("session_start")
    pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array(late, rows.schema.field(at).type)), path)
    with pytest.raises(TestsFailedError):
        MartBuilder(settings).build()
    return settings


def test_a_failed_test_leads_to_the_events_behind_its_rows(failed: Settings) -> None:
    report = Diagnoser(failed).diagnose()

    findings = [finding for finding in report.of("failed_test") if finding.detail == "sessions_have_possible_counts"]
    assert findings, [finding.detail for finding in report.findings]
    [finding] = findings
    assert finding.count == 2
    assert {row["visitor_id"] for row in finding.rows} == {"v1", "v2"}
    assert {spot.place for spot in finding.spots} == {"shop.csv:2", "shop.csv:3", "shop.csv:4"}
    assert f"{finding.count} failing rows" in finding.sentence
    assert any("nothing is published" in note for note in report.notes)


def test_the_compiled_sql_is_kept(failed: Settings) -> None:
    [path] = failed.warehouse.glob("failed-*.json")
    kept = json.loads(path.read_text())
    assert all("select" in test["sql"].lower() and not test["unread"] for test in kept["tests"])


def test_nothing_is_left_of_it_once_all_tests_pass(failed: Settings, tmp_path: Path) -> None:
    fine = failed.model_copy(update={"lake": str(tmp_path / "other-lake")})
    Pipeline(fine).run(tmp_path / "shop.csv", export=False)
    assert list(fine.warehouse.glob("failed-*.json")) == []
    assert Diagnoser(fine).diagnose().is_clean
