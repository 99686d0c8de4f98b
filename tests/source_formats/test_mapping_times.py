"""Times by a mapping, against Python's own strptime and zoneinfo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ecom_analytics import Settings
from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.source_formats.mapping_times import directives, time_of

EPOCH = datetime(1970, 1, 1)


def read(texts: Sequence[str], written: str, timezone: str, tmp_path: Path) -> list[datetime | None]:
    """What the expression makes of the texts."""
    with DuckDBEngine(Settings(home=tmp_path), tmp_path) as engine:
        many = "SELECT unnest($1::VARCHAR[]) AS text, generate_subscripts($1::VARCHAR[], 1) AS place"
        engine.execute(f"CREATE TABLE given AS {many}", [list(texts)])
        given = engine.backend.table("given")
        told = given.select("place", time=time_of(given.text, written, timezone, engine))
        return [time for (time,) in engine.rows(f"SELECT time FROM ({engine.backend.compile(told)}) ORDER BY place")]


def in_utc(local: datetime, zone: ZoneInfo) -> datetime | None:
    """By zoneinfo: the first of two, None if clocks never showed it."""
    at = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return at.replace(tzinfo=None) if at.astimezone(zone).replace(tzinfo=None) == local else None


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("Europe/Berlin", [(2025, 3, 30), (2025, 10, 26), (1990, 9, 30), (2024, 2, 29)]),
        ("America/New_York", [(2025, 3, 9), (2025, 11, 2), (2006, 10, 29)]),
        ("Australia/Lord_Howe", [(2025, 4, 6), (2025, 10, 5)]),  # half an hour
        ("America/St_Johns", [(2010, 3, 14), (2010, 11, 7)]),  # one minute after midnight
        ("Pacific/Apia", [(2011, 12, 30)]),  # a day that did not exist
        ("Asia/Kathmandu", [(2025, 1, 1)]),
        ("Africa/Casablanca", [(2025, 2, 23), (2025, 4, 6)]),  # set back for Ramadan
    ],
)
def test_local_times_around_changes_of_clocks(zone: str, around: list[tuple[int, int, int]], tmp_path: Path) -> None:
    locals_ = [
        datetime(*day) + timedelta(minutes=minutes) for day in around for minutes in range(-26 * 60, 50 * 60, 10)
    ]
    expected = [in_utc(local, ZoneInfo(zone)) for local in locals_]
    assert read([f"{local:%d.%m.%Y %H:%M}" for local in locals_], "%d.%m.%Y %H:%M", zone, tmp_path) == expected
    assert read([local.isoformat() for local in locals_], "iso", zone, tmp_path) == expected
    if zone != "Asia/Kathmandu":
        assert None in expected or zone == "Africa/Casablanca"


def test_the_hour_that_occurs_twice_is_the_first_and_the_one_that_does_not_is_none(tmp_path: Path) -> None:
    texts = ["2025-10-26T01:59:59", "2025-10-26T02:30:00", "2025-10-26T03:00:00", "2025-03-30T02:30:00"]
    assert read(texts, "iso", "Europe/Berlin", tmp_path) == [
        datetime(2025, 10, 25, 23, 59, 59), datetime(2025, 10, 26, 0, 30), datetime(2025, 10, 26, 2), None,
    ]  # fmt: skip


def test_an_offset_that_is_written_counts_more_than_the_zone(tmp_path: Path) -> None:
    texts = [
        "2025-10-26 02:30:00+01:00",
        "2025-10-26T02:30:00.5+0200",
        "2025-10-26 02:30:00 UTC",
        "2025-10-26 02:30:00Z",
    ]
    assert read(texts, "iso", "Europe/Berlin", tmp_path) == [
        datetime(2025, 10, 26, 1, 30), datetime(2025, 10, 26, 0, 30, 0, 500_000), *[datetime(2025, 10, 26, 2, 30)] * 2,
    ]  # fmt: skip


ISO = ["2026-02-30T10:00:00Z", "2026-01-05", "2026-01-05T24:00:00Z", "2026-01-05T10:00:60Z", "2026-01-05T10:00", "",
       "x"," 2026-01-05T10:00:00Z", "2026-01-05T10:00:00 +01:00", "2026-01-05T10:00:00+25:00"]  # fmt: skip


def test_what_is_no_iso_time(tmp_path: Path) -> None:
    assert read(ISO, "iso", "UTC", tmp_path) == [None] * len(ISO)
    assert read(["2026-01-05T10:00:00.123456789"], "iso", "UTC", tmp_path) == [datetime(2026, 1, 5, 10, 0, 0, 123_456)]


FORMATS = {
    "%d.%m.%Y %H:%M:%S": ["26.10.2025 02:30:00", "6.1.2025 2:3:4", "30.02.2025 02:30:00", "26.13.2025 02:30:00",
                          "26.10.2025 24:00:00", "26.10.25 02:30:00", "26.10.2025 02:30", "26x10x2025 02:30:00", ""],
    "%m/%d/%y %I:%M %p": ["10/26/25 02:30 PM", "1/2/68 12:00 am", "1/2/69 12:59 PM", "10/26/25 13:00 PM",
                          "10/26/25 00:10 AM", "10/26/25 02:30"],
    "%Y%m%d": ["20251026", "2025116", "20250229", "20240229", "2025-10-26", "202510260"],
    "%d %b %Y": ["05 Jan 2026", "5 feb 2026", "5 DEC 2026", "5 Foo 2026", "31 Apr 2026"],
    "%B %d, %Y %H.%M": ["January 5, 2026 10.30", "may 5, 2026 0.00", "Jan 5, 2026 10.30"],
    "%Y-%m-%dT%H:%M:%S.%f": ["2026-01-05T10:00:00.5", "2026-01-05T10:00:00.123456", "2026-01-05T10:00:00."],
    "%d/%m/%Y:%H:%M:%S %z": ["05/01/2026:10:00:00 +0100", "05/01/2026:10:00:00 -03:30", "05/01/2026:10:00:00 Z",
                             "05/01/2026:10:00:00"],
    "%d%%%m(%Y)": ["05%01(2026)", "05%01[2026]"],
}  # fmt: skip


def by_strptime(text: str, written: str) -> datetime | None:
    try:
        at = datetime.strptime(text, written)  # noqa: DTZ007
    except ValueError:
        return None
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


@pytest.mark.parametrize("written", FORMATS)
def test_formats_mean_what_strptime_says(written: str, tmp_path: Path) -> None:
    texts = FORMATS[written]
    expected = [by_strptime(text, written) for text in texts]
    assert any(expected)
    assert read(texts, written, "UTC", tmp_path) == expected


@pytest.mark.parametrize(
    "written", ["%d.%m.%Y %d", "%H:%M", "%Y-%m", "%Y %y-%m-%d", "%d.%b.%m.%Y", "%d.%m.%Y %p %H %I", "%d.%m.%Y%"]
)
def test_formats_that_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="%"):
        directives(written)


def counted(text: str, unit: int) -> datetime | None:
    if not re.fullmatch(r"[0-9]{1,17}(\.[0-9]+)?", text) or len(text.split(".")[0]) > 11 + len(str(unit)) - 1:
        return None
    return EPOCH + timedelta(microseconds=int((Decimal(text) * 10**6 / unit).to_integral_value(ROUND_FLOOR)))


@pytest.mark.parametrize(("written", "unit"), [("seconds", 1), ("millis", 1000), ("micros", 1_000_000)])
def test_counts_since_1970(written: str, unit: int, tmp_path: Path) -> None:
    texts = [str(1433221332 * unit), f"{1433221332 * unit}.0", f"{1433221332 * unit}.1234567", "0", "007", "-5", "1e9",
             "", "soon", "9" * 18, " 1", "1,5", "1."]  # fmt: skip
    expected = [counted(text, unit) for text in texts]
    assert sum(at is not None for at in expected) == 5
    assert read(texts, written, "UTC", tmp_path) == expected
