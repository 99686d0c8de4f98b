"""What a build costs that starts from the one before, by what a build that makes everything anew costs.

    python tests/benchmarks/marts.py --rows 2000000 --days 138

makes a clickstream of so many rows and days, stages all days but the last, builds, stages the last day, and builds
again; then makes everything anew. CPU seconds of the processes that build, without those of a build of nearly nothing
(dbt's own), and the seconds of the models that cost most.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from ecom_analytics import Ingestor, MartBuilder, Settings, Stager
from ecom_analytics.generate import generate
from ecom_analytics.reports import BuildReport

START = date(2026, 1, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--days", type=int, default=138)
    parser.add_argument("--like", default="retailrocket", choices=["retailrocket", "shop"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-marts-") as name:
        folder = Path(name)
        generate(folder / "all.csv", like=asked.like, events=asked.rows, days=asked.days, start=START)
        generate(folder / "tiny.csv", like=asked.like, events=2_000, days=2, start=START)
        tiny = staged(folder / "tiny", folder / "tiny.csv")
        fixed, _ = measured("nearly nothing", tiny)
        settings = staged(folder / "home", folder / "all.csv", until=START + timedelta(days=asked.days - 1))
        measured("all days but one", settings)
        Stager(settings).stage()
        part, report = measured("one new day", settings)
        slowest(report)
        whole, report = measured("everything anew", settings, full_refresh=True)
        slowest(report)
        print(f"one new day of {asked.days}: {(part - fixed) / (whole - fixed):.1%} of making everything anew")


def staged(home: Path, path: Path, until: date | None = None) -> Settings:
    """A lake with a file, cut into its days; staged up to a day, the others only ingested."""
    settings = Settings(home=home)
    ingestor = Ingestor(settings)
    if until is None:
        ingestor.ingest(path)
        Stager(settings).stage()
        return settings
    head, tail = cut(path, until)
    ingestor.ingest(head)
    Stager(settings).stage()
    ingestor.ingest(tail)
    return settings


def cut(path: Path, day: date) -> tuple[Path, Path]:
    """The file before a day, and from it on: its rows are in the order of time."""
    header, *rows = path.read_bytes().splitlines(keepends=True)
    if header.startswith(b"timestamp"):
        edge = str(int(time.mktime(day.timetuple()) * 1000)).encode()
    else:
        edge = day.isoformat().encode()
    first = next(number for number, row in enumerate(rows) if row >= edge)
    head, tail = path.with_suffix(".head.csv"), path.with_suffix(".tail.csv")
    head.write_bytes(b"".join([header, *rows[:first]]))
    tail.write_bytes(b"".join([header, *rows[first:]]))
    return head, tail


def measured(what: str, settings: Settings, **options: bool) -> tuple[float, BuildReport]:
    """CPU seconds of the child that builds."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    report = MartBuilder(settings).build(**options)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what:<18} {seconds:7.1f} s wall {cpu:7.1f} s CPU")
    return cpu, report


def slowest(report: BuildReport) -> None:
    for node in sorted(report.nodes, key=lambda node: -node.seconds)[:8]:
        print(
            f"    {node.name[:50]:<50} {node.seconds:6.2f} s, {node.rows_read} rows read, {node.rows_written} written"
        )


if __name__ == "__main__":
    main()
