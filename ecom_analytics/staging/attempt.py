"""One try at one stage: read what is new, judge its days, validate, and commit; or undo."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.catalogue import CATALOGUE, EVENTS, kind_of
from ecom_analytics.config import Settings
from ecom_analytics.errors import AccountingError, BusyError
from ecom_analytics.lake import STAGED, Batch, BatchKey, StagedFile
from ecom_analytics.progress import Progress, Watcher
from ecom_analytics.protocols import RawFile, SourceFormat
from ecom_analytics.source_formats.rule_set import RuleSet
from ecom_analytics.staging.formats import format_key, formats_of
from ecom_analytics.staging.ledger import Ledger
from ecom_analytics.staging.replaced import Replaced, with_stage
from ecom_analytics.staging.state import ALL, Account, State, account, open_tables, properties, total_of, version_of
from ecom_analytics.staging.suppress import drop_suppressed
from ecom_analytics.staging.tables import STAGE, commit, create_table, files_of, open_table
from ecom_analytics.staging.tally import check_rejected, warned_by_batch
from ecom_analytics.suppression import Suppressed

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.staging.days import Judged


COMPACT = 16
"""So many files of ``batches`` are made one by the next stage."""


class Attempt:
    """One try at one stage: everything it writes bears its id, so that it can be undone.

    Parameters
    ----------
    settings : Settings
    watch : callable
    state : State
        What is staged before it.
    stage_id : str
    new : sequence of Batch
        Batches to read.
    replaced : collection of (source, batch_id), optional
        Staged batches whose rows go. Some or all of them may be among ``new``.
    suppressed : Suppressed, optional
        Visitors that were erased.
    """

    def __init__(
        self,
        settings: Settings,
        watch: Watcher,
        state: State,
        stage_id: str,
        new: Sequence[Batch],
        replaced: Collection[BatchKey] = (),
        suppressed: Suppressed | None = None,
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._state = state
        self._place = state.place
        self._stage_id = stage_id
        self._new = new
        self._replaced = Replaced(state, replaced)
        self._suppressed = suppressed or Suppressed(b"", ())
        self._committed = False
        self._all_formats: dict[str, Any] = formats_of(new, set(state.batches["source_format"].to_pylist()))
        self._formats: dict[str, SourceFormat] = {
            name: kind for name, kind in self._all_formats.items() if kind_of(kind) == EVENTS
        }

    def compute(self, scratch: Path) -> Judged:
        """Read, judge and validate; files are written but nothing is committed."""
        from ecom_analytics.engines.duckdb import DuckDBEngine
        from ecom_analytics.staging.days import DayJudge, Judged
        from ecom_analytics.staging.kinds import present_columns
        from ecom_analytics.staging.rejects import RejectFile
        from ecom_analytics.staging.validation import import_early

        import_early()
        self._workshop = self._place.workshop(scratch)
        self._rejects = RejectFile(self._workshop / self._name("rejected"), self._stage_id, self._suppressed)
        self._fetch()
        with DuckDBEngine(self._settings, scratch) as engine:
            reader = self._reader(engine)
            self._read(engine, present_columns(c for f in self._formats.values() for c in f.capabilities))
            ledger = Ledger(engine.reading.counts, self._rejects)
            ledger.dropped = drop_suppressed(engine, self._suppressed)
            self._rejects.add_broken(engine, list(self._files.values()), self._settings.max_record_lines)
            self._catalogue = self._stage_catalogue(engine)
            self._rejects.close()
            self._check_rejected(engine)
            if self._warns:
                ledger.warned = warned_by_batch(engine)
            ledger.count_days(engine)
            self._batches = ledger.table(self._new, self._settings, self._stage_id)
            self._carried = self._replaced.carry_on(self._workshop, self._stage_id)
            touched = dict(ledger.rows_of_days)
            if self._replaced:
                self._replaced.create(engine)
                touched = dict.fromkeys(self._replaced.days(engine, reader), 0) | touched
            if not touched:
                return Judged()
            columns = present_columns(c for f in self._formats.values() for c in f.capabilities)
            judge = DayJudge(
                engine,
                self._settings,
                self._state,
                columns,
                self._stage_id,
                self._workshop,
                reader,
                self._on_days,
                dropping=bool(self._replaced),
            )
            judged = judge.judge(touched)
            self._validate(engine, judged)
            return judged

    def _check_rejected(self, engine: DuckDBEngine) -> None:
        again = self._replaced.keys
        first_time = [
            batch
            for batch in self._new
            if (batch.source, batch.batch_id) not in again and "replaces" not in batch.details
        ]
        names = {(batch.source, batch.batch_id): batch.name for batch in first_time}
        check_rejected(self._settings, names, engine.reading.counts, self._rejects)

    def _fetch(self) -> None:
        """Find the bytes of the new batches, on this machine."""
        total, done = sum(batch.bytes for batch in self._new), 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done += count
            self._watch(Progress("stage", "fetching", done, total, "bytes"))

        paths = self._place.raw(self._new, on_bytes)
        self._files = {
            (b.source, b.batch_id): RawFile(b.batch_id, b.source, path, b.name, b.layout)
            for b, path in zip(self._new, paths, strict=True)
        }

    def _reader(self, engine: DuckDBEngine) -> Callable[[Sequence[str]], list[str]]:
        """What gives DuckDB staged files: where it can read S3 itself, nothing is fetched."""
        from ecom_analytics.engines.httpfs import open_s3

        place = self._place
        if place.in_place or not open_s3(engine, place.bucket, place.options() or {}):
            return place.paths

        def reader(names: Sequence[str]) -> list[str]:
            open_s3(engine, place.bucket, place.options() or {})  # credentials may be new ones by now
            return place.readable(names)

        return reader

    def _read(self, engine: DuckDBEngine, columns: list[str]) -> None:
        """Fill the table ``parsed`` with one expression for each source format."""
        from ecom_analytics.staging.kinds import create_kinds, sql_types
        from ecom_analytics.staging.validation import validate_columns, validate_raw

        create_kinds(engine, self._state, self._new)
        kinds = sql_types() | {"event_ts": "TIMESTAMP"}
        parsed = {name: kinds[name] for name in columns} | {"event_date": "DATE"}
        parsed |= {"reject_rule": "VARCHAR", "reject_message": "VARCHAR"}
        rules = {name: RuleSet(self._settings, kind.name) for name, kind in self._formats.items()}
        self._warns = any(rule_set.warns for rule_set in rules.values())
        if self._warns:
            parsed["warned_rules"] = "VARCHAR"
        engine.execute(f"CREATE TABLE parsed ({', '.join(f'{name} {kind}' for name, kind in parsed.items())})")
        engine.reading.on_bad = self._rejects.add_bad
        total, done = sum(batch.bytes for batch in self._new), 0

        def on_bytes(count: int) -> None:
            nonlocal done
            done = min(done + count, total)
            self._watch(Progress("stage", "reading", done, total, "bytes"))

        engine.reading.on_bytes = on_bytes
        for name, source_format in self._formats.items():
            files = [self._files[b.source, b.batch_id] for b in self._new if format_key(b) == name]
            if not files:
                continue
            raw = source_format.read(engine, files)
            try:
                events = rules[name].to_events(source_format, raw)
                events = events.mutate(event_date=engine.local_date(events.event_ts, self._settings.timezone))
                engine.execute(f"INSERT INTO parsed BY NAME {engine.backend.compile(events)}")
            finally:  # Pandera is there by now; what is wrong with the columns may be why reading failed
                validate_columns(raw, source_format.name)
        if any(format_key(b) in self._formats for b in self._new):
            validate_raw(engine.backend.table("parsed"), self._names)

    def _stage_catalogue(self, engine: DuckDBEngine) -> dict[str, list[StagedFile]]:
        """Read and write what is known of products."""
        from ecom_analytics.staging.catalogue import CatalogueStage

        def add_rejects(table: str, files: list[RawFile]) -> None:
            self._rejects.add_broken(engine, files, self._settings.max_record_lines, table)

        stage = CatalogueStage(engine, self._workshop, self._stage_id)
        written = {}
        for table in CATALOGUE:
            new = [b for b in self._new if kind_of(self._all_formats[format_key(b)]) == table]
            files = [self._files[b.source, b.batch_id] for b in new]
            written[table] = stage.stage(table, new, files, self._all_formats, add_rejects)
        return written

    def _on_days(self, done: int, left: int) -> None:
        self._watch(Progress("stage", "finding sessions", done, done + left, "days"))

    def _validate(self, engine: DuckDBEngine, judged: Judged) -> None:
        from ecom_analytics.staging.validation import validate

        self._watch(Progress("stage", "validating", None, None))
        paths = [str(self._workshop / "events" / file.path) for file in judged.events]
        if paths:
            engine.execute("SET VARIABLE written = $1", [paths])
            engine.execute(
                "CREATE TEMP VIEW written AS SELECT * FROM read_parquet(getvariable('written'), "
                "hive_partitioning = true, hive_types = {'event_date': DATE})"
            )
            changed = {rule.name: rule.severity for rule in self._settings.rules if rule.changes}
            validate(
                engine.backend.table("written"),
                timezone=self._settings.timezone,
                names=self._names,
                may_be_negative=changed.get("negative_number", "reject") != "reject",
            )

    def _names(self) -> dict[BatchKey, str]:
        """The names of all files, staged and new."""
        staged = self._state.batches.select(["source", "batch_id", "name"]).to_pylist()
        names = {(row["source"], row["batch_id"]): row["name"] for row in staged}
        return names | {(batch.source, batch.batch_id): batch.name for batch in self._new}

    def commit(self, judged: Judged) -> None:
        """Check the account, then commit: the other tables first, and ``events`` last, which makes them count."""
        removed = [f for day in judged.days for f in self._state.events.get(day, [])]
        self._check_account(judged, removed)
        new = {
            "events": judged.events,
            "duplicates": judged.duplicates,
            "rejected": [_file(self._rejects.path, self._rejects.rows)] if self._rejects.rows else [],
            "batches": [self._write_batches()],
            **self._catalogue,
        }
        for name, files in self._carried.items():
            new[name] = [*new[name], *files]
        self._watch(Progress("stage", "committing", None, None))
        self._place.publish([f"{name}/{file.path}" for name, files in new.items() for file in files], self._workshop)
        tables = self._tables()
        for name in new:
            if new[name] and name != "events":
                commit(tables[name], name, new[name])
        commit(
            tables["events"],
            "events",
            judged.events,
            removed,
            transactions={STAGE: self._state.version + 1, f"{STAGE}/{self._stage_id}": 1},
        )
        self._committed = True

    def _tables(self) -> dict[str, DeltaTable]:
        """The tables to commit to, made if they are not there, with the state that this attempt was computed from."""
        configuration = properties(self._settings)
        tables = {
            name: table or create_table(self._place, name, configuration)
            for name, table in open_tables(self._place).items()
            if name not in CATALOGUE or self._catalogue[name] or self._carried[name]
        }
        if version_of(tables["events"]) != self._state.version:
            raise BusyError("another stager committed meanwhile", hint="run the stage again")
        return tables

    def _check_account(self, judged: Judged, removed: list[StagedFile]) -> None:
        """Count where every record of the lake will be; nothing is committed unless it adds up."""
        before, gone, after = account(self._state), self._replaced, self._batches_after()
        replaced = [f for day in judged.days for f in self._state.duplicates.get(day, [])]
        moved = {name: _rows(self._carried[name]) - _rows(gone.files(name)) for name in ("rejected", *CATALOGUE)}
        total = Account(
            records=total_of(after, "records"),
            staged=before.staged
            + (_rows(judged.events) - _rows(removed))
            + sum(_rows(self._catalogue[name]) + moved[name] for name in CATALOGUE),
            duplicates=before.duplicates + _rows(judged.duplicates) - _rows(replaced),
            rejected=before.rejected + moved["rejected"] + self._rejects.rows,
            blank=total_of(after, "blank"),
            erased=total_of(after, "erased"),
        )
        if not total.adds_up:
            raise AccountingError(
                f"{total.records} records came in, but {total.staged} staged + {total.duplicates} duplicates + "
                f"{total.rejected} rejected + {total.blank} blank + {total.erased} erased make {total.answered}",
                hint="nothing was committed; please report this as a defect, with the file if you can",
                account=total,
            )

    def _batches_after(self) -> pa.Table:
        """All rows of ``batches`` after this stage."""
        import pyarrow as pa

        stays = self._replaced
        return pa.concat_tables([stays.kept, with_stage(stays.carried, self._stage_id), self._batches])

    def _write_batches(self) -> StagedFile:
        import pyarrow.parquet as pq

        path, table = self._workshop / self._name("batches"), self._batches
        if self._replaced or self._state.batch_files >= COMPACT:
            path, table = path.with_name(f"{self._stage_id}{ALL}"), self._batches_after()
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd")
        return _file(path, len(table))

    def _name(self, table: str) -> str:
        return f"{table}/{self._stage_id}_0.parquet"

    def undo(self) -> None:
        """Remove what a failed attempt wrote; its rows never counted."""
        if self._committed:
            return
        for name in STAGED[1:]:
            table = open_table(self._place, name)
            rows = [f for f in files_of(table) if f.stage_id == self._stage_id]
            if table is not None and rows:
                commit(table, name, [], rows)
        own = f"/{self._stage_id}_"
        self._place.delete([path for name in STAGED for path in self._place.listing(name) if own in path])


def _rows(files: Sequence[StagedFile]) -> int:
    return sum(file.rows for file in files)


def _file(path: Path, rows: int) -> StagedFile:
    return StagedFile(path.name, rows, path.stat().st_size, None)
