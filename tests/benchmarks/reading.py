"""Times our reader beside DuckDB's ``read_csv`` of the same file, all columns as text; pytest does not collect it.

    python tests/benchmarks/reading.py --events 2756101 --rounds 3

Ours is what staging reads with: every record has its line, every broken one its raw text, and the counts add up.
DuckDB's is a plain ``read_csv`` without any of that, in one thread and in two. The dirty file has the
generator's default mix of faults; the dirtiest has a stray quote, a line end within quotes and a broken line in every
block. Each program runs in turn, several rounds; ratios are of medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

COLUMNS = ("timestamp", "visitorid", "event", "itemid", "transactionid")


def ours(path: Path) -> int:
    """Records, the rejected and blank ones among them."""
    from ecom_analytics.protocols import RawFile
    from ecom_analytics.reading import BadRecord, ReadCounts, Request, read_file

    counts, bad, rows = ReadCounts(), list[BadRecord](), 0
    request = Request({name: name for name in COLUMNS}, required=COLUMNS, flat=True)
    for batch in read_file(RawFile("b", "s", str(path), path.name), request, counts, max_record_lines=100,
                           on_bad=bad.append):  # fmt: skip
        rows += len(batch)
    assert rows + len(bad) == counts.records
    return counts.records + counts.blank


def engine(path: Path) -> int:
    """The same through the engine: the rows as a table in DuckDB."""
    from ecom_analytics import Settings
    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.protocols import RawFile

    with tempfile.TemporaryDirectory() as folder, DuckDBEngine(Settings(home=folder), Path(folder)) as duck:
        table = duck.read_delimited([RawFile("b", "s", str(path), path.name)], COLUMNS)
        duck.execute(f"CREATE TABLE t AS {duck.backend.compile(table)}")
        counts = next(iter(duck.reading.counts.values()))
        return counts.records + counts.blank


def plain(path: Path, threads: int, *, faults: bool) -> int:
    """DuckDB's own reader into a table."""
    import duckdb

    options = ", ignore_errors = true, null_padding = false, strict_mode = false" if faults else ""
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.execute(
            f"CREATE TABLE t AS SELECT * FROM read_csv($1, all_varchar = true, header = true, delim = ','{options})",
            [str(path)],
        )
        return int(connection.execute("SELECT count(*) FROM t").fetchall()[0][0])


def dirty(clean: Path, to: Path, every: int) -> None:
    """A copy with a stray quote, a quoted line end and a broken line once in so many lines, so in every block."""
    with clean.open("rb") as lines, to.open("wb") as out:
        for number, line in enumerate(lines):
            out.write(line)
            if number and number % every == 0:
                time_, visitor, *rest = line.rstrip().split(b",")
                out.write(b",".join([time_, b'"' + visitor + b'\n"', *rest]) + b"\n")
                out.write(b",".join([time_, b'"' + visitor + b'"x', *rest]) + b"\n")
                out.write(b"\xff," + line)


def timed(call: Callable[[], int]) -> tuple[float, int]:
    started = time.perf_counter()
    records = call()
    return time.perf_counter() - started, records


def main() -> None:
    """Make the files, run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_756_101)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=10_000, help="lines between the faults of the dirtiest file")
    arguments = parser.parse_args()
    from ecom_analytics.generate import generate

    with tempfile.TemporaryDirectory(prefix="reading-") as folder:
        files = {"clean": Path(folder, "clean.csv"), "faults": Path(folder, "faults.csv")}
        generate(files["clean"], events=arguments.events)
        generate(files["faults"], events=arguments.events, faults=True)
        files["every block"] = Path(folder, "dirty.csv")
        dirty(files["clean"], files["every block"], arguments.every)
        for name, path in files.items():
            faulty = name != "clean"
            programs: dict[str, Callable[[], int]] = {
                "read_csv, 1 thread": lambda p=path, f=faulty: plain(p, 1, faults=f),  # type: ignore[misc]
                "read_csv, 2 threads": lambda p=path, f=faulty: plain(p, 2, faults=f),  # type: ignore[misc]
                "reader": lambda p=path: ours(p),  # type: ignore[misc]
                "reader into a table": lambda p=path: engine(p),  # type: ignore[misc]
            }
            times: dict[str, list[float]] = {program: [] for program in programs}
            records: dict[str, int] = {}
            for _ in range(arguments.rounds):
                for program, call in programs.items():
                    seconds, records[program] = timed(call)
                    times[program].append(seconds)
            base = {threads: statistics.median(times[f"read_csv, {threads}"]) for threads in ("1 thread", "2 threads")}
            for program, seconds_ in times.items():
                median = statistics.median(seconds_)
                ratios = "  ".join(f"{median / value:5.2f} x read_csv, {key}" for key, value in base.items())
                print(f"{name:<12} {program:<20} {median:6.2f} s  {ratios}  {records[program]:,} records", flush=True)


if __name__ == "__main__":
    main()
