"""Times staging beside the staging part of a yardstick, and what changes cost; pytest does not collect it.

    python tests/benchmarks/staging.py --yardsticks ../shared/bench --events 2756101 --rounds 3 --changes

The yardstick's staging part is ``reference_duckdb.py`` up to the line that drops its raw table: read, leave out
duplicates, find sessions, write Parquet. Ours is ``Stager.stage()`` of the ingested file, with the imports, the
validation and the whole account. Both are processes of their own, in turn; wall time, CPU time (user and system, all
threads) and peak memory are of the process, less what the interpreter and the ingest took.

``--changes`` measures in one warm process: staging all of a history that was ingested day by day; then a day that
follows it; then one late event in its middle; each several times, the least counts. Then the same on a
history of ten times as many days of the same size (``--long``), which is to cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run import ROOT, events_file, say

DROP = 'con.execute("DROP TABLE raw")'
DAY = 86_400_000
HEADER = "timestamp,visitorid,event,itemid,transactionid\n"


@dataclass
class Cost:
    """What a block took of its process."""

    wall: float = 0.0
    cpu: float = 0.0


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def measured() -> Iterator[Cost]:
    """Fills in what the block took."""
    cost, wall, before = Cost(), time.perf_counter(), cpu()
    yield cost
    cost.wall, cost.cpu = time.perf_counter() - wall, cpu() - before


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def yardstick(script: Path, file: Path, folder: Path) -> None:
    """Run the staging part of the yardstick in this process."""
    text = script.read_text()
    if text.count(DROP) != 1:
        raise SystemExit(f"{script} is not the yardstick that this was written for: it has no line {DROP}")
    staging = text.partition(DROP)[0] + "con.close()\n"
    sys.argv = [str(script), str(file), str(folder)]
    with measured() as cost:
        exec(compile(staging, str(script), "exec"), {"__name__": "__main__"})
    print(json.dumps({"wall": cost.wall, "cpu": cost.cpu, "gb": peak_gb()}))


def ours(home: Path, options: dict[str, Any]) -> None:
    """Stage what is ingested, in this process."""
    with measured() as cost:
        from ecom_analytics import Settings, Stager

        report = Stager(Settings(home=home, **options)).stage()
    assert report.stage_id is not None
    print(json.dumps({"wall": cost.wall, "cpu": cost.cpu, "gb": peak_gb(), "staged": report.staged}))


def full(file: Path, events: str, script: Path, work: Path, how_many: int, options: dict[str, Any]) -> None:
    """Both in turn, and the ratios of medians."""
    from ecom_analytics import Ingestor, Settings

    home = work / "home"
    Ingestor(Settings(home=home)).ingest(file)
    taken: dict[str, list[dict[str, float]]] = {"yardstick": [], "ours": []}
    commands = {"yardstick": [str(script), str(file), str(work / "out")], "ours": [str(home), json.dumps(options)]}
    for number in range(how_many):
        for name in list(commands) if number % 2 == 0 else reversed(commands):
            shutil.rmtree(home / "lake" / "staged", ignore_errors=True)
            os.sync()
            command = [sys.executable, __file__, "--part", name, *commands[name]]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            one = json.loads(done.stdout)
            taken[name].append(one)
            say(f"{events} events  {name:<10} {one['wall']:7.2f} s wall  {one['cpu']:7.2f} s CPU  {one['gb']:5.2f} GB")
    median = {name: {w: statistics.median(r[w] for r in runs) for w in ("wall", "cpu", "gb")}
              for name, runs in taken.items()}  # fmt: skip
    for what in ("wall", "cpu"):
        ratios = sorted(a[what] / b[what] for a, b in zip(taken["ours"], taken["yardstick"], strict=True))
        print(f"{events} events: {what} {median['ours'][what]:.2f} s, "
              f"{median['ours'][what] / median['yardstick'][what]:.2f} times the yardstick's "
              f"{median['yardstick'][what]:.2f} s ({ratios[0]:.2f} to {ratios[-1]:.2f})")  # fmt: skip
    print(f"{events} events: peak memory {median['ours']['gb']:.2f} GB")
    shutil.rmtree(home)


class History:
    """A lake of so many days of so many events, each day a file; the events of a day are those of a model, shifted."""

    def __init__(self, home: Path, days: int, rows: int, options: dict[str, Any]) -> None:
        from ecom_analytics import Ingestor, Settings

        self.settings = Settings(home=home, **options)
        self.days = days
        self._ingestor = Ingestor(self.settings)
        self._files = home / "files"
        self._files.mkdir(parents=True)
        self._rows = rows
        self._model = self._make_model(home / "model.csv", rows)
        self._last = 0
        for _ in range(days):
            self.write_day()
        self._ingestor.ingest(self._files)

    def _make_model(self, path: Path, rows: int) -> list[tuple[int, str]]:
        """The first rows of a day, and the text after their time."""
        from ecom_analytics.generate import generate

        generate(path, events=rows, like="retailrocket", days=1)
        lines = path.read_text().splitlines()[1:]
        split = (line.partition(",") for line in lines)
        return [(int(at) % DAY, rest) for at, _, rest in split]

    def write_day(self) -> Path:
        """The file of the next day."""
        start = 1_300_060_800_000 + self._last * DAY  # a midnight
        path = self._files / f"{self._last:06}.csv"
        path.write_text(HEADER + "".join(f"{start + at},{rest}\n" for at, rest in self._model))
        self._last += 1
        return path

    def stage(self) -> tuple[Cost, Any]:
        from ecom_analytics import Stager

        with measured() as cost:
            report = Stager(self.settings).stage()
        return cost, report

    def next_day(self) -> tuple[Cost, Any]:
        self._ingestor.ingest(self.write_day())
        return self.stage()

    def late_event(self, number: int) -> tuple[Cost, Any]:
        """One event of a new visitor in the middle of the history."""
        at = 1_300_060_800_000 + (self.days // 2) * DAY + DAY // 2 + number
        path = self._files / f"late-{number}.csv"
        path.write_text(f"{HEADER}{at},{10**12 + number},view,1,\n")
        self._ingestor.ingest(path)
        return self.stage()


def least(call: Callable[[int], tuple[Cost, Any]], times: int) -> tuple[Cost, Any]:
    """The least of several costs, and the last report."""
    found = [call(number) for number in range(times)]
    return Cost(min(c.wall for c, _ in found), min(c.cpu for c, _ in found)), found[-1][1]


def changes(work: Path, days: int, rows: int, longer: int, rounds: int, options: dict[str, Any]) -> None:
    """What a day more and an event late cost, on a history and on a longer one."""
    taken: dict[tuple[int, str], Cost] = {}
    warm = History(work / "warm", 2, 1000, options)
    warm.stage()
    warm.next_day()
    for many in dict.fromkeys((days, days * longer)):
        history = History(work / f"days-{many}", many, rows, options)
        everything, report = history.stage()
        assert report.days == many
        say(f"{many:>6} days of {rows:,} events: staging all {everything.wall:.2f} s wall, {everything.cpu:.2f} s CPU")
        for name, call in (("one new day", lambda _: history.next_day()), ("one late event", history.late_event)):  # noqa: B023
            cost, report = taken[many, name], last = least(call, rounds)
            assert last.new_batches == 1
            print(f"{many:>6} days, {name}: {cost.wall:.3f} s wall, {cost.cpu:.3f} s CPU = "
                  f"{100 * cost.wall / everything.wall:.2f} % and {100 * cost.cpu / everything.cpu:.2f} % of all; "
                  f"{report.days} day(s), {report.visitors_touched:,} visitors, {report.rows_read:,} rows read, "
                  f"{report.rows_written:,} written", flush=True)  # fmt: skip
        print(f"{many:>6} days: peak memory of the process {peak_gb():.2f} GB")
        shutil.rmtree(work / f"days-{many}")
    if longer > 1:
        for name in ("one new day", "one late event"):
            short, long = taken[days, name], taken[days * longer, name]
            print(f"{name}, history {longer} times as long: {long.wall / short.wall:.2f} times the wall time, "
                  f"{long.cpu / short.cpu:.2f} times the CPU time")  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["--part"]:
        part, *rest = sys.argv[2:]
        if part == "yardstick":
            yardstick(*map(Path, rest))
        else:
            ours(Path(rest[0]), json.loads(rest[1]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--events", type=int, nargs="*", default=[2_756_101], help="sizes [2756101]; none: changes only"
    )
    parser.add_argument("--file", type=Path, help="a file of the format retailrocket to stage, instead of sizes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--yardsticks", type=Path, default=ROOT.parent / "shared" / "bench")
    parser.add_argument("--changes", action="store_true", help="measure what changes cost")
    parser.add_argument("--days", type=int, default=138, help="days of the history [138]")
    parser.add_argument("--rows", type=int, default=20_000, help="events of each of its days [20000]")
    parser.add_argument("--long", type=int, default=10, help="how many times as long the longer history is [10]")
    parser.add_argument("--work", type=Path, help="folder for files; kept [a temporary one]")
    parser.add_argument("--options", type=json.loads, default={}, help="settings as JSON, such as '{\"threads\": 1}'")
    arguments = parser.parse_args()
    script = arguments.yardsticks.resolve() / "reference_duckdb.py"
    work = Path(arguments.work or tempfile.mkdtemp(prefix="ecom-staging-")).resolve()
    work.mkdir(parents=True, exist_ok=True)
    try:
        files = [(arguments.file.resolve(), arguments.file.name)] if arguments.file else [
            (events_file(work, events, "retailrocket"), f"{events:,}") for events in arguments.events
        ]  # fmt: skip
        for file, events in files:
            full(file, events, script, work, arguments.rounds, arguments.options)
        if arguments.changes:
            changes(work, arguments.days, arguments.rows, arguments.long, arguments.rounds, arguments.options)
    finally:
        if not arguments.work:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
