"""What each stage says it did: frozen, counted, and adding up."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """The value in types that JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    return value


class Report:
    """Base of all reports."""

    def to_dict(self) -> dict[str, Any]:
        """The report in types that JSON knows, nested reports included."""
        return dict(plain(self))


@dataclass(frozen=True, slots=True)
class IngestedBatch:
    """One file in the lake.

    Attributes
    ----------
    batch_id : str
        SHA-256 of the bytes.
    source, source_format : str
    name : str
        Name under which the bytes were given.
    bytes : int
    new : bool
        False if the lake held these bytes already.
    new_columns : tuple of str
        Columns that the source format does not know; they are kept in the raw bytes.
    missing_columns : tuple of str
        Columns that files of the format usually have and this one lacks; they are NULL.
    notes : tuple of str
        What else was seen: damage, for example.
    """

    batch_id: str
    source: str
    source_format: str
    name: str
    bytes: int
    new: bool
    new_columns: tuple[str, ...] = ()
    missing_columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IngestReport(Report):
    """What :meth:`ecom_analytics.Ingestor.ingest` did: files = new + already_present."""

    files: int
    new: int
    already_present: int
    bytes: int
    seconds: float
    batches: tuple[IngestedBatch, ...] = ()


@dataclass(frozen=True, slots=True)
class StageReport(Report):
    """What :meth:`ecom_analytics.Stager.stage` did, and the whole account of the lake.

    ``records == staged + duplicates + rejected + blank + erased`` holds for the totals, which cover every batch of the
    lake.

    Attributes
    ----------
    batches, new_batches : int
        Batches in the lake, and those among them that this run staged.
    records, staged, duplicates, rejected, blank, erased : int
        Totals over all batches.
    new_records : int
        Records of the new batches, and of those that were read again.
    days : int
        Days that were written.
    days_touched : tuple of str
        Their ISO dates.
    visitors_touched : int
        Visitors with rows on these days that are new, or gone, or staged in another way than before.
    rows_read : int
        New rows that no rule rejected, and the old rows of these days, which are judged together with them.
    rows_written : int
        Rows of ``events`` and of ``duplicates`` that were written.
    rejected_by_rule : dict
        Rule → rejected records, over all batches.
    warned_by_rule : dict
        Rule that only warns → records that broke it and were not rejected, over all batches. They are counted as they
        are read, so those that turned out to be duplicates are among them.
    replayed_batches : int
        Batches that were staged before and that this run read again.
    version : int
        Version of the staged events table.
    stage_id : str or None
        Id of this stage; None if there was nothing to do.
    seconds : float
    """

    batches: int
    new_batches: int
    records: int
    staged: int
    duplicates: int
    rejected: int
    blank: int
    new_records: int
    days: int
    version: int
    stage_id: str | None
    seconds: float
    rejected_by_rule: dict[str, int] = field(default_factory=dict)
    erased: int = 0
    replayed_batches: int = 0
    days_touched: tuple[str, ...] = ()
    visitors_touched: int = 0
    rows_read: int = 0
    rows_written: int = 0
    warned_by_rule: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One test of the warehouse.

    Attributes
    ----------
    name : str
    model : str
        The mart that it tests.
    column : str or None
    status : str
        ``pass``, ``warn``, ``fail`` or ``error``.
    failures : int
    message : str
    """

    name: str
    model: str
    column: str | None
    status: str
    failures: int
    message: str


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of one model, test or seed in a build.

    Attributes
    ----------
    name : str
    kind : str
        ``model``, ``test`` or ``seed``.
    status : str
        ``success`` of a model or seed; ``pass``, ``warn``, ``fail`` of a test; ``error`` and ``skipped`` of any.
    seconds : float
    rows : int or None
        Rows of the model's table, where they are known.
    rows_read : int or None
        Rows that came out of its scans of tables and files; a table that is scanned twice counts twice. None of tests
        and seeds.
    rows_written : int or None
        Rows that were put into its table: all of them, or those of touched keys only. None of tests and seeds.
    failures : int
        Failing rows of a test.
    message : str
        What dbt says, where it is no success.
    """

    name: str
    kind: str
    status: str
    seconds: float
    rows: int | None = None
    rows_read: int | None = None
    rows_written: int | None = None
    failures: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class BuildReport(Report):
    """What :meth:`ecom_analytics.MartBuilder.build` did.

    Attributes
    ----------
    build_id : str
        The served build.
    built : bool
        False if the served build was up to date.
    path : pathlib.Path
        Its DuckDB file.
    rows : dict
        Mart → rows.
    tests : int
        Tests run; all of them passed or warned.
    warnings : tuple of CheckResult
    conflicts : int
        Rows of the mart ``conflicts``.
    as_of : datetime.datetime or None
        The largest event time staged.
    seconds : float
    nodes : tuple of NodeResult
        Every model, test and seed of the build, in the order in which they ended.
    published : bool
        False of a build of selected models: nothing is served of it.
    started_from : str or None
        The build that it started from, replacing what was touched since. None if every table was made anew.
    checks : tuple of CheckResult
        The result of every test, those that passed included.
    rolled_back : bool
        True if nothing was built because a build of just this was rolled back.
    """

    build_id: str
    built: bool
    path: Path
    rows: dict[str, int]
    tests: int
    warnings: tuple[CheckResult, ...]
    conflicts: int
    as_of: datetime | None
    seconds: float
    nodes: tuple[NodeResult, ...] = ()
    published: bool = True
    started_from: str | None = None
    checks: tuple[CheckResult, ...] = ()
    rolled_back: bool = False

    @property
    def models(self) -> dict[str, NodeResult]:
        """The models by name."""
        return {node.name: node for node in self.nodes if node.kind == "model"}


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """One exported file: the mart, its format, rows, size, SHA-256 and address, and the month or day that it holds."""

    table: str
    format: str
    uri: str
    rows: int
    bytes: int
    sha256: str
    partition: str | None = None


