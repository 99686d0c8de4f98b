"""The command that erases visitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ecom_analytics.cli.options import WORK, with_settings
from ecom_analytics.cli.output import Output, number, table

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.erasure import ForgetReport


@click.command()
@click.argument("visitors", nargs=-1, metavar="VISITOR...")
@click.option("--source", help="Only visitors of this source. [all sources]")
@click.option("--yes", is_flag=True, help="Do it. Without this, only what would be erased is shown.")
@click.option("--pending", is_flag=True, help="Erase those forgotten before from raw files that came later.")
@with_settings(*WORK)
def forget(
    settings: Settings, output: Output, visitors: tuple[str, ...], source: str | None, yes: bool, pending: bool
) -> None:
    """Erase visitors: from raw files, staged tables, builds, exports, and from files to come.

    VISITOR is a visitor or user id exactly as events have it. First only what would be erased is shown; --yes does
    it. It cannot be undone, and nobody can roll back to an older build.
    """
    from ecom_analytics import Eraser

    if pending and (visitors or source):
        raise click.UsageError("--pending takes neither visitors nor a source")
    if not pending and not visitors:
        raise click.UsageError("name at least one visitor, or ask for --pending")
    with output.watching() as watch:
        eraser = Eraser(settings, watch=watch)
        report = eraser.pending(dry_run=not yes) if pending else eraser.forget(visitors, source=source, dry_run=not yes)
    output.report("forget", report.to_dict(), _summary(report))


def _summary(report: ForgetReport) -> str:
    will = "would be" if report.dry_run else "were"
    if not report.records and not report.builds:
        return "No record to erase: nothing holds one." if report.dry_run else "Nothing is left to erase."
    lines = [f"{number(report.records)} records in {number(len(report.batches))} raw files {will} erased."]
    rows = [
        (f"  {batch.name}", f"{number(batch.records)}, {number(batch.rejected)} of them rejected")
        for batch in report.batches
    ]
    lines.append(table(rows).rstrip())
    if report.builds:
        lines.append(f"Builds that {will} deleted: {', '.join(report.builds)}.")
    if report.exports:
        lines.append(f"Exports that {will} deleted: {', '.join(report.exports)}.")
    if report.dry_run:
        lines.append("Nothing was changed. To do it, say --yes; it cannot be undone.")
    elif report.build_id:
        lines.append(f"Build {report.build_id} is served, without them.")
    return "\n".join(line for line in lines if line)
