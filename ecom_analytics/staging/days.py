"""Judges days: of new and old rows together, which are kept, which are duplicates, and when their sessions began.

A day's state is its events and its duplicates, for a late row may change which of them wins. Days are judged in
ascending order, several at a time. What a day needs from before it is its *carry-in*: each visitor whose last event
lies within the session timeout of the day's start, with the start of that session, and the event ids kept in the last
24 hours. When judging changes a later day's carry-in, that day is judged too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ecom_analytics.config import Settings
from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.events import arrow_schema
from ecom_analytics.lake import StagedFile
from ecom_analytics.staging.event_ids import ID_WINDOW, id_columns, same_row, suppress_repeated_ids
from ecom_analytics.staging.kinds import AS_JUDGED
from ecom_analytics.staging.state import State
from ecom_analytics.staging.tables import schema
from ecom_analytics.staging.visits import HASHED, Visits

CHUNK_ROWS = 200_000
"""Rows that are judged at a time, give or take a day. A day by itself is written at less cost than with others."""


@dataclass
class Judged:
    """What judging did.

    Attributes
    ----------
    events, duplicates : list of StagedFile
        The files that it wrote.
    days : set of str
        The days that it judged.
    visitors : int
        Visitors with rows that are new, or gone, or staged in another way than before.
    rows_read : int
        New rows, and the old ones of the days that were judged, as often as they were.
    """

    events: list[StagedFile] = field(default_factory=list)
    duplicates: list[StagedFile] = field(default_factory=list)
    days: set[str] = field(default_factory=set)
    visitors: int = 0
    rows_read: int = 0

    @property
    def rows_written(self) -> int:
        return sum(file.rows for file in (*self.events, *self.duplicates))


class DayJudge:
    """Judges the days that new rows touch, and the days after them as far as the change reaches.

    Parameters
    ----------
    engine : DuckDBEngine
        Holds the table ``parsed``: the new rows, with ``event_date`` and ``reject_rule``.
    settings : Settings
    state : State
        What was staged before.
    columns : sequence of str
        The canonical columns that any row can fill, in order; others are NULL everywhere.
    stage_id : str
        Goes into the names of the files.
    workshop : pathlib.Path
        The folder that files are written to, each table's below its name.
    readable : callable
        Gives for names of staged files what DuckDB can read them by.
    on_days : callable, optional
        Told after each chunk how many days are done and how many are known to be left.
    dropping : bool
        Rows of the batches that the table ``dropped`` names go. The days that they are on are to be judged.
    """

    def __init__(
        self,
        engine: DuckDBEngine,
        settings: Settings,
        state: State,
        columns: Sequence[str],
        stage_id: str,
        workshop: Path,
        readable: Callable[[Sequence[str]], list[str]],
        on_days: Callable[[int, int], None] = lambda done, left: None,
        *,
        dropping: bool = False,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._state = state
        self._stage_id = stage_id
        self._on_days = on_days
        self._dropping = dropping
        self._columns = list(columns)
        self._has_ids = "source_event_id" in self._columns
        self._timeout = timedelta(minutes=settings.session_timeout_minutes)
        self._workshop = workshop
        self._readable = readable
        self._files = {day: _names("events", files) for day, files in state.events.items()}
        self._own: set[str] = set()
        self._before = dict(self._files)
        self._old = {
            day: [*self._files.get(day, []), *_names("duplicates", state.duplicates.get(day, []))]
            for day in {*state.events, *state.duplicates}
        }
        self._old_rows = {
            day: sum(f.rows for f in (*state.events.get(day, []), *state.duplicates.get(day, []))) for day in self._old
        }
        self._visits = self._prepare()
        self._write: Future[tuple[list[str], list[StagedFile], list[StagedFile]]] | None = None
        self._chunk: list[str] = []

    def judge(self, touched: dict[str, int]) -> Judged:
        """Judge ``touched`` days (day → new rows), and whatever follows from it."""
        result = Judged()
        queue = dict(touched)
        with ThreadPoolExecutor(1, "write-days") as pool:
            while queue:
                chunk = self._next_chunk(queue)
                self._judge_chunk(chunk, queue, result, pool)
                for day in chunk:
                    del queue[day]
                for day in self._days_after(chunk[-1]):
                    if day not in queue and self._carry_in_changed(day, result):
                        queue[day] = 0
                self._on_days(len(result.days), len(queue))
            self._settle(result)
        ((result.visitors,),) = self._engine.rows("SELECT count(DISTINCT hash) FROM visitors")
        return result

    def _settle(self, result: Judged) -> None:
        """Wait until the last chunk is written, and know its files."""
        write, self._write = self._write, None
        if write is None:
            return
        chunk, events, duplicates = write.result()
        for day in chunk:
            self._files.pop(day, None)
        for file in events:
            self._files.setdefault(str(file.day), []).append(f"events/{file.path}")
            self._own.add(f"events/{file.path}")
        result.events += events
        result.duplicates += duplicates

    def _next_chunk(self, queue: dict[str, int]) -> list[str]:
        """The first days of the queue that have no other day between them, up to the chunk's size."""
        known = sorted({*queue, *self._files})
        first = min(queue)
        chunk, rows = [], 0
        for day in known[known.index(first) :]:
            if day not in queue or rows >= CHUNK_ROWS:
                break
            chunk.append(day)
            rows += queue[day] + sum(f.rows for f in self._state.events.get(day, []))
        return chunk

    def _judge_chunk(self, chunk: list[str], queue: dict[str, int], result: Judged, pool: ThreadPoolExecutor) -> None:
        """Find what becomes of the chunk's rows; they are written while the next chunk is judged."""
        engine, visits = self._engine, self._visits
        old = [name for day in chunk for name in self._old.get(day, [])]
        self._carry_over(chunk[0], result)
        self._view_rows(chunk, old)
        if self._has_ids:
            self._settle(result)
            suppress_repeated_ids(engine, self._carried_ids(chunk[0], self._files, "now"), self._columns)
        visits.sort(old=bool(old))
        losers = visits.find_losers()
        if self._has_ids:
            ((more,),) = engine.rows(f"INSERT INTO {visits.losers} BY NAME SELECT * FROM repeated")
            losers += more
        self._note_visitors(old)
        events = f"SELECT * FROM ({visits.events()}) AS judged"
        duplicates = f"SELECT *, '{self._stage_id}' AS stage_id FROM {visits.losers}" if losers else ""
        if losers:
            events += f" ANTI JOIN {visits.losers} AS l ON {same_row('judged', 'l', self._columns)}"
        result.days.update(chunk)
        result.rows_read += sum(queue[day] + self._old_rows.get(day, 0) for day in chunk)
        self._settle(result)
        self._chunk = chunk
        self._write = pool.submit(self._write_chunk, chunk, events, duplicates)

    def _write_chunk(
        self, chunk: list[str], events: str, duplicates: str
    ) -> tuple[list[str], list[StagedFile], list[StagedFile]]:
        """Write what was judged; on a thread of its own."""
        day = chunk[0] if len(chunk) == 1 else None
        written = self._engine.write_partitions(events, self._workshop / "events", self._stage_id, day=day)
        lost = []
        if duplicates:
            lost = self._engine.write_partitions(duplicates, self._workshop / "duplicates", self._stage_id)
        there = {str(file.day) for file in (*written, *lost)}
        lost += [self._no_duplicates(day) for day in chunk if day in self._state.duplicates and day not in there]
        return chunk, written, lost

    def _note_visitors(self, old: Sequence[str]) -> None:
        """Add the visitors whose rows are not what they were to the table ``visitors``, as hashes: they are counted."""
        visits = self._visits
        if not old:
            lost = f"SELECT {HASHED} FROM {visits.losers}"
            self._engine.execute(f"INSERT INTO visitors {visits.visitors()} UNION ALL {lost}")
            return
        judged = f"({visits.events('was_start')}) AS judged"
        lost = f"{visits.losers} AS l ON {same_row('judged', 'l', self._columns)}"
        parts = [f"SELECT {HASHED} FROM {judged} ANTI JOIN {lost} WHERE was_start IS DISTINCT FROM session_start"]
        lost = f"SELECT {HASHED} FROM {visits.losers} AS lost"
        were = [name for name in old if name.startswith("duplicates/")]
        if were:
            self._engine.execute("SET VARIABLE were_lost = $1", [self._paths(were)])
            lost += f" ANTI JOIN ({self._scan('were_lost')}) AS w ON {same_row('lost', 'w', self._columns)}"
        parts.append(lost)
        if self._dropping:
            parts.append(f"SELECT {HASHED} FROM ({self._scan('old_files')}) WHERE {_DROPPED}")
        self._engine.execute(f"INSERT INTO visitors {' UNION '.join(parts)}")

    def _no_duplicates(self, day: str) -> StagedFile:
        """An empty file for a day of which nothing is left: else its old duplicates would be its newest rows."""
        import pyarrow.parquet as pq

        kind = schema("duplicates")
        path = self._workshop / "duplicates" / f"event_date={day}" / f"{self._stage_id}_none.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(kind.remove(kind.get_field_index("event_date")).empty_table(), path)
        return StagedFile(str(path.relative_to(self._workshop / "duplicates")), 0, path.stat().st_size, day)

    def _view_rows(self, chunk: list[str], old: Sequence[str]) -> None:
        """The relation ``rows``: new and old rows of the chunk's days, and the carry of its first day."""
        columns = ", ".join(self._columns)
        new = (
            f"SELECT {columns}, event_date FROM parsed WHERE reject_rule IS NULL "
            "AND event_date BETWEEN getvariable('first_day') AND getvariable('last_day')"
        )
        self._engine.execute("SET VARIABLE first_day = $1", [date.fromisoformat(chunk[0])])
        self._engine.execute("SET VARIABLE last_day = $1", [date.fromisoformat(chunk[-1])])
        rows = new
        if old:
            self._engine.execute("SET VARIABLE old_files = $1", [self._paths(old)])
            stays = f"WHERE NOT {_DROPPED}" if self._dropping else ""
            rows = (
                f"SELECT *, NULL::TIMESTAMP AS was_start FROM ({new}) UNION ALL "
                f"SELECT {columns}, event_date, session_start AS was_start FROM ({self._scan('old_files')}) {stays}"
            )
        self._engine.execute(f"CREATE OR REPLACE TEMP VIEW candidates AS {rows}")
        self._engine.execute(
            "CREATE OR REPLACE TEMP VIEW rows AS SELECT *, NULL::TIMESTAMP AS carry FROM candidates "
            "UNION ALL BY NAME SELECT * FROM carried"
        )

    def _scan(self, variable: str) -> str:
        """Staged files as rows with all columns of this stage; times as UTC without a zone."""
        return (
            f"SELECT * REPLACE ({AS_JUDGED}) FROM (SELECT * FROM no_events UNION ALL BY NAME SELECT * FROM "
            f"read_parquet(getvariable('{variable}'), union_by_name = true, hive_partitioning = true, "
            "hive_types = {'event_date': DATE}))"
        )

    def _carry_over(self, day: str, result: Judged) -> None:
        """The table ``carried``: visitors whose session may go on into ``day``."""
        since = self._start(day) - self._timeout
        if self._write is not None and not self._needed(day, since).difference(self._chunk):
            # all that is needed was judged last, and is being written
            carry = _CARRY.format(self._visits.since(_literal(since)))
        else:
            self._settle(result)
            carry = self._carry_in(day, self._files, "now")
        self._engine.execute(f"CREATE OR REPLACE TEMP TABLE carried AS {carry}")

    def _carry_in(self, day: str, files: dict[str, list[str]], variable: str) -> str:
        """SQL for the visitors whose last event before ``day`` lies within the timeout of its start."""
        since = self._start(day) - self._timeout
        return _CARRY.format(self._scan_before(day, since, files, variable))

    def _carried_ids(self, day: str, files: dict[str, list[str]], variable: str) -> str:
        """SQL for the event ids kept in the 24 hours before ``day``."""
        scan = self._scan_before(day, self._start(day) - ID_WINDOW, files, variable)
        return f"SELECT {', '.join(id_columns(self._columns))} FROM ({scan}) WHERE source_event_id IS NOT NULL"

    def _scan_before(self, day: str, since: datetime, files: dict[str, list[str]], variable: str) -> str:
        names = [name for earlier in self._needed(day, since) for name in files.get(earlier, [])]
        if not names:
            return f"SELECT * REPLACE ({AS_JUDGED}) FROM no_events"
        self._engine.execute(f"SET VARIABLE {variable} = $1", [self._paths(names)])
        return _since(self._scan(variable), since)

    def _needed(self, day: str, since: datetime) -> set[str]:
        """The days before ``day`` that hold events since then."""
        first = since.replace(tzinfo=UTC).astimezone(self._settings.zone).date().isoformat()
        return {known for known in {*self._before, *self._files, *self._chunk} if first <= known < day}

    def _carry_in_changed(self, day: str, result: Judged) -> bool:
        self._settle(result)
        kinds = [self._carry_in, *([self._carried_ids] if self._has_ids else [])]
        for kind in kinds:
            was, now = kind(day, self._before, "was"), kind(day, self._files, "now")
            differences = f"(({was}) EXCEPT ({now})) UNION ALL (({now}) EXCEPT ({was}))"
            if self._engine.rows(f"SELECT 1 FROM ({differences}) LIMIT 1"):
                return True
        return False

    def _days_after(self, day: str) -> Iterable[str]:
        """Days after ``day`` that were not judged yet and that its events can reach."""
        reach = max(self._timeout, ID_WINDOW if self._has_ids else timedelta(0))
        end = self._start((date.fromisoformat(day) + timedelta(days=1)).isoformat())
        return [later for later in sorted(self._before) if later > day and self._start(later) - reach < end]

    def _paths(self, names: Sequence[str]) -> list[str]:
        """Where to read files: those of this stage from the workshop, the others from where they are staged."""
        own = {name: str(self._workshop / name) for name in names if name in self._own}
        old = [name for name in names if name not in own]
        return [*own.values(), *self._readable(old)]

    def _start(self, day: str) -> datetime:
        """The first instant of a day of the store, UTC without a zone."""
        midnight = datetime.combine(date.fromisoformat(day), time(), self._settings.zone)
        return midnight.astimezone(UTC).replace(tzinfo=None)

    def _prepare(self) -> Visits:
        """Make what judging needs: the empty relation that gives old files their types, and the rules as SQL."""
        import ibis

        self._engine.execute("CREATE OR REPLACE TABLE visitors (hash UBIGINT)")
        self._engine.backend.create_table("no_events", schema=ibis.schema(arrow_schema()), temp=True, overwrite=True)
        types = {name: str(kind) for name, kind in ibis.schema(arrow_schema()).items()} | {"event_ts": "timestamp(6)"}
        columns = {name: types[name] for name in (*self._columns, "event_date")}
        return Visits(self._engine, columns, self._timeout)


_CARRY = (
    "SELECT source, visitor_id, max(event_ts) AS event_ts, max(session_start) AS carry FROM ({}) "
    "GROUP BY source, visitor_id"
)
_DROPPED = "(source, batch_id) IN (SELECT (source, batch_id) FROM dropped)"


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"


def _since(rows: str, since: datetime) -> str:
    return f"SELECT * FROM ({rows}) WHERE event_ts >= {_literal(since)}"


def _names(table: str, files: Iterable[StagedFile]) -> list[str]:
    return [f"{table}/{file.path}" for file in files]