@dataclass(frozen=True, slots=True)
class ExportReport(Report):
    """What :meth:`ecom_analytics.Exporter.export` wrote.

    ``exported`` is False if it was there already. ``tables`` are all files that were asked for; ``files_written``
    is how many of them are new.
    """

    build_id: str
    destination: str
    manifest: str
    exported: bool
    tables: tuple[ExportedTable, ...]
    bytes: int
    seconds: float
    files_written: int = 0


@dataclass(frozen=True, slots=True)
class Anomaly(Report):
    """A figure that is out of the range of the same weekday's recent ones.

    Attributes
    ----------
    name : str
        ``anomaly_events``, ``anomaly_transactions`` or ``anomaly_freshness``.
    model : str or None
        The mart that it is of.
    message : str
        What is unusual, with the figures.
    value, low, high : float
        The figure, and the smallest and the largest of the recent ones; of freshness, in hours.
    """

    name: str
    model: str | None
    message: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Notice(Report):
    """Something that somebody should know.

    Attributes
    ----------
    kind : str
        ``run_failed``, ``stale_data``, ``threshold``, ``unusual`` or ``test_warned``.
    message : str
        One sentence, with the figures.
    run_id : str
    build_id : str or None
        The served build; None of a run that failed.
    at : datetime.datetime
    facts : dict
        The same as data.
    """

    kind: str
    message: str
    run_id: str
    build_id: str | None
    at: datetime
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunReport(Report):
    """What :meth:`ecom_analytics.Pipeline.run` did: the four stages' reports.

    ``changed`` is False if there was nothing new, so that no work was done. ``run_id`` is its id in the history;
    ``anomalies`` are figures out of their usual range; ``notices`` all that hooks were told.
    """

    ingest: IngestReport | None
    stage: StageReport
    build: BuildReport
    export: ExportReport | None
    changed: bool
    seconds: float
    run_id: str = ""
    anomalies: tuple[Anomaly, ...] = ()
    notices: tuple[Notice, ...] = ()
