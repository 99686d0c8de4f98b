"""What an export of all marts costs, by what DuckDB's own COPY of the same tables costs in the same session.

    python tests/benchmarks/export.py --home ecom-data --rounds 5

exports the build that is served there, or makes one of ``--rows`` events where no home is given. Seconds on the clock
and of the processor, the medians of rounds in which all take turns; at last an export where nothing changed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from ecom_analytics import Exporter, Pipeline, Settings, Warehouse
from ecom_analytics.generate import generate

OPTIONS = {
    "parquet": {"zstd": "FORMAT parquet, COMPRESSION zstd", "its default, snappy": "FORMAT parquet"},
    "csv": {"its default": "FORMAT csv"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="where a build is served")
    parser.add_argument("--rows", type=int, default=2_760_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--as", dest="formats", action="append", choices=sorted(OPTIONS))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-export-") as name:
        folder = Path(name)
        settings = Settings(home=(asked.home or folder / "home").absolute())
        if not asked.home:
            generate(folder / "events.csv", like="retailrocket", events=asked.rows, days=138)
            Pipeline(settings).run(folder / "events.csv", export=False)
        for kind in asked.formats or sorted(OPTIONS, reverse=True):
            compare(settings, folder, kind, asked.rounds)


def compare(settings: Settings, folder: Path, kind: str, rounds: int) -> None:
    """Take turns, so that all meet the same machine."""
    exporter, to = Exporter(settings), folder / "exported"
    ways: dict[str, Callable[[], object]] = {
        f"COPY ({what})": lambda options=options: copy(settings, folder / "copied", options)
        for what, options in OPTIONS[kind].items()
    }
    ways["Exporter"] = lambda: exporter.export(to, [kind])
    taken: dict[str, list[tuple[float, float]]] = {what: [] for what in ways}
    for way in ways.values():  # nobody pays for the first look at the build
        way()
    for _ in range(rounds):
        for what, way in ways.items():
            shutil.rmtree(folder / "copied", ignore_errors=True)
            shutil.rmtree(to, ignore_errors=True)
            started, busy = time.perf_counter(), time.process_time()
            way()
            taken[what].append((time.perf_counter() - started, time.process_time() - busy))
    medians = {
        what: [statistics.median(column) for column in zip(*all_of, strict=True)] for what, all_of in taken.items()
    }
    for what, (clock, cpu) in medians.items():
        ratios = [ours / theirs for ours, theirs in zip(medians["Exporter"], (clock, cpu), strict=True)]
        least = min(one for one, _ in taken[what])
        print(
            f"{kind:<8} {what:<22} {clock:5.2f} s (least {least:.2f}), {cpu:5.2f} s CPU; "
            f"the Exporter takes {ratios[0]:.2f} times as long, {ratios[1]:.2f} times the CPU"
        )
    started = time.perf_counter()
    report = exporter.export(to, [kind])
    print(
        f"{kind:<8} {'nothing changed':<22} {time.perf_counter() - started:6.2f} s, {report.bytes / 1e6:.0f} MB there"
    )


def copy(settings: Settings, folder: Path, options: str) -> None:
    """What anybody would write by hand."""
    folder.mkdir(exist_ok=True)
    build = Warehouse(settings).current()
    config = {"threads": settings.threads, "memory_limit": settings.memory_limit}
    with duckdb.connect(config=config) as connection:
        connection.execute(f"ATTACH '{build.path}' AS build (READ_ONLY)")
        for mart in Warehouse(settings).public_marts(build):
            connection.execute(f"COPY build.{mart} TO '{folder / mart}' ({options})")


if __name__ == "__main__":
    main()
