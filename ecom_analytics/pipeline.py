"""The Pipeline: the stages one after the other, doing only what is not done yet, each run kept in the history."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from ecom_analytics.config import Settings
from ecom_analytics.errors import EcomError, NotBuiltError
from ecom_analytics.export import Exporter
from ecom_analytics.history import RecordedStage, Recording, anomalies
from ecom_analytics.ingest import Ingestor
from ecom_analytics.ingest.judge import with_mapping
from ecom_analytics.logs import log
from ecom_analytics.maintenance import MaintenanceReport, is_due, maintain
from ecom_analytics.marts import MartBuilder
from ecom_analytics.notify import notices, send, telling_of_failure
from ecom_analytics.progress import Watcher, ignore
from ecom_analytics.reports import Anomaly, BuildReport, ExportReport, IngestReport, Notice, RunReport, StageReport
from ecom_analytics.staging import Stager
from ecom_analytics.verification import VerifyReport, verify
from ecom_analytics.warehouse import Build, Warehouse

RUNNING = ".running.json"
"""Name of the file in the warehouse that says which run holds it."""

_HOW_TO_READ = ("source_format", "mapping", "encoding", "delimiter", "header")


class Pipeline:
    """Ingest, stage, build, test, publish and export; all at once or one after the other, each kept in the history.

    One run at a time a warehouse: a second one fails at once, and touches nothing.

    Parameters
    ----------
    settings : Settings, optional
    watch : callable, optional
        Receives each :class:`~ecom_analytics.progress.Progress`.
    run_id : str, optional
        Under which the history keeps what this object does: the id that a scheduler gave the run, for example, so that
        stages which it runs one by one belong together. Default: a new one for each call.

    Examples
    --------
    >>> report = Pipeline(settings).run("events.csv")      # doctest: +SKIP
    >>> report.stage.staged, report.build.build_id         # doctest: +SKIP
    (549, '20261123T013000Z-1a2b3c')
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore, run_id: str | None = None) -> None:
        self.settings = settings or Settings()
        self._watch = watch
        self._run_id = run_id

    def run(
        self,
        *paths: str | Path,
        source: str | None = None,
        source_format: str | None = None,
        daily: bool = False,
        export: bool | str = True,
        full_refresh: bool = False,
        since: date | None = None,
        until: date | None = None,
    ) -> RunReport:
        """Run all stages.

        What an earlier run has done is not done again: a run that failed is resumed by running it once more.

        Parameters
        ----------
        *paths : str or pathlib.Path
            Files, folders or globs to ingest. None: what the lake holds already is brought up to date.
        source, source_format : str, optional
            Override the settings of these names.
        daily : bool
            Cut each file into its days, a batch for each.
        export : bool or str
            A folder or ``s3://bucket/prefix`` to export to; True for the setting ``exports``, False for no export.
        full_refresh : bool
            Read all raw files again, and make every table of the warehouse anew.
        since, until : datetime.date, optional
            Read the raw files again that were ingested on these days (of the store's time zone) or between them.

        Returns
        -------
        RunReport

        Raises
        ------
        EcomError
            What went wrong, and what to do. The served build stays as it was.
        """
        started = time.perf_counter()
        builder = MartBuilder(self.settings, watch=self._watch)
        again = full_refresh or since is not None or until is not None
        with builder.lock(), builder, self._recording("run", alone=True) as recording:
            if again or not self._is_built():
                builder.warm_up()
            ingested = None
            if paths:
                with recording.stage("ingest") as stage:
                    ingestor = Ingestor(self.settings, watch=self._watch)
                    stage.report = ingested = ingestor.ingest(
                        *paths, source=source, source_format=source_format, daily=daily
                    )
                if ingested.new:
                    builder.warm_up()
            with recording.stage("stage") as stage:
                stager = Stager(self.settings, watch=self._watch)
                staged = stager.restage(since, until) if again else stager.stage()
                stage.report = staged
            with recording.stage("build") as stage:
                stage.report = built = builder.build(full_refresh=full_refresh)
            exported = None
            if export:
                with recording.stage("export") as stage:
                    exporter = Exporter(self.settings, watch=self._watch)
                    stage.report = exported = exporter.export(export if isinstance(export, str) else None)
            recording.anomalies = unusual = self._anomalies(built)
            if is_due(self.settings):
                self._tidy(recording, builder)
        told = self._tell(recording, built, unusual)
        changed = bool(staged.stage_id or built.built or (exported and exported.exported))
        seconds = time.perf_counter() - started
        return RunReport(ingested, staged, built, exported, changed, seconds, recording.run_id, unusual, told)

    def ingest(
        self,
        *paths: str | Path,
        source: str | None = None,
        source_format: str | None = None,
        daily: bool = False,
    ) -> IngestReport:
        """As :meth:`ecom_analytics.Ingestor.ingest`, kept in the history."""
        with self._only("ingest") as stage:
            ingestor = Ingestor(self.settings, watch=self._watch)
            stage.report = report = ingestor.ingest(*paths, source=source, source_format=source_format, daily=daily)
        return report

    def stage(self) -> StageReport:
        """As :meth:`ecom_analytics.Stager.stage`, kept in the history."""
        with self._only("stage") as stage:
            stage.report = report = Stager(self.settings, watch=self._watch).stage()
        return report

    def build(
        self,
        force: bool = False,
        full_refresh: bool = False,
        *,
        select: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
    ) -> BuildReport:
        """As :meth:`ecom_analytics.MartBuilder.build`, kept in the history; with what is unusual about it."""
        builder = MartBuilder(self.settings, watch=self._watch)
        with builder.lock(), builder, self._recording("build", alone=True) as recording:
            with recording.stage("build") as stage:
                stage.report = report = builder.build(force, full_refresh, select=select, exclude=exclude)
            if report.published:
                recording.anomalies = self._anomalies(report)
        if report.published:
            self._tell(recording, report, recording.anomalies)
        return report

    def export(
        self,
        destination: str | Path | None = None,
        formats: Sequence[str] | None = None,
        select: Sequence[str] | None = None,
    ) -> ExportReport:
        """As :meth:`ecom_analytics.Exporter.export`, kept in the history."""
        with self._only("export") as stage:
            stage.report = report = Exporter(self.settings, watch=self._watch).export(destination, formats, select)
        return report

    def rollback(self, build_id: str | None = None) -> Build:
        """As :meth:`ecom_analytics.MartBuilder.rollback`, kept in the history."""
        builder = MartBuilder(self.settings, watch=self._watch)
        with builder.lock(), self._recording("rollback") as recording, recording.stage("rollback") as stage:
            build = builder.rollback(build_id)
            stage.build_id = build.build_id
        return build

    def verify(self) -> VerifyReport:
        """As :func:`ecom_analytics.verification.verify`, kept in the history."""
        with self._only("verify") as stage:
            stage.report = report = verify(self.settings, watch=self._watch)
        return report

    def maintain(self) -> MaintenanceReport:
        """As :func:`ecom_analytics.maintenance.maintain`, kept in the history."""
        with self._only("maintain") as stage:
            stage.report = report = maintain(self.settings, watch=self._watch)
        return report

    def replay(self, *, rule: str | None = None, source: str | None = None) -> StageReport:
        """Stage rejected records again, after a rule, a mapping, a format or another setting was corrected.

        Where the settings choose a format, a mapping, an encoding, a delimiter or whether there is a header, this is
        written down with the batches that it concerns first: those of the format, those with rejected records, and
        those that are not staged yet.

        Parameters
        ----------
        rule : str, optional
            Only batches where this rule was broken.
        source : str, optional
            Only batches of this source.

        Raises
        ------
        InputError
            A batch cannot be read that way; nothing was changed.
        EcomError
            What went wrong while staging, and what to do.
        """
        with self._recording("replay") as recording, recording.stage("stage") as stage:
            stager = Stager(self.settings, watch=self._watch)
            settings = with_mapping(self.settings)
            if any(getattr(settings, key) not in ("auto", None) for key in _HOW_TO_READ):
                keys = stager.doubtful(rule=rule, source=source, source_format=settings.source_format)
                Ingestor(self.settings, watch=self._watch).correct(keys)
            stage.report = report = stager.replay(rule=rule, source=source)
        return report

    @contextmanager
    def _recording(self, name: str, *, alone: bool = False) -> Iterator[Recording]:
        """A run that is kept in the history, and told of if it fails; ``alone`` if it holds the warehouse."""
        marker = self.settings.warehouse / RUNNING if alone else None
        recording = Recording(self.settings, name, run_id=self._run_id, marker=marker)
        with telling_of_failure(self.settings, recording.run_id, name), recording:
            yield recording

    @contextmanager
    def _only(self, name: str) -> Iterator[RecordedStage]:
        """A run of one stage."""
        with self._recording(name) as recording, recording.stage(name) as stage:
            yield stage

    def _tidy(self, recording: Recording, builder: MartBuilder) -> None:
        """Housekeeping after a run. What is published is published: it is no reason to fail."""
        try:
            with recording.stage("maintain") as stage:
                stage.report = maintain(self.settings, watch=self._watch, holder=builder)
        except EcomError as error:
            log.warning("housekeeping failed", run_id=recording.run_id, error=error.message)

    def _anomalies(self, built: BuildReport) -> tuple[Anomaly, ...]:
        try:
            return anomalies(self.settings, built.as_of, datetime.now(UTC))
        except EcomError as error:
            log.warning("what is usual is not known", error=error.message)
            return ()

    def _tell(self, recording: Recording, built: BuildReport, unusual: tuple[Anomaly, ...]) -> tuple[Notice, ...]:
        told = notices(self.settings, recording.run_id, built, unusual, datetime.now(UTC))
        send(self.settings, told)
        return told

    def _is_built(self) -> bool:
        try:
            Warehouse(self.settings).current()
        except NotBuiltError:
            return False
        return True
