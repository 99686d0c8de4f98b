"""Commands of whoever runs it every night: plan, status, runs, rollback, maintain, verify, doctor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from ecom_analytics.cli.options import BUILD, FILES, PLACES, with_settings
from ecom_analytics.cli.output import Output, number, shown_path, table

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.history import Run
    from ecom_analytics.plan import PlanReport
    from ecom_analytics.status import StatusReport


@click.command()
@with_settings(*PLACES)
def status(settings: Settings, output: Output) -> None:
    """Show what is in the lake, which build is served, how fresh it is, and how the last run went."""
    from ecom_analytics.status import status as look

    found = look(settings)
    output.report("status", found.to_dict(), "\n".join(_status(found)))


@click.command()
@click.argument("files", nargs=-1)
@with_settings(*BUILD, *FILES)
def plan(settings: Settings, output: Output, files: tuple[str, ...]) -> None:
    """Say what `run` would do with FILES, or without: new files, days, models, rows and time. Nothing is written."""
    from ecom_analytics.plan import plan as foresee

    found = foresee(settings, *files)
    output.report("plan", found.to_dict(), "\n".join(_planned(found)))


@click.group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Show so many runs.")
@with_settings(*PLACES)
@click.pass_context
def runs(ctx: click.Context, settings: Settings, output: Output, limit: int) -> None:
    """List the last runs; `runs show ID` shows one with its stages, models and tests."""
    from ecom_analytics.history import History

    if ctx.invoked_subcommand is not None:
        ctx.obj = (settings, output)
        return
    found = History(settings).runs(limit)
    output.report("runs", {"runs": [run.to_dict() for run in found]}, _listed(found))


@runs.command()
@click.argument("run_id", default="latest")
@with_settings(*PLACES)
@click.pass_context
def show(ctx: click.Context, settings: Settings, output: Output, run_id: str) -> None:
    """Show the run of this ID or of one that begins so. Default: the latest."""
    from ecom_analytics.history import History

    before = ctx.find_object(tuple)
    if before is not None and not any(ctx.params[name] for name in PLACES):
        settings = before[0]
    run = History(settings).run(run_id)
    output.report("runs show", run.to_dict(), "\n".join(_shown(run)))


@click.command()
@click.argument("build_id", required=False)
@with_settings("home", "warehouse", "lake")
def rollback(settings: Settings, output: Output, build_id: str | None) -> None:
    """Serve a build again that is kept: the one of BUILD_ID, or the newest that is older than the served one.

    What was rolled back is not built again by itself, until something else is staged or a model or setting changes;
    `build --force` builds it.
    """
    from ecom_analytics import Pipeline

    with output.watching() as watch:
        build = Pipeline(settings, watch=watch).rollback(build_id)
    facts = {"build_id": build.build_id, "built_at": build.built_at.isoformat(), "as_of": build.info.get("as_of")}
    output.report("rollback", facts, f"Serving build {build.build_id} again, data through {build.info.get('as_of')}.")


@click.command()
@with_settings(*PLACES)
def maintain(settings: Settings, output: Output) -> None:
    """Delete what nobody needs any more: replaced files, old builds and exports; make few files of many.

    A run does it by itself, every 24 hours (setting maintenance_hours).
    """
    from ecom_analytics import Pipeline

    with output.watching() as watch:
        report = Pipeline(settings, watch=watch).maintain()
    size = ""
    if report.bytes_before is not None and report.bytes_after is not None:
        size = f" The lake has {report.bytes_after / 1e6:,.1f} MB; it had {report.bytes_before / 1e6:,.1f}."
    output.report(
        "maintain",
        report.to_dict(),
        f"Deleted {number(report.files_deleted)} replaced files, {number(len(report.builds_deleted))} builds and "
        f"{number(report.exports_deleted)} files of old exports.{size}",
    )


@click.command()
@with_settings(*BUILD)
@click.pass_context
def verify(ctx: click.Context, settings: Settings, output: Output) -> None:
    """Make all anew from the raw files, aside, and compare every table with what is there, row by row.

    Nothing is changed. Exit code 3 if a table differs.
    """
    from ecom_analytics import Pipeline

    with output.watching() as watch:
        report = Pipeline(settings, watch=watch).verify()
    lines = []
    for one in report.tables:
        told = "equal" if one.is_equal else f"{number(one.missing)} missing, {number(one.unexpected)} unexpected"
        lines.append(f"{one.name:<26} {number(one.rows):>12} rows  {told}")
        lines += [f"    {example}" for example in one.examples]
    output.report("verify", report.to_dict(), "\n".join(lines))
    if not report.equal:
        ctx.exit(3)


@click.command()
@with_settings(*BUILD, "mapping")
@click.pass_context
def doctor(ctx: click.Context, settings: Settings, output: Output) -> None:
    """Check versions, settings, credentials, lake, warehouse, disk and clock, and say what to do.

    Exit code 1 if something would make a run fail.
    """
    from ecom_analytics.doctor import examine

    found = examine(settings)
    lines = []
    for one in found.examined:
        lines.append(f"{one.status:<5} {one.name:<13} {one.message}")
        lines += [f"{'':<19} {one.hint}"] * bool(one.hint)
    output.report("doctor", found.to_dict(), "\n".join(lines))
    if not found.healthy:
        ctx.exit(1)


def _planned(found: PlanReport) -> Iterator[str]:
    for file in found.files:
        about = "" if file.exact else "about "
        days = f", {_days(file.days, file.exact)}" if file.days else ""
        what = "in the lake already" if file.known else f"new: {about}{number(file.records or 0)} records{days}"
        yield f"{shown_path(file.path)} ({file.source_format}): {what}"
    if not found.to_stage and found.build == "none":
        yield f"Nothing to do: {found.reason}."
        return
    about = "" if found.records_are_exact else "about "
    known = f", {number(found.days_known)} of them known" if found.days else ""
    if found.to_stage:
        days = f" of {_days(found.days, True)}{known}" if found.days else ""
        yield f"Stage {number(found.to_stage)} files with {about}{number(found.records)} records{days}."
    if found.build != "none":
        yield f"Build {number(len(found.models))} models, {found.build}: {found.reason}."
    yield f"This may take {_duration(found.seconds)}."


def _days(days: Sequence[date], exact: bool) -> str:
    if len(days) == 1:
        return str(days[0])
    return f"{f'{number(len(days))} days ' if exact else ''}from {days[0]} to {days[-1]}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _status(found: StatusReport) -> Iterator[str]:
    rows = [
        ("lake", shown_path(found.lake)),
        ("batches", f"{number(found.batches)}, {number(found.batches_to_stage)} to stage"),
        ("staged", number(found.account.staged)),
        ("rejected", number(found.account.rejected)),
        ("warehouse", shown_path(found.warehouse)),
    ]
    build = found.build
    if build is None:
        rows.append(("served build", "none yet"))
    else:
        warned = f", {number(build.tests['warn'])} warned" if build.tests["warn"] else ""
        rows += [
            ("served build", f"{build.build_id}, {'up to date' if found.up_to_date else 'older than the lake'}"),
            ("data through", f"{build.as_of} ({_age(build.age_hours)} ago)" if build.as_of else "no event"),
            ("made of", _batches(build.batches)),
            ("made by", f"version {build.model_version}; {number(build.tests['pass'])} tests passed{warned}"),
        ]
    rows += [
        ("kept build", f"{one.build_id}, {one.bytes / 1e6:,.1f} MB")
        for one in found.kept
        if build is None or one.build_id != build.build_id
    ]
    if found.last_run:
        run = found.last_run
        rows.append(("last run", f"{run.name} {run.status} at {run.started_at:%Y-%m-%d %H:%M} UTC: {run.run_id}"))
    yield from (f"{name:<14} {value}" for name, value in rows)


def _age(hours: float | None) -> str:
    return f"{hours or 0:,.0f} hours" if (hours or 0) < 72 else f"{(hours or 0) / 24:,.0f} days"


def _batches(batches: dict[str, Any]) -> str:
    named = ", ".join(one["name"] for one in batches.get("last", ())[:3])
    count = batches.get("count", 0)
    return named or "no file" if count < 2 else f"{number(count)} files, the last ones {named}"


def _listed(found: list[Run]) -> str:
    if not found:
        return "Nothing ran yet."
    head = ("run", "what", "how", "started", "seconds", "build")
    rows = [
        (run.run_id, run.name, run.status, f"{run.started_at:%Y-%m-%d %H:%M}", f"{run.seconds:.1f}", run.build_id or "")
        for run in found
    ]
    return table([head, *rows])


def _shown(run: Run) -> Iterator[str]:
    yield f"{run.run_id}: {run.name}, {run.status} after {run.seconds:.1f} s, at {run.started_at:%Y-%m-%d %H:%M} UTC"
    if run.message:
        yield f"  {run.message}"
    memory = f"{run.peak_memory_bytes / 2**20:,.0f} MiB at most"
    yield f"  version {run.package_version}, settings {run.settings_hash}, {memory}"
    for step in run.steps:
        if step.kind == "stage":
            told = ", ".join(f"{name} {value}" for name, value in step.counts.items() if value not in (None, 0, {}, []))
            yield f"{step.name}: {step.status}, {step.seconds:.1f} s" + (f" ({told})" if told else "")
    models = [step for step in run.steps if step.kind != "stage"]
    slow = sorted(models, key=lambda step: -step.seconds)[:10]
    if models:
        yield f"models: {len(models)}; the slowest:"
        rows = [(f"  {m.name}", m.status, f"{m.seconds:.2f} s", _rows(m.row_count, m.rows_written)) for m in slow]
        yield table(rows)
    yield from (f"{step.name} {step.status}: {step.message}" for step in models if step.message)
    if run.checks:
        good = sum(check.status == "pass" for check in run.checks)
        yield f"tests: {good} of {len(run.checks)} passed"
        yield from (f"  {one.name} {one.status}: {one.message}" for one in run.checks if one.status != "pass")


def _rows(count: int | None, written: int | None) -> str:
    if count is None:
        return ""
    return f"{number(count)} rows" + (f", {number(written)} written" if written is not None else "")
