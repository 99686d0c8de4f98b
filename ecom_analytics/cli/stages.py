"""The stages as commands: ingest, stage, build, export, and run for all of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from ecom_analytics.cli.explain import differences, tell
from ecom_analytics.cli.options import BUILD, EXPORT, FILES, PLACES, WORK, with_settings
from ecom_analytics.cli.output import Output, number, shown_path, table

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.reports import BuildReport, ExportReport, IngestReport, RunReport, StageReport

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--daily", is_flag=True, help="Cut each file into its days, a batch for each.")
@click.option("--explain", is_flag=True, help="Only say what the files are taken for, and show their first events.")
@with_settings(*PLACES, *FILES, "timezone")
def ingest(settings: Settings, output: Output, files: tuple[str, ...], daily: bool, explain: bool) -> None:
    """Copy raw event FILES (files, folders or globs, local or s3://) into the lake, once: same bytes, same batch."""
    from ecom_analytics import Ingestor, Pipeline

    if explain:
        tell(output, Ingestor(settings).explain(*files))
        return
    with output.watching() as watch:
        report = Pipeline(settings, watch=watch).ingest(*files, daily=daily)
    output.report("ingest", report.to_dict(), ingested(report))


@click.command()
@with_settings(*WORK)
def stage(settings: Settings, output: Output) -> None:
    """Turn what is new in the lake into canonical events; every record gets an answer."""
    from ecom_analytics import Pipeline

    with output.watching() as watch:
        report = Pipeline(settings, watch=watch).stage()
    output.report("stage", report.to_dict(), staged(report))


@click.command()
@click.option("--force", is_flag=True, help="Build even if the served build is up to date.")
@click.option("--full-refresh", is_flag=True, help="Build even then, and make every table anew.")
@click.option("--select", multiple=True, help="Only try these models and tests, by dbt's selectors; publish nothing.")
@click.option("--exclude", multiple=True, help="Try all but these.")
@click.option("--docs", metavar="FOLDER", help="Then write pages about the served build's tables into this folder.")
@with_settings(*BUILD)
def build(
    settings: Settings,
    output: Output,
    force: bool,
    full_refresh: bool,
    select: tuple[str, ...],
    exclude: tuple[str, ...],
    docs: str | None,
) -> None:
    """Build the marts into a new file, run every test, and publish it only if they pass."""
    from ecom_analytics import MartBuilder, Pipeline

    with output.watching() as watch:
        report = Pipeline(settings, watch=watch).build(force, full_refresh, select=select, exclude=exclude)
        page = MartBuilder(settings, watch=watch).docs(docs) if docs else None
    told = [built(report), *([f"Wrote {shown_path(page)}."] if page else [])]
    output.report("build", report.to_dict(), "\n".join(told))


@click.command()
@click.argument("destination", required=False)
@click.option("--as", "formats", multiple=True, help="Format to write: parquet, csv, jsonl, delta; may be repeated.")
@click.option("--select", multiple=True, metavar="MART", help="Mart to write; may be repeated. [all]")
@with_settings(*PLACES, *EXPORT)
def export(
    settings: Settings, output: Output, destination: str | None, formats: tuple[str, ...], select: tuple[str, ...]
) -> None:
    """Write the published marts to DESTINATION, a folder or s3://bucket/prefix, the manifest last."""
    from ecom_analytics import Pipeline

    with output.watching() as watch:
        report = Pipeline(settings, watch=watch).export(destination, formats or None, select or None)
    output.report("export", report.to_dict(), exported(report))


@click.command()
@click.argument("files", nargs=-1)
@click.option("--daily", is_flag=True, help="Cut each file into its days, a batch for each.")
@click.option("--export", "destination", metavar="FOLDER|S3", help="Where to export to. [exports in home]")
@click.option("--no-export", is_flag=True, help="Do not export.")
@click.option("--full-refresh", is_flag=True, help="Read all raw files again, and make every table anew.")
@click.option("--from", "since", type=_DAY, metavar="DAY", help="Read raw files again that were ingested since then.")
@click.option("--to", "until", type=_DAY, metavar="DAY", help="Read raw files again that were ingested until then.")
@with_settings(*BUILD, *FILES)
def run(
    settings: Settings,
    output: Output,
    files: tuple[str, ...],
    daily: bool,
    destination: str | None,
    no_export: bool,
    full_refresh: bool,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Run the whole way: ingest FILES, stage, build, test, publish, export.

    What is done already is not done again: a run that failed goes on where it failed when it is run once more.
    """
    from ecom_analytics import Pipeline

    with output.watching() as watch:
        report = Pipeline(settings, watch=watch).run(
            *files,
            daily=daily,
            export=False if no_export else destination or True,
            full_refresh=full_refresh,
            since=since.date() if since else None,
            until=until.date() if until else None,
        )
    output.report("run", report.to_dict(), summary(report))


def ingested(report: IngestReport) -> str:
    line = (
        f"Ingested {number(report.new)} of {number(report.files)} files; {number(report.already_present)} were there."
    )
    return "\n".join([line, *differences(report)])


def staged(report: StageReport) -> str:
    """The account of every record, as a sum."""
    rows = [
        ("records in", number(report.records)),
        ("= staged", number(report.staged)),
        ("+ duplicates", number(report.duplicates)),
        ("+ rejected", number(report.rejected)),
        ("+ blank lines", number(report.blank)),
    ]
    if report.erased:
        rows.append(("+ erased", number(report.erased)))
    lines = [table(rows)]
    if report.rejected_by_rule:
        rules = ", ".join(f"{rule} {number(count)}" for rule, count in report.rejected_by_rule.items())
        lines.append(f"Rejected: {rules}. See them with: ecom-analytics rejected")
    if report.days_touched:
        lines.append(cost(report))
    if report.warned_by_rule:
        rules = ", ".join(f"{rule} {number(count)}" for rule, count in report.warned_by_rule.items())
        lines.append(f"Warned of: {rules}. These are staged.")
    return "\n".join(lines)


def cost(report: StageReport) -> str:
    """What the stage had to touch."""
    first, last = report.days_touched[0], report.days_touched[-1]
    days = first if first == last else f"{number(report.days)} days from {first} to {last}"
    return (
        f"Touched {days} and {number(report.visitors_touched)} visitors: "
        f"{number(report.rows_read)} rows read, {number(report.rows_written)} written."
    )


def built(report: BuildReport) -> str:
    if report.rolled_back:
        return (
            f"Build {report.build_id} stays served: what is staged was rolled back. Build it all the same with --force."
        )
    if not report.built:
        return f"Build {report.build_id} is up to date."
    rows = ", ".join(f"{mart} {number(count)}" for mart, count in report.rows.items())
    if report.published:
        lines = [f"Published build {report.build_id}: {number(report.tests)} tests passed."]
    else:
        lines = [f"{number(report.tests)} tests passed. Nothing was published; see {shown_path(str(report.path))}."]
    lines += [f"Rows: {rows}."] if rows else []
    lines += [f"Warning: {check.message}" for check in report.warnings]
    if report.conflicts:
        lines.append(
            f"{number(report.conflicts)} purchases contradict another one of their transaction: see mart conflicts."
        )
    return "\n".join(lines)


def exported(report: ExportReport) -> str:
    if not report.exported:
        return f"Build {report.build_id} was exported to {shown_path(report.destination)} before."
    files, new = len(report.tables), report.files_written
    told = f"Exported {number(files)} files to {shown_path(report.destination)}"
    return f"{told}." if new >= files else f"{told}: {number(new)} of them new, the others as they were."


def summary(report: RunReport) -> str:
    """The four stages in a few lines."""
    if not report.changed:
        return f"Nothing new: build {report.build.build_id} is up to date.\n{staged(report.stage)}"
    parts = [ingested(report.ingest)] if report.ingest else []
    parts += [staged(report.stage), built(report.build)]
    if report.export:
        parts.append(exported(report.export))
    parts += [f"Notice: {notice.message}." for notice in report.notices if notice.kind != "test_warned"]
    parts.append(f"Done in {report.seconds:.1f} s.")
    return "\n".join(parts)
