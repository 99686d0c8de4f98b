"""The Stager: what is new in the lake becomes staged events, in one atomic commit."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import TYPE_CHECKING

from ecom_analytics.config import Settings
from ecom_analytics.disk import told_when_full
from ecom_analytics.errors import AccountingError, BusyError, ConfigError, EcomError, LakeError, RestageError
from ecom_analytics.lake import Batch, BatchKey, batches, listed
from ecom_analytics.progress import Watcher, ignore
from ecom_analytics.reports import StageReport
from ecom_analytics.scratch import scratch_folder, sweep_scratch
from ecom_analytics.staging.attempt import Attempt
from ecom_analytics.staging.formats import read_with, reading
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.state import State, account, load, properties, version_of
from ecom_analytics.staging.sweep import sweep
from ecom_analytics.staging.tables import open_table
from ecom_analytics.storages import open_storage
from ecom_analytics.suppression import suppressed

if TYPE_CHECKING:
    from ecom_analytics.staging.days import Judged

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
    >>> report.records - report.staged - report.duplicates - report.rejected - report.blank    # doctest: +SKIP
    0
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        self.settings = settings or Settings()
        self._watch = watch
        self._place = open_place(self.settings)

    def stage(self) -> StageReport:
        """Stage every batch that is not staged yet; do nothing if there is none.

        Batches whose place others took in the lake (see :func:`ecom_analytics.lake.batches`) are staged no longer.

        Raises
        ------
        RestageError
            The time zone, the session timeout, or what batches are read with, differs from what staged rows were made
            with.
        AccountingError, SchemaError
            Staging broke a promise of its own. Nothing was committed.
        BusyError
            Other stagers committed first, again and again.
        """
        return self._stage_with(lambda state, stale: _refuse(stale))

    def replay(self, *, rule: str | None = None, source: str | None = None) -> StageReport:
        """Read batches again: those with rejected records, and those that would be read in another way by now.

        That is the case if a rule, the mapping or the layout of a batch (see :meth:`ecom_analytics.Ingestor.correct`)
        or the ``version`` of a format was changed. Whatever is new in the lake is staged as well. The tables are then
        those that staging everything anew would give.

        Parameters
        ----------
        rule : str, optional
            Of the batches with rejected records, only those where this rule was broken.
        source : str, optional
            Of these, only the batches of this source.

        Raises
        ------
        AccountingError, SchemaError, RestageError, BusyError
            As of :meth:`stage`.
        LakeError
            The lake no longer has such a batch.
        """

        def again(state: State, stale: set[BatchKey]) -> set[BatchKey]:
            read = {(row["source"], row["batch_id"]): row["read_with"] for row in state.batches.to_pylist()}
            lake = open_storage(self.settings.lake, self.settings)
            other = {
                (batch.source, batch.batch_id)
                for batch in batches(lake)
                if read_with(batch, self.settings) != read.get((batch.source, batch.batch_id))
            }
            return stale | (other & read.keys()) | _with_rejects(state, rule, source)

        return self._stage_with(again)

    def restage(self, since: date | None = None, until: date | None = None) -> StageReport:
        """Read the raw bytes of batches again, whatever became of them before; and stage what is new.

        The tables are then those that staging everything anew would give, with the same rows if nothing has changed
        but the time.

        Parameters
        ----------
        since, until : datetime.date, optional
            Only batches that were ingested on these days of the store's time zone, or between them. Default: all.

        Raises
        ------
        AccountingError, SchemaError, RestageError, BusyError, LakeError
            As of :meth:`replay`.
        """
        if since is not None and until is not None and since > until:
            raise ConfigError(f"{since} is after {until}", hint="give the earlier day first", value=since)

        def again(state: State, stale: set[BatchKey]) -> set[BatchKey]:
            staged = set(zip(state.batches["source"].to_pylist(), state.batches["batch_id"].to_pylist(), strict=True))
            if since is None and until is None:
                return staged
            lake = open_storage(self.settings.lake, self.settings)
            chosen = {
                (batch.source, batch.batch_id)
                for batch in batches(lake)
                if (since or date.min) <= self._day(batch) <= (until or date.max)
            }
            return stale | (chosen & staged)

        return self._stage_with(again)

    def _day(self, batch: Batch) -> date:
        return datetime.fromisoformat(batch.ingested_at).astimezone(self.settings.zone).date()

    def doubtful(
        self, *, rule: str | None = None, source: str | None = None, source_format: str | None = None
    ) -> set[BatchKey]:
        """Batches that a corrected setting may concern: with rejected records, not staged yet, or of a format.

        Parameters
        ----------
        rule : str, optional
            Of the batches with rejected records, only those where this rule was broken.
        source : str, optional
            Only those of this source.
        source_format : str, optional
            Also all of this format.

        Returns
        -------
        set of (source, batch_id)
        """
        with self._place.hold():
            state = load(self._place)
        rows = state.batches.select(["source", "batch_id", "source_format"]).to_pylist()
        formats = {(row["source"], row["batch_id"]): row["source_format"] for row in rows}
        there = listed(open_storage(self.settings.lake, self.settings)).batches
        found = _with_rejects(state, rule, source) | (there - formats.keys())
        found |= {key for key, name in formats.items() if name == source_format}
        return {key for key in found & there if source in (None, key[0])}

    def _stage_with(self, choose: Callable[[State, set[BatchKey]], set[BatchKey]]) -> StageReport:
        """Stage what is new, what is gone, and what ``choose`` says of a state and its batches that are stale."""
        started = time.perf_counter()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._place.hold():
                    return self._stage(started, choose)
            except BusyError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _stage(self, started: float, choose: Callable[[State, set[BatchKey]], set[BatchKey]]) -> StageReport:
        state = load(self._place)
        self._refuse_changed_settings(state)
        lake = open_storage(self.settings.lake, self.settings)
        there = listed(lake)
        staged = set(zip(state.batches["source"].to_pylist(), state.batches["batch_id"].to_pylist(), strict=True))
        gone = staged & there.replaced
        again = choose(state, self._stale(state) - gone) - gone
        _refuse_missing(again - there.batches)
        new = list(batches(lake, known=staged - again, among=there))
        if not new and not gone:
            self._clean_up(state)
            return _report(state, started, new=[], judged=None, stage_id=None)
        stage_id = f"{state.version + 1:08d}-{uuid.uuid4().hex}"
        forgotten = suppressed(self.settings, lake)
        attempt = Attempt(self.settings, self._watch, state, stage_id, new, gone | again, forgotten)
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
        return _report(after, started, new=new, again=len(again), judged=judged, stage_id=stage_id)

    def _stale(self, state: State) -> set[BatchKey]:
        """Batches that were read with other rules or settings than they would be now."""
        now: dict[tuple[str, str], str] = {}
        stale = set()
        for row in state.batches.select(["source", "batch_id", "source_format", "read_with"]).to_pylist():
            kind = (row["source"], row["source_format"])
            if kind not in now:
                now[kind] = reading(self.settings, *kind)
            if not row["read_with"].startswith(now[kind]):
                stale.add((row["source"], row["batch_id"]))
        return stale

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


def _with_rejects(state: State, rule: str | None, source: str | None) -> set[BatchKey]:
    rows = state.batches.select(["source", "batch_id", "rejected_by_rule"]).to_pylist()
    found = set()
    for row in rows:
        rules = json.loads(row["rejected_by_rule"])
        if rules and (rule is None or rule in rules) and source in (None, row["source"]):
            found.add((row["source"], row["batch_id"]))
    return found


def _refuse(stale: set[BatchKey]) -> set[BatchKey]:
    if stale:
        raise RestageError(
            f"{len(stale)} staged batch{'es' if len(stale) > 1 else ''} were read under other rules than those of now",
            hint="stage them again with: ecom-analytics rejected --replay; or set the rules back",
            batches=sorted(stale),
        )
    return stale


def _refuse_missing(missing: set[BatchKey]) -> None:
    if missing:
        source, batch_id = min(missing)
        raise LakeError(
            f"{len(missing)} staged batches are no longer in the lake, so they cannot be read again: first {batch_id} "
            f"of the source {source!r}",
            hint="restore the lake's folder 'raw' from a backup",
            batches=sorted(missing),
        )


def _report(
    state: State, started: float, *, new: Sequence[Batch], judged: Judged | None, stage_id: str | None, again: int = 0
) -> StageReport:
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
        new_batches=len(new) - again,
        replayed_batches=again,
        records=checked.records,
        staged=checked.staged,
        duplicates=checked.duplicates,
        rejected=checked.rejected,
        blank=checked.blank,
        erased=checked.erased,
        new_records=sum(records[b.source, b.batch_id] for b in new),
        days=len(judged.days) if judged else 0,
        days_touched=tuple(sorted(judged.days)) if judged else (),
        visitors_touched=judged.visitors if judged else 0,
        rows_read=judged.rows_read if judged else 0,
        rows_written=judged.rows_written if judged else 0,
        version=state.version,
        stage_id=stage_id,
        seconds=time.perf_counter() - started,
        rejected_by_rule=checked.rejected_by_rule,
        warned_by_rule=checked.warned_by_rule,
    )
