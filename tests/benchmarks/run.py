"""Times the main job beside yardsticks: the same file, in turn, several rounds; pytest does not collect it.

    python tests/benchmarks/run.py --yardsticks ../shared/bench --events 2756101 30000000 --rounds 3

Ours is ``ecom-analytics run FILE --no-export`` in a fresh folder, from the start of the process to its end, which
comes after the warehouse is published. A yardstick is a program ``reference_*.py FILE FOLDER``. For each: wall time;
the largest resident size of one process of its tree (VmHWM); the largest sum over the tree of proportional sizes (PSS,
sampled, so that shared pages count once). Ratios are of medians; the spread is that of the ratios of single rounds. The
start-up times are the best of several.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = "ecom-analytics"


@dataclass(frozen=True)
class Measured:
    """One run of one program."""

    name: str
    events: int
    seconds: float
    largest_process_gb: float
    tree_gb: float


class Memory:
    """Samples the memory of a process and all its descendants until it is stopped."""

    def __init__(self, pid: int, every: float = 0.1) -> None:
        self._pid = pid
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.largest_process = 0
        self.tree = 0

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            pids = list(descendants(self._pid))
            self.tree = max(self.tree, sum(kilobytes(pid, "smaps_rollup", "Pss") for pid in pids))
            self.largest_process = max([self.largest_process, *(kilobytes(pid, "status", "VmHWM") for pid in pids)])


def descendants(pid: int) -> Iterator[int]:
    """A process and all below it; those that end meanwhile are left out."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from descendants(int(child))


def kilobytes(pid: int, file: str, key: str) -> int:
    """A number out of a process's accounts; 0 if it has ended."""
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def measure(name: str, events: int, command: Sequence[str | Path], folder: Path) -> Measured:
    """Run a program in an empty folder, which is removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()  # what others have written is not ours to wait for
    log = folder.parent / f"{name}.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        with (
            subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL) as process,
            Memory(process.pid) as memory,
        ):
            code = process.wait()
            seconds = time.perf_counter() - began
    if code:
        raise SystemExit(f"{name} failed with exit code {code}:\n{log.read_text()[-4_000:]}")
    shutil.rmtree(folder)
    return Measured(name, events, seconds, memory.largest_process / 1e6, memory.tree / 1e6)


def program() -> list[str | Path]:
    """Our command line, of the interpreter that runs this."""
    return [Path(sys.executable).parent / OURS]


def events_file(folder: Path, events: int, like: str) -> Path:
    """A file of so many events, made once."""
    path = folder / f"{like}-{events}.csv"
    if not path.exists():
        say(f"making {events:,} events")
        subprocess.run(
            [*program(), "generate", path, "--like", like, "--events", str(events)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return path


def rounds(
    path: Path, events: int, yardsticks: Sequence[Path], how_many: int, work: Path, extra: Sequence[str]
) -> list[Measured]:
    """All programs in turn, so that what the machine does besides falls on all alike."""
    measured = []
    for number in range(how_many):
        programs = [(OURS, [*program(), "run", path, "--home", work / OURS / "home", "--no-export", "--json", *extra])]
        programs += [(script.stem, [sys.executable, script, path, work / script.stem / "out"]) for script in yardsticks]
        if number % 2:
            programs.reverse()
        for name, command in programs:
            measured.append(measure(name, events, command, work / name))
            one = measured[-1]
            memory = f"{one.largest_process_gb:5.2f} GB  {one.tree_gb:5.2f} GB tree"
            say(f"{events:>12,}  round {number + 1}  {name:<20} {one.seconds:8.2f} s  {memory}")
    return measured


def compare(measured: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """Medians of each program, and the ratios of ours to each yardstick with their spread over the rounds."""
    by_name: dict[str, list[Measured]] = {}
    for one in measured:
        by_name.setdefault(one.name, []).append(one)
    found: dict[str, dict[str, float]] = {}
    for name, runs in by_name.items():
        found[name] = {}
        for what in ("seconds", "largest_process_gb", "tree_gb"):
            values = [getattr(run, what) for run in runs]
            found[name][what] = statistics.median(values)
            if name != OURS:
                ratios = sorted(getattr(ours, what) / value for ours, value in zip(by_name[OURS], values, strict=True))
                ours_median = statistics.median(getattr(run, what) for run in by_name[OURS])
                found[name] |= {
                    f"{what}_ratio": ours_median / found[name][what],
                    f"{what}_ratio_least": ratios[0],
                    f"{what}_ratio_most": ratios[-1],
                }
    return found


def described(compared: dict[str, dict[str, float]]) -> str:
    """The comparison, for a person."""
    lines = [
        f"{name:<20} {facts['seconds']:8.2f} s"
        f"  {facts['largest_process_gb']:5.2f} GB largest process  {facts['tree_gb']:5.2f} GB tree"
        for name, facts in compared.items()
    ]
    words = {"seconds": "wall", "largest_process_gb": "largest process", "tree_gb": "tree"}
    for name, facts in compared.items():
        if name != OURS:
            ratios = [
                f"{word} {facts[f'{what}_ratio']:.2f}"
                f" ({facts[f'{what}_ratio_least']:.2f} to {facts[f'{what}_ratio_most']:.2f})"
                for what, word in words.items()
            ]
            lines.append(f"ours / {name}: {', '.join(ratios)}")
    return "\n".join(lines)


def start_up(times: int) -> dict[str, float]:
    """Seconds until help is printed and until the package is imported, beside an interpreter that does nothing."""
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import ecom_analytics": [sys.executable, "-c", "import ecom_analytics"],
        f"{OURS} --help": [*program(), "--help"],
        f"{OURS} run --help": [*program(), "run", "--help"],
    }
    best = {}
    for name, command in commands.items():
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
            taken.append(time.perf_counter() - began)
        best[name] = min(taken)
    return best


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[2_756_101], help="sizes [2756101]")
    parser.add_argument("--like", default="retailrocket", help="shape of the data; yardsticks read retailrocket only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--yardsticks", type=Path, default=ROOT.parent / "shared" / "bench", help="folder of reference_*.py"
    )
    parser.add_argument("--only", nargs="*", help="names of the yardsticks to run [all]; none: ours alone")
    parser.add_argument("--work", type=Path, help="folder for files; kept [a temporary one]")
    parser.add_argument("--options", default="", help="more options for our run, such as '--threads 1'")
    parser.add_argument("--json", type=Path, help="file to write all measurements to")
    arguments = parser.parse_args()

    yardsticks = (
        sorted(arguments.yardsticks.resolve().glob("reference_*.py")) if arguments.like == "retailrocket" else []
    )
    if arguments.only is not None:
        yardsticks = [path for path in yardsticks if path.stem in arguments.only]
    work = arguments.work or Path(tempfile.mkdtemp(prefix="ecom-benchmark-"))
    work.mkdir(parents=True, exist_ok=True)
    started = start_up(5)
    result: dict[str, object] = {"start_up": started}
    print("\n".join(f"{name:<28} {seconds:6.3f} s" for name, seconds in started.items()))
    try:
        for events in arguments.events:
            path = events_file(work.resolve(), events, arguments.like)
            measured = rounds(path, events, yardsticks, arguments.rounds, work.resolve(), arguments.options.split())
            compared = compare(measured)
            result[str(events)] = {"compared": compared, "measured": [asdict(one) for one in measured]}
            print(
                f"\n{events:,} events, medians of {arguments.rounds} rounds", described(compared), sep="\n", flush=True
            )
    finally:
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=1))
        if not arguments.work:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
