"""What a run would do, before it does it: new files, days, models, rows and time. Nothing is written."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.errors import NotBuiltError
from ecom_analytics.history import History
from ecom_analytics.ingest import Ingestor
from ecom_analytics.ingest.foresee import Foreseen
from ecom_analytics.lake import batches, listed
from ecom_analytics.marts import project
from ecom_analytics.marts.publication import is_refused
from ecom_analytics.marts.start import LARGEST_CHANGE
from ecom_analytics.reports import Report
from ecom_analytics.staging import Snapshot, snapshot
from ecom_analytics.storages import open_storage
from ecom_analytics.warehouse import Build, Warehouse

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

STAGE_SECONDS, STAGE_SECONDS_BY_ROW = 1.0, 2e-6
BUILD_SECONDS, BUILD_SECONDS_BY_ROW = 6.0, 5e-6
"""What stages take on a machine that nothing is known of."""

MANY = 50_000
"""A stage of fewer records does not say how long one takes."""

RUNS = 20
"""The last so many runs say how long it takes here."""


@dataclass(frozen=True, slots=True)
class PlanReport(Report):
    """What a run would do.

    Attributes
    ----------
    files : tuple of Foreseen
        Each file that was named.
    new_files : int
        Those that the lake does not hold.
    to_stage : int
        Batches that would be staged: the new ones, and those that the lake holds and that are not staged yet.
    records : int
        Records of the new files, and of the others if their sizes tell.
    records_are_exact : bool
        False if some of them are estimated.
    days : tuple of datetime.date
        Days of the new files' events; of a file that was looked at in some places, all between those that were seen.
        Days after them are judged again where a session goes on over
        midnight.
    days_known : int
        Those among them of which there are staged events.
    build : str
        ``none``, ``incremental`` or ``full``.
    reason : str
        Why.
    models : tuple of str
        Models that would be built.
    seconds : float
        How long it may take.
    seconds_from : str
        ``history`` if earlier runs of this lake say so; ``defaults`` if there are none.
    """

    files: tuple[Foreseen, ...]
    new_files: int
    to_stage: int
    records: int
    records_are_exact: bool
    days: tuple[date, ...]
    days_known: int
    build: str
    reason: str
    models: tuple[str, ...]
    seconds: float
    seconds_from: str


def plan(
    settings: Settings, *paths: str | Path, source: str | None = None, source_format: str | None = None
) -> PlanReport:
    """Say what :meth:`ecom_analytics.Pipeline.run` would do with these files, or without any.

    Parameters
    ----------
    settings : Settings
    *paths, source, source_format
        As for :meth:`ecom_analytics.Pipeline.run`.

    Raises
    ------
    EcomError
        A file cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from ecom_analytics import Settings
    >>> found = plan(Settings(home=tempfile.mkdtemp()))
    >>> found.build, found.reason
    ('full', 'nothing was built yet')
    """
    lake = open_storage(settings.lake, settings)
    staged = snapshot(settings)
    rows = staged.batches.select(["source", "batch_id", "bytes", "records"]).to_pylist()
    known = {(row["source"], row["batch_id"]) for row in rows}
    waiting = list(batches(lake, known=known, among=listed(lake)))
    sizes = {row["bytes"] for row in rows} | {batch.bytes for batch in waiting}
    ingestor = Ingestor(settings)
    files = ingestor.foresee(*paths, source=source, source_format=source_format, sizes=sizes) if paths else ()
    new = [file for file in files if not file.known]
    by_byte = sum(row["records"] for row in rows) / max(sum(row["bytes"] for row in rows), 1) or 1 / 100
    records = sum(file.records or 0 for file in new) + round(sum(batch.bytes for batch in waiting) * by_byte)
    days = tuple(sorted({day for file in new for day in _all_days(file)}))
    there = {path.rpartition("event_date=")[2].partition("/")[0] for path in staged.files}
    to_stage = len(waiting) + len(new)
    kind, reason = _build(settings, staged, to_stage, {day.isoformat() for day in days}, there)
    seconds, seconds_from = _seconds(settings, kind, to_stage, records, staged.account.staged + records)
    return PlanReport(
        files=tuple(files),
        new_files=len(new),
        to_stage=to_stage,
        records=records,
        records_are_exact=not waiting and all(file.exact for file in new),
        days=days,
        days_known=sum(day.isoformat() in there for day in days),
        build=kind,
        reason=reason,
        models=() if kind == "none" else _models(touched=kind == "incremental"),
        seconds=round(seconds, 1),
        seconds_from=seconds_from,
    )


def _all_days(file: Foreseen) -> Iterator[date]:
    """The days of a file; of one that was looked at in some places, those between as well."""
    if file.exact or not file.days:
        yield from file.days
        return
    first, last = file.days[0], file.days[-1]
    yield from (first + timedelta(days=number) for number in range((last - first).days + 1))


def _build(settings: Settings, staged: Snapshot, to_stage: int, days: set[str], there: set[str]) -> tuple[str, str]:
    """How the marts would be built, and why."""
    served = _served(settings)
    if served is None:
        return "full", "nothing was built yet"
    if served.info.get("fingerprint") != project.fingerprint(settings):
        return "full", "a model, a setting or a version is another than that of the served build"
    if not to_stage and served.info.get("staged_version") == staged.version:
        return "none", "the served build holds all that is in the lake"
    if not to_stage and is_refused(settings.warehouse, served, staged.version, project.fingerprint(settings)):
        return "none", "a build of what is staged was rolled back"
    if len(days) > LARGEST_CHANGE * max(len(there | days), 1):
        return "full", f"more than {LARGEST_CHANGE:.0%} of all days would change"
    return "incremental", "only what the new events touch is replaced"


def _served(settings: Settings) -> Build | None:
    try:
        return Warehouse(settings).current()
    except NotBuiltError:
        return None


def _models(touched: bool) -> tuple[str, ...]:
    """Names of the models that are built."""
    found = (path for path in (project.folder() / "models").rglob("*") if path.suffix in {".sql", ".py"})
    return tuple(
        sorted(
            path.stem
            for path in found
            if touched or (path.parent.name != project.TOUCHED and path.stem != "stg_changes")
        )
    )


def _seconds(settings: Settings, kind: str, to_stage: int, new: int, total: int) -> tuple[float, str]:
    """How long it may take: after the last runs of this lake, or as it takes elsewhere."""
    history = History(settings)
    stages: dict[str, list[float]] = {"stage": [], "incremental": [], "full": []}
    for run in history.steps(RUNS):
        if run.status != "success":
            continue
        if run.name == "stage" and run.counts.get("new_records", 0) >= MANY:
            stages["stage"].append(max(run.seconds - STAGE_SECONDS, 0) / run.counts["new_records"])
        if run.name == "build" and run.counts.get("built"):
            how = "incremental" if run.counts["started_from"] else "full"
            stages[how].append(run.seconds)
    seconds, known = 0.0, bool(stages["stage"] or stages["full"])
    if to_stage:
        seconds += STAGE_SECONDS + _middle(stages["stage"], STAGE_SECONDS_BY_ROW) * new
    if kind == "full":
        seconds += max(_middle(stages["full"][:1], 0), BUILD_SECONDS + BUILD_SECONDS_BY_ROW * total)
    elif kind == "incremental":
        seconds += _middle(stages["incremental"], BUILD_SECONDS + BUILD_SECONDS_BY_ROW * total / 4)
    return seconds, "history" if known else "defaults"


def _middle(figures: Sequence[float], otherwise: float) -> float:
    return statistics.median(figures) if figures else otherwise
