"""The Stager: what is new in the lake becomes staged events, in one atomic commit."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

from ecom_analytics.config import Settings
from ecom_analytics.disk import told_when_full
from ecom_analytics.errors import AccountingError, BusyError, EcomError, RestageError
from ecom_analytics.lake import Batch, batches
from ecom_analytics.progress import Watcher, ignore
from ecom_analytics.reports import StageReport
from ecom_analytics.staging.attempt import Attempt
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.scratch import scratch_folder, sweep_scratch
from ecom_analytics.staging.state import State, account, load, properties, version_of
from ecom_analytics.staging.sweep import sweep
from ecom_analytics.staging.tables import open_table
from ecom_analytics.storages import open_storage

ATTEMPTS = 5
"""How often a stage is computed anew when another stager commits first."""


class Stager:
    """Turns the batches of the lake that are not staged yet into canonical events.

    Parameters
    ----------
    settings : Settings, optional
    watch : callable, optional
        Receives each :class:`~ecom_analytics.progress.Progress`.

    Examples
    --------
    >>> report = Stager(settings).stage()                                      # doctest: +SKIP
    >>> report.records == report.staged + report.duplicates + report.rejected + report.blank    # doctest: +SKIP
    True
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        self.settings = settings or Settings()
        self._watch = watch
        self._place = open_place(self.settings)

    def stage(self) -> StageReport:
        """Stage every batch that is not staged yet; do nothing if there is none.

        Raises
        ------
        RestageError
            The time zone or the session timeout differs from the one that staged rows were made with.
        AccountingError, SchemaError
            Staging broke a promise of its own. Nothing was committed.
        BusyError
            Other stagers committed first, again and again.
        """
        started = time.perf_counter()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._place.hold():
                    return self._stage(started)
            except BusyError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _stage(self, started: float) -> StageReport:
        state = load(self._place)
        self._refuse_changed_settings(state)
        staged = set(zip(state.batches["source"].to_pylist(), state.batches["batch_id"].to_pylist(), strict=True))
        new = list(batches(open_storage(self.settings.lake, self.settings), known=staged))
        if not new:
            self._clean_up(state)
            return _report(state, started, new=[], days=0, stage_id=None)
        stage_id = f"{state.version + 1:08d}-{uuid.uuid4().hex}"
        attempt = Attempt(self.settings, self._watch, state, stage_id, new)
        try:
            with told_when_full(self._place.address), scratch_folder(self.settings.warehouse) as scratch:
                judged = attempt.compute(scratch)
                attempt.commit(judged)
        except BaseException as error:
            with suppress(EcomError, OSError):  # what is left of it, a later stage sweeps
                attempt.undo()
            if isinstance(error, Exception) and self._overtaken(state):
                raise BusyError("another stager committed meanwhile", hint="run the stage again") from error
            raise
        after = load(self._place)
        self._clean_up(after)
        return _report(after, started, new=new, days=len(judged.days), stage_id=stage_id)

    def _overtaken(self, state: State) -> bool:
        """Whether another stager has committed since: what it removed may be what this one missed."""
        with suppress(EcomError):
            return version_of(open_table(self._place, "events")) != state.version
        return False

    def _clean_up(self, state: State) -> None:
        """Remove what no longer counts and what never will; if another stager does just that, let it."""
        sweep_scratch(self.settings.warehouse)
        with suppress(BusyError):
            sweep(state)

    def _refuse_changed_settings(self, state: State) -> None:
        events = state.tables["events"]
        if events is None:
            return
        made_with = events.metadata().configuration
        for key, value in properties(self.settings).items():
            if made_with.get(key, value) != value:
                raise RestageError(
                    f"the staged events were made with {key.removeprefix('ecom.')} = {made_with[key]}, "
                    f"and now it is {value}",
                    hint=f"set it back, or delete {self._place.address} and stage again: the raw files are all kept",
                    setting=key,
                    was=made_with[key],
                    now=value,
                )


def _report(state: State, started: float, *, new: Sequence[Batch], days: int, stage_id: str | None) -> StageReport:
    records = dict(
        zip(
            zip(state.batches["source"].to_pylist(), state.batches["batch_id"].to_pylist(), strict=True),
            state.batches["records"].to_pylist(),
            strict=True,
        )
    )
    checked = account(state)
    if not checked.adds_up:
        raise AccountingError(
            f"the staged tables do not add up: {checked}",
            hint="a file of them was changed by hand; delete the folder 'staged' and stage again",
            account=checked,
        )
    return StageReport(
        batches=len(records),
        new_batches=len(new),
        records=checked.records,
        staged=checked.staged,
        duplicates=checked.duplicates,
        rejected=checked.rejected,
        blank=checked.blank,
        new_records=sum(records[b.source, b.batch_id] for b in new),
        days=days,
        version=state.version,
        stage_id=stage_id,
        seconds=time.perf_counter() - started,
        rejected_by_rule=checked.rejected_by_rule,
    )
