"""``ecom-analytics diagnose``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ecom_analytics.cli.options import PLACES, with_settings
from ecom_analytics.cli.output import Output

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.diagnose import DiagnosisReport, Finding

_SHOWN = 5


@click.command()
@click.option("--limit", type=click.IntRange(min=1), help="Show so many lines of each finding. [5, or 20 with --json]")
@with_settings(*PLACES, "memory_limit", "threads")
@click.pass_context
def diagnose(ctx: click.Context, settings: Settings, output: Output, limit: int | None) -> None:
    """Show what is wrong in the data, by cause, with files and lines, and what can be done.

    Tests of the last build that failed or warned, what staging set aside, and what is hardly true. Exit code 2
    if a test failed, else 0, whatever else was found; 1 is for errors.
    """
    from ecom_analytics.diagnose import Diagnoser

    report = Diagnoser(settings).diagnose(limit=limit or (20 if output.as_json else _SHOWN))
    output.report("diagnose", report.to_dict(), "\n".join(_lines(report)))
    if report.of("failed_test"):
        ctx.exit(2)


def _lines(report: DiagnosisReport) -> Iterator[str]:
    for finding in report.findings:
        yield from _finding(finding)
    if report.is_clean:
        yield "Nothing was found."
    yield from (f"Note: {note}." for note in report.notes)


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.cause}: {finding.sentence}"
    for row in finding.rows[:_SHOWN]:
        yield f"    row: {_facts(row)}"
    for spot in finding.spots:
        yield f"    {spot.place}  {_facts(spot.facts)}".rstrip()
    if finding.spots and finding.count > len(finding.spots) and not finding.rows:
        yield f"    … and {finding.count - len(finding.spots):,} more."
    yield f"  {finding.advice}"


def _facts(facts: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
