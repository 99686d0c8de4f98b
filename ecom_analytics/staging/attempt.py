"""One try at one stage: read what is new, judge its days, validate, and commit; or undo."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.catalogue import CATALOGUE, EVENTS, kind_of
from ecom_analytics.config import Settings
from ecom_analytics.errors import AccountingError, BusyError
from ecom_analytics.lake import STAGED, Batch, BatchKey, StagedFile
from ecom_analytics.progress import Progress, Watcher
from ecom_analytics.protocols import RawFile, SourceFormat
from ecom_analytics.source_formats.rule_set import RuleSet
from ecom_analytics.staging.formats import format_key, formats_of, read_with
from ecom_analytics.staging.replaced import Replaced, with_stage
from ecom_analytics.staging.state import ALL, Account, State, account, open_tables, properties, version_of
from ecom_analytics.staging.suppress import drop_suppressed
from ecom_analytics.staging.tables import STAGE, commit, create_table, files_of, open_table, schema
from ecom_analytics.staging.tally import check_rejected, warned_by_batch
from ecom_analytics.suppression import Suppressed

if TYPE_CHECKING:
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
        from ecom_analytics.staging.days import DayJudge, Judged, present_columns
        from ecom_analytics.staging.rejects import RejectFile
        from ecom_analytics.staging.validation import import_early

        import_early()
        self._workshop = self._place.workshop(scratch)
        self._rejects = RejectFile(self._workshop / self._name("rejected"), self._stage_id, self._suppressed)
        self._fetch()
        with DuckDBEngine(self._settings, scratch) as engine:
            reader = self._reader(engine)
            self._read(engine, present_columns(c for f in self._formats.values() for c in f.capabilities))
            self._dropped = drop_suppressed(engine, self._suppressed)
            self._rejects.add_broken(engine, list(self._files.values()), self._settings.max_record_lines)
            self._catalogue = self._stage_catalogue(engine)
            self._rejects.close()
            self._check_rejected(engine)
            self._warned = warned_by_batch(engine) if self._warns else {}
            self._carried = self._replaced.carry_on(self._workshop, self._stage_id)
            self._counts = engine.reading.counts
            touched: dict[str, int] = {}
            self._days: dict[BatchKey, tuple[date, date]] = {}
            for source, batch_id, day, rows in engine.rows(
                "SELECT source, batch_id, event_date, count(*) FROM parsed WHERE reject_rule IS NULL "
                "GROUP BY source, batch_id, event_date"
            ):
                touched[day.isoformat()] = touched.get(day.isoformat(), 0) + rows
                first, last = self._days.get((source, batch_id), (day, day))
                self._days[source, batch_id] = (min(first, day), max(last, day))
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
        from ecom_analytics.staging.days import create_kinds, sql_types
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
        before, gone = account(self._state), self._replaced
        blank = sum(self._blank(batch) for batch in self._new)
        erased = sum(self._erased(batch) for batch in self._new)
        replaced = [f for day in judged.days for f in self._state.duplicates.get(day, [])]
        catalogue = [f for name in CATALOGUE for f in (*self._catalogue[name], *self._carried[name])]
        total = Account(
            records=before.records - gone.total("records") + sum(map(self._records, self._new)),
            staged=before.staged
            + (_rows(judged.events) - _rows(removed))
            + (_rows(catalogue) - sum(_rows(gone.files(name)) for name in CATALOGUE)),
            duplicates=before.duplicates + _rows(judged.duplicates) - _rows(replaced),
            rejected=before.rejected - gone.total("rejected") + self._rejects.rows,
            blank=before.blank - gone.total("blank") + blank,
            erased=before.erased - gone.total("erased") + erased,
        )
        if not total.adds_up:
            raise AccountingError(
                f"{total.records} records came in, but {total.staged} staged + {total.duplicates} duplicates + "
                f"{total.rejected} rejected + {total.blank} blank + {total.erased} erased make {total.answered}",
                hint="nothing was committed; please report this as a defect, with the file if you can",
                account=total,
            )

    def _records(self, batch: Batch) -> int:
        """Records of a batch, with blank lines and those that were erased."""
        counts = self._counts[batch.source, batch.batch_id]
        return counts.records + self._blank(batch) + _erased_before(batch)

    def _blank(self, batch: Batch) -> int:
        """Blank lines of a batch, without those that stand for erased records."""
        lines: int = batch.details.get("erased", {}).get("lines", 0)
        return self._counts[batch.source, batch.batch_id].blank - lines

    def _erased(self, batch: Batch) -> int:
        """Records of a batch that were erased from its file, or that are still in it but not staged."""
        key = (batch.source, batch.batch_id)
        return _erased_before(batch) + self._dropped[key] + self._rejects.erased[key]

    def _write_batches(self) -> StagedFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = []
        for batch in self._new:
            first, last = self._days.get((batch.source, batch.batch_id), (None, None))
            rules: Mapping[str, int] = self._rejects.by_batch.get((batch.source, batch.batch_id), {})
            warned: Mapping[str, int] = self._warned.get((batch.source, batch.batch_id), {})
            rows.append(
                {
                    "source": batch.source,
                    "batch_id": batch.batch_id,
                    "source_format": batch.source_format,
                    "name": batch.name,
                    "bytes": batch.bytes,
                    "records": self._records(batch),
                    "rejected": sum(rules.values()),
                    "blank": self._blank(batch),
                    "erased": self._erased(batch),
                    "rejected_by_rule": json.dumps(rules, sort_keys=True),
                    "warned_by_rule": json.dumps(warned, sort_keys=True),
                    "read_with": read_with(batch, self._settings),
                    "first_day": first,
                    "last_day": last,
                    "stage_id": self._stage_id,
                    "staged_at": datetime.now(UTC),
                }
            )
        table = pa.Table.from_pylist(rows, schema=schema("batches"))
        path = self._workshop / self._name("batches")
        if self._replaced or self._state.batch_files >= COMPACT:
            path = path.with_name(f"{self._stage_id}{ALL}")
            table = pa.concat_tables([self._replaced.kept, with_stage(self._replaced.carried, self._stage_id), table])
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


def _erased_before(batch: Batch) -> int:
    records: int = batch.details.get("erased", {}).get("records", 0)
    return records


def _rows(files: Sequence[StagedFile]) -> int:
    return sum(file.rows for file in files)


def _file(path: Path, rows: int) -> StagedFile:
    return StagedFile(path.name, rows, path.stat().st_size, None)
