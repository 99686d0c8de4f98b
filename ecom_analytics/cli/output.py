"""What the command line prints: progress on a terminal, JSON lines off it, one sentence for an error."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from ecom_analytics.disk import full, is_full
from ecom_analytics.errors import EcomError
from ecom_analytics.progress import Progress, Watcher


class Output:
    """Where a command tells what it does.

    Parameters
    ----------
    as_json : bool
        One JSON object a line on standard output, the last one being the report. Always so off a terminal.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json or not sys.stdout.isatty()

    def line(self, event: str, **facts: Any) -> None:
        """One JSON line."""
        click.echo(json.dumps({"event": event, **facts}, ensure_ascii=False, allow_nan=False))

    def report(self, command: str, report: Mapping[str, Any], summary: str) -> None:
        """The last word: the report as JSON, or its summary for a person."""
        if self.as_json:
            self.line("report", command=command, **report)
        else:
            click.echo(summary)

    def say(self, text: str, event: str = "message", **facts: Any) -> None:
        """A sentence for a person, or the facts as a JSON line."""
        if self.as_json:
            self.line(event, message=text, **facts)
        else:
            click.echo(text)

    @contextmanager
    def watching(self) -> Iterator[Watcher]:
        """A watcher of progress for as long as the block lasts."""
        if self.as_json:
            yield _throttled(
                lambda p: self.line("progress", **{k: v for k, v in p.to_dict().items() if v not in (None, "")})
            )
        elif sys.stderr.isatty():
            with _bars() as watcher:
                yield watcher
        else:
            yield lambda progress: None


def _throttled(write: Callable[[Progress], None], seconds: float = 1.0) -> Watcher:
    """Pass on a progress when its stage or message changes, or after a while."""
    last: tuple[str, str] | None = None
    at = 0.0

    def watch(progress: Progress) -> None:
        nonlocal last, at
        key, now = (progress.stage, progress.message), time.monotonic()
        if key != last or now - at >= seconds:
            last, at = key, now
            write(progress)

    return watch


@contextmanager
def _bars() -> Iterator[Watcher]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.fields[stage]:<7}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def watch(progress: Progress) -> None:
            for stage, task in tasks.items():
                if stage != progress.stage and not bars.tasks[task].finished:
                    bars.update(task, total=1, completed=1)
                    bars.stop_task(task)
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task("", total=None, stage=progress.stage)
            bars.update(
                tasks[progress.stage],
                description=progress.message,
                total=progress.total,
                completed=progress.done if progress.done is not None else 0,
            )

        yield watch
        for task in tasks.values():
            bars.update(task, total=1, completed=1)


def show_warnings() -> None:
    """Write what the package warns of to standard error, as sentences."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("Warning: %(message)s"))
    handler.addFilter(lambda record: record.levelno == logging.WARNING)
    logging.getLogger("ecom_analytics").addHandler(handler)


@contextmanager
def report_errors(ctx: click.Context) -> Iterator[None]:
    """Turn an error into one sentence and a hint on standard error, and its exit code."""
    try:
        yield
    except EcomError as error:
        _fail(ctx, error)
    except OSError as error:
        _fail(ctx, _os_error(error))


def _os_error(error: OSError) -> EcomError:
    if is_full(error):
        return full(error.filename or "the output")
    place = f" {error.filename}" if error.filename else ""
    return EcomError(
        f"the operating system refused{place}: {error.strerror or error}", hint="check the path and its permissions"
    )


def _fail(ctx: click.Context, error: EcomError) -> None:
    if ctx.params.get("debug"):
        raise error
    if not sys.stdout.isatty():
        facts = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        click.echo(json.dumps({"event": "error", **facts}, ensure_ascii=False))
    click.echo(f"Error: {error.message}", err=True)
    if error.hint:
        click.echo(f"Hint:  {error.hint}", err=True)
    sys.stdout.flush()
    ctx.exit(error.exit_code)


def number(value: float) -> str:
    """A count for a person.

    Examples
    --------
    >>> number(2756101)
    '2,756,101'
    """
    return f"{value:,.0f}"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned columns; every column but the first to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def shown_path(path: object) -> str:
    """A path relative to the working directory where that is shorter."""
    text = str(path)
    relative = os.path.relpath(text) if "://" not in text else text
    return relative if len(relative) < len(text) else text
