"""The Pipeline: the stages one after the other, doing only what is not done yet."""

from __future__ import annotations

import time
from pathlib import Path

from ecom_analytics.config import Settings
from ecom_analytics.errors import NotBuiltError
from ecom_analytics.export import Exporter
from ecom_analytics.ingest import Ingestor
from ecom_analytics.ingest.judge import with_mapping
from ecom_analytics.marts import MartBuilder
from ecom_analytics.progress import Watcher, ignore
from ecom_analytics.reports import RunReport, StageReport
from ecom_analytics.staging import Stager
from ecom_analytics.warehouse import Warehouse

_HOW_TO_READ = ("source_format", "mapping", "encoding", "delimiter", "header")


class Pipeline:
    """Ingest, stage, build, test, publish and export.

    One run at a time a warehouse: a second one fails at once, and touches nothing.

    Parameters
    ----------
    settings : Settings, optional
    watch : callable, optional
        Receives each :class:`~ecom_analytics.progress.Progress`.

    Examples
    --------
    >>> report = Pipeline(settings).run("events.csv")      # doctest: +SKIP
    >>> report.stage.staged, report.build.build_id         # doctest: +SKIP
    (549, '20261123T013000Z-1a2b3c')
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        self.settings = settings or Settings()
        self._watch = watch

    def run(
        self,
        *paths: str | Path,
        source: str | None = None,
        source_format: str | None = None,
        daily: bool = False,
        export: bool | str = True,
    ) -> RunReport:
        """Run all stages.

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
        with builder.lock(), builder:
            if not self._is_built():
                builder.warm_up()
            ingested = None
            if paths:
                ingestor = Ingestor(self.settings, watch=self._watch)
                ingested = ingestor.ingest(*paths, source=source, source_format=source_format, daily=daily)
                if ingested.new:
                    builder.warm_up()
            staged = Stager(self.settings, watch=self._watch).stage()
            built = builder.build()
            exported = None
            if export:
                exporter = Exporter(self.settings, watch=self._watch)
                exported = exporter.export(export if isinstance(export, str) else None)
        changed = bool(staged.stage_id or built.built or (exported and exported.exported))
        return RunReport(ingested, staged, built, exported, changed, time.perf_counter() - started)

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
        stager = Stager(self.settings, watch=self._watch)
        settings = with_mapping(self.settings)
        if any(getattr(settings, key) not in ("auto", None) for key in _HOW_TO_READ):
            keys = stager.doubtful(rule=rule, source=source, source_format=settings.source_format)
            Ingestor(self.settings, watch=self._watch).correct(keys)
        return stager.replay(rule=rule, source=source)

    def _is_built(self) -> bool:
        try:
            Warehouse(self.settings).current()
        except NotBuiltError:
            return False
        return True
