"""What a build costs that starts from the one before, by what a build that makes everything anew costs; and that, by
what the same tables cost in SQL written by hand (``marts_by_hand.sql``).

    python tests/benchmarks/marts.py --rows 2000000 --days 138

makes a clickstream of so many rows and days, stages all days but the last, builds, stages the last day, and builds
again; then makes everything anew. CPU seconds of the processes that build, without those of a build of the same kind of
nearly nothing (dbt's own), and the seconds of the models that cost most. At last the tables are made by hand, with as
much memory and as many threads, and compared with the marts, row by row.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import duckdb

from ecom_analytics import Ingestor, MartBuilder, Settings, Stager, Warehouse
from ecom_analytics.generate import generate
from ecom_analytics.marts.lake import events_query
from ecom_analytics.reports import BuildReport
from ecom_analytics.staging import snapshot

START = date(2026, 1, 5)
BY_HAND = Path(__file__).with_name("marts_by_hand.sql")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--days", type=int, default=138)
    parser.add_argument("--like", default="retailrocket", choices=["retailrocket", "shop"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-marts-") as name:
        folder = Path(name)
        generate(folder / "all.csv", like=asked.like, events=asked.rows, days=asked.days, start=START)
        generate(folder / "tiny.csv", like=asked.like, events=2_000, days=asked.days, start=START)
        last = START + timedelta(days=asked.days - 1)
        tiny = staged(folder / "tiny", folder / "tiny.csv", until=last)
        MartBuilder(tiny).build()  # dbt parses the project once a version
        fixed, _ = measured("nearly nothing", tiny, full_refresh=True)
        Stager(tiny).stage()
        fixed_part, _ = measured("  and one new day", tiny)
        settings = staged(folder / "home", folder / "all.csv", until=last)
        measured("all days but one", settings)
        Stager(settings).stage()
        part, report = measured("one new day", settings)
        slowest(report)
        whole, report = measured("everything anew", settings, full_refresh=True)
        slowest(report)
        print(f"one new day of {asked.days}: {(part - fixed_part) / (whole - fixed):.1%} of making everything anew")
        print(f"peak of the builds: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6:.2f} GB")
        if asked.like == "retailrocket":
            hand = by_hand(settings, folder / "hand.duckdb")
            print(f"everything anew, tested and published: {whole / hand:.2f} times SQL by hand")
            compare(settings, folder / "hand.duckdb")


def staged(home: Path, path: Path, until: date) -> Settings:
    """A lake with a file, cut at a day: what is before is staged, the others only ingested."""
    settings = Settings(home=home)
    ingestor = Ingestor(settings)
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
    """CPU seconds of the process that builds, and what it reports."""
    with cpu_of_children(what) as seconds:
        report = MartBuilder(settings).build(**options)
    return seconds[0], report


def by_hand(settings: Settings, database: Path) -> float:
    """CPU seconds of the process that makes the tables by hand."""
    child = multiprocessing.get_context("spawn").Process(target=make_by_hand, args=(settings, database))
    with cpu_of_children("by hand") as seconds:
        child.start()
        child.join()
    if child.exitcode:
        raise SystemExit("the SQL by hand failed")
    return seconds[0]


@contextmanager
def cpu_of_children(what: str) -> Iterator[list[float]]:
    """CPU seconds of the processes that end meanwhile: the one item of the list, when it is over."""
    seconds: list[float] = []
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    yield seconds
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"{what:<18} {wall:7.1f} s wall {seconds[0]:7.1f} s CPU")


def make_by_hand(settings: Settings, database: Path) -> None:
    config = {"threads": settings.threads, "memory_limit": settings.memory_limit, "preserve_insertion_order": False}
    with duckdb.connect(str(database), config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TEMP VIEW events AS {events_query(snapshot(settings).files)}")
        connection.execute(BY_HAND.read_text(encoding="utf-8"))


def compare(settings: Settings, database: Path) -> None:
    """Rows of the marts that are not those made by hand, in the columns that both have, but for words."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{database}' AS hand (READ_ONLY)")
        connection.execute(f"ATTACH '{Warehouse(settings).current().path}' AS built (READ_ONLY)")
        found = "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE database_name = ? GROUP BY table_name"
        made, marts = (dict(connection.execute(found, [name]).fetchall()) for name in ("hand", "built"))
        for mart in sorted(made.keys() & marts.keys()):
            columns = ", ".join(sorted(set(made[mart]) & set(marts[mart]) - {"message"}))
            for one, other in (("hand", "built"), ("built", "hand")):
                rows = f"SELECT {columns} FROM {one}.{mart} EXCEPT ALL SELECT {columns} FROM {other}.{mart}"
                [(more,)] = connection.execute(f"SELECT count(*) FROM ({rows})").fetchall()
                if more:
                    print(f"{mart}: {more} rows are only {'by hand' if one == 'hand' else 'in the mart'}")
        print(f"compared {len(made.keys() & marts.keys())} tables row by row, both ways")


def slowest(report: BuildReport) -> None:
    for node in sorted(report.nodes, key=lambda node: -node.seconds)[:8]:
        print(
            f"    {node.name[:50]:<50} {node.seconds:6.2f} s, {node.rows_read} rows read, {node.rows_written} written"
        )


if __name__ == "__main__":
    main()
