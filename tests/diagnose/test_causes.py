"""Causes that the generator does not make: each is found by the row that shows it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.diagnose import CAUSES, Diagnoser, DiagnosisReport

HEADER = "event_ts,event_type,visitor_id,product_id,transaction_id,quantity,unit_price,currency,source_event_id\n"
NOW = datetime(2026, 2, 1, tzinfo=UTC)

Diagnose = Callable[..., DiagnosisReport]


@pytest.fixture
def diagnose(settings: Settings, tmp_path: Path) -> Diagnose:
    """Stage these files one after the other, and diagnose."""

    def run(*files: list[str]) -> DiagnosisReport:
        for number, rows in enumerate(files):
            path = tmp_path / f"{number}.csv"
            path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
            Ingestor(settings).ingest(path)
            Stager(settings).stage()
        return Diagnoser(settings, now=NOW).diagnose()

    return run


def buy(at: str, visitor: str, order: str, price: str = "10.00", currency: str = "EUR", product: str = "p") -> str:
    return f"{at},purchase,{visitor},{product},{order},1,{price},{currency},"


def places(report: DiagnosisReport) -> dict[str, list[str]]:
    return {finding.cause: [spot.place for spot in finding.spots] for finding in report.findings}


def test_events_in_the_far_future(diagnose: Diagnose) -> None:
    rows = ["2026-02-01T23:59:59Z,view,v,p,,,,,", "2026-02-02T00:00:01Z,view,v,p,,,,,"]
    assert places(diagnose(rows)) == {"far_future": ["0.csv:3"]}


def test_a_purchase_without_a_product(diagnose: Diagnose) -> None:
    rows = [buy("2026-01-05T10:00:00Z", "v", "t"), buy("2026-01-05T11:00:00Z", "v", "u", product="")]
    assert places(diagnose(rows)) == {"purchases_without_product": ["0.csv:3"]}


def test_a_clock_that_is_hours_off(diagnose: Diagnose) -> None:
    rows = [buy("2026-01-05T10:00:00.250Z", "v", "t"), buy("2026-01-05T12:00:00.250Z", "v", "t")]
    rows += [buy("2026-01-05T10:00:00.250Z", "w", "u"), buy("2026-01-05T12:00:01.250Z", "w", "u")]
    assert places(diagnose(rows)) == {"clock_off": ["0.csv:3"]}


def test_another_currency(diagnose: Diagnose) -> None:
    rows = [buy(f"2026-01-05T10:00:0{n}Z", f"v{n}", f"t{n}", currency="USD" if n == 1 else "EUR") for n in range(3)]
    report = diagnose(rows)
    assert places(report) == {"mixed_currencies": ["0.csv:3"]}
    assert report.findings[0].detail == "USD, not EUR"


def test_a_price_ten_times_too_high_or_low(diagnose: Diagnose) -> None:
    prices = ["10.00"] * 7 + ["99.99", "100.00", "1.00", "1.01"]
    rows = [buy(f"2026-01-05T10:00:{n:02}Z", f"v{n}", f"t{n}", price) for n, price in enumerate(prices)]
    assert places(diagnose(rows)) == {"price_outliers": ["0.csv:10", "0.csv:11"]}


def test_a_file_that_was_sent_again_with_one_more_line(diagnose: Diagnose) -> None:
    rows = [f"2026-01-05T10:00:{n:02}Z,view,v,p,,,,," for n in range(4)]
    report = diagnose(rows, [*rows, "2026-01-05T11:00:00Z,view,v,p,,,,,"])
    [found] = report.findings
    assert (found.cause, found.count, found.files) == ("resent_batches", 4, 1)
    assert {found.detail} <= {"1.csv repeats 0.csv", "0.csv repeats 1.csv"}


def test_an_event_id_with_other_content(diagnose: Diagnose) -> None:
    rows = ["2026-01-05T10:00:00Z,view,v,p,,,,,e1", "2026-01-05T11:00:00Z,view,v,q,,,,,e1"]
    assert places(diagnose(rows)) == {"repeated_event_ids": ["0.csv:3"]}


def test_a_file_that_is_mostly_rejected(diagnose: Diagnose) -> None:
    good, bad = "2026-01-05T10:00:00Z,view,v,p,,,,,", "05/01/2026 10h,view,v,p,,,,,"
    report = diagnose([good] + [bad] * 11)
    assert [(found.cause, found.count) for found in report.findings] == [("wrong_format", 11), ("bad_timestamps", 11)]


def test_a_file_of_days_that_are_past(diagnose: Diagnose) -> None:
    report = diagnose(["2026-01-09T10:00:00Z,view,v,p,,,,,"], ["2026-01-05T10:00:00Z,view,v,p,,,,,"])
    assert [(found.cause, found.detail) for found in report.findings] == [("late_batches", "1.csv")]


def test_blank_lines_within_quotes_are_none(diagnose: Diagnose) -> None:
    report = diagnose(['2026-01-05T10:00:00Z,view,"v\n\nw",p,,,,,', "", "2026-01-05T10:00:00Z,view,v,p,,,,,"])
    [found] = report.findings
    assert (found.cause, found.count) == ("blank_lines", 1)
    assert {spot.line for spot in found.spots} <= {5}


def test_the_number_of_lines_that_are_shown_is_limited(settings: Settings, diagnose: Diagnose) -> None:
    diagnose(["nonsense,view,v,p,,,,,"] * 7)
    [found] = Diagnoser(settings, now=NOW).diagnose(limit=2).of("bad_timestamps")
    assert (found.count, len(found.spots)) == (7, 2)


def test_nothing_staged_is_no_finding(settings: Settings) -> None:
    report = Diagnoser(settings).diagnose()
    assert report.is_clean
    assert len(report.notes) == 1


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_says_what_it_is_and_what_to_do(cause: str) -> None:
    said = CAUSES[cause].said(2, "DETAIL")
    assert "{" not in said
    assert said.endswith(".")
    assert CAUSES[cause].advice.endswith(".")
