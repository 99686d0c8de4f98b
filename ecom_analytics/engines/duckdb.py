"""DuckDB, embedded: the default engine."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.config import Settings
from ecom_analytics.lake import StagedFile
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading import BadRecord, ReadCounts, Request, read_file

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends.duckdb import Backend

_IN_ZONE = "timezone(zone, timezone('UTC', {}))"
_LATER = "timezone('UTC', timezone(zone, shown))"
_DAY_BEFORE = f"({_LATER} - INTERVAL 24 HOUR)"
_EARLIER = f"(shown - ({_IN_ZONE.format(_DAY_BEFORE)} - {_DAY_BEFORE}))"
_FROM_LOCAL = (
    "CREATE OR REPLACE TEMP MACRO ecom_from_local(shown, zone) AS CASE "
    f"WHEN {_IN_ZONE.format(_EARLIER)} = shown THEN {_EARLIER} WHEN {_IN_ZONE.format(_LATER)} = shown THEN {_LATER} END"
)
"""ICU takes the later of two times; the earlier is by the offset of the day before, if clocks showed that then."""


@dataclass
class Reading:
    """What the engine saw while it read: counts for each file, and who is told of records that cannot be split."""

    counts: dict[tuple[str, str], ReadCounts] = field(default_factory=dict)
    on_bad: Callable[[RawFile, BadRecord], None] | None = None
    on_bytes: Callable[[int], None] | None = None


class DuckDBEngine:
    """One in-process DuckDB connection.

    Parameters
    ----------
    settings : Settings
        Gives the memory limit and the number of threads.
    scratch : pathlib.Path
        An existing folder that DuckDB may spill to and keep working files in.

    Attributes
    ----------
    backend : ibis.backends.duckdb.Backend
    reading : Reading
        Set by whoever wants to know what :meth:`read_delimited` saw.
    """

    name = "duckdb"

    def __init__(self, settings: Settings, scratch: Path) -> None:
        import ibis

        self.max_record_lines = settings.max_record_lines
        self.reading = Reading()
        self._failure: Exception | None = None
        self.backend: Backend = ibis.duckdb.connect(
            ":memory:",
            threads=settings.threads,
            memory_limit=settings.memory_limit,
            temp_directory=str(scratch / "spill"),
            preserve_insertion_order=False,
            autoinstall_known_extensions=False,
            autoload_known_extensions=False,
        )
        self.execute("SET TimeZone = 'UTC'")
        self.execute("SET enable_progress_bar = false")  # it would go to standard output

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.disconnect()

    def execute(self, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> Any:
        """Run one statement on the connection that Ibis uses.

        An error of ours that was raised while DuckDB drew rows from a reader comes out as it was raised.
        """
        try:
            return self.backend.con.execute(sql, parameters)
        except Exception as error:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure from error
            raise

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return list(self.execute(sql, parameters).fetchall())

    def read_delimited(
        self,
        files: Sequence[RawFile],
        columns: Sequence[str] | Mapping[str, str],
        *,
        optional: Sequence[str] = (),
    ) -> ir.Table:
        """A table that streams the files' records once; see :class:`ecom_analytics.protocols.Engine`."""
        fields = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}
        required = [name for name in fields.values() if name not in optional]
        return self._table(files, Request(fields, required=required, flat=True))

    def read_nested(
        self,
        files: Sequence[RawFile],
        fields: Mapping[str, str],
        *,
        each: str | None = None,
        required: Sequence[str] = (),
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> ir.Table:
        """A table that streams the files' records once; see :class:`ecom_analytics.protocols.Engine`."""
        return self._table(files, Request(fields, each, required, names=names))

    def _table(self, files: Sequence[RawFile], request: Request) -> ir.Table:
        import pyarrow as pa

        origin = [(name, pa.dictionary(pa.int32(), pa.string())) for name in ("batch_id", "source")]
        schema = pa.schema([*request.schema, *(pa.field(*field) for field in origin)])
        reader = pa.RecordBatchReader.from_batches(schema, self._kept(self._batches(files, request, schema)))
        name = f"raw_{id(reader)}"
        self.backend.con.register(name, reader)
        return self.backend.table(name)

    def _kept(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches; an error on the way is kept for :meth:`execute`, since DuckDB makes text of it."""
        try:
            yield from batches
        except Exception as error:
            self._failure = error
            raise

    def _batches(self, files: Sequence[RawFile], request: Request, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for file in files:
            counts = self.reading.counts.setdefault((file.source, file.batch_id), ReadCounts())
            batches = read_file(
                file,
                request,
                counts,
                max_record_lines=self.max_record_lines,
                on_bad=lambda bad, file=file: self._bad(file, bad),  # type: ignore[misc]
            )
            for batch in batches:
                zeros = pa.repeat(pa.scalar(0, pa.int32()), len(batch))
                origin = [pa.DictionaryArray.from_arrays(zeros, [v]) for v in (file.batch_id, file.source)]
                yield pa.RecordBatch.from_arrays([*batch.columns, *origin], schema=schema)
                if self.reading.on_bytes:
                    self.reading.on_bytes(batch.nbytes)

    def _bad(self, file: RawFile, bad: BadRecord) -> None:
        if self.reading.on_bad:
            self.reading.on_bad(file, bad)

    def write_partitions(self, query: str, root: Path, prefix: str, *, day: str | None = None) -> list[StagedFile]:
        """Write a query's rows as Parquet below ``root``, a folder for each ``event_date``; times become UTC instants.

        It runs on a cursor of its own, so that another thread may use the engine meanwhile: the query can name
        neither temporary tables nor variables.

        Parameters
        ----------
        query : str
        root : pathlib.Path
        prefix : str
            The names of the files begin with it and ``_``.
        day : str, optional
            The ``event_date`` of all rows, if it is the same: rows need not be told apart then, which is faster.
        """
        folder = root if day is None else root / f"event_date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        name = "{uuid}" if day is None else uuid.uuid4()
        path = folder if day is None else folder / f"{prefix}_{name}.parquet"
        parted = f"PARTITION_BY (event_date), APPEND, FILENAME_PATTERN '{prefix}_{name}', " if day is None else ""
        to = str(path).replace("'", "''")
        with self.backend.con.cursor() as cursor:
            described = cursor.execute(f"DESCRIBE {query}").fetchall()
            times = [name for name, kind, *_ in described if kind == "TIMESTAMP"]
            instants = ", ".join(f"make_timestamptz(epoch_us({name})) AS {name}" for name in times)
            left_out = "" if day is None else "EXCLUDE (event_date) "
            written = cursor.execute(
                f"COPY (SELECT * {left_out}REPLACE ({instants}) FROM ({query})) TO '{to}' (FORMAT parquet, {parted}"
                "PARQUET_VERSION v2, COMPRESSION zstd, COMPRESSION_LEVEL 1, RETURN_STATS)"
            ).fetchall()
        if day is not None and not written[0][1]:
            path.unlink()
            return []
        return [
            StagedFile(str(Path(name).relative_to(root)), rows, size, day or keys["event_date"])
            for name, rows, size, _, _, keys in written
        ]

    def timestamp_from_millis(self, column: ir.IntegerColumn) -> ir.TimestampColumn:
        """Milliseconds since 1970 as a UTC timestamp without a zone."""
        return self.timestamp_from_micros(column * 1000)

    def timestamp_from_micros(self, column: ir.IntegerColumn) -> ir.TimestampColumn:
        """Microseconds since 1970 as a UTC timestamp without a zone."""
        import ibis

        @ibis.udf.scalar.builtin(name="make_timestamp", signature=(("int64",), "timestamp(6)"))
        def from_micros(micros):  # type: ignore[no-untyped-def]
            """DuckDB's function of that name."""

        return from_micros(column)

    def timestamp_from_text(self, column: ir.StringColumn) -> ir.TimestampColumn:
        """ISO 8601 text as a UTC timestamp without a zone; text without an offset is UTC; NULL if it is none."""
        return column.try_cast("timestamp('UTC', 6)").cast("timestamp(6)")

    def timestamp_from_local(self, column: ir.TimestampColumn, timezone: str) -> ir.TimestampColumn:
        """The time that clocks showed in a time zone, as UTC; the first of two, NULL if there was none."""
        import ibis

        self.execute(_FROM_LOCAL)

        @ibis.udf.scalar.builtin(name="ecom_from_local", signature=(("timestamp(6)", "string"), "timestamp(6)"))
        def from_local(shown, zone):  # type: ignore[no-untyped-def]
            """The macro of that name."""

        return from_local(column, timezone)

    def local_date(self, column: ir.TimestampColumn, timezone: str) -> ir.DateColumn:
        """The day of a UTC timestamp in a time zone."""
        import ibis

        if timezone == "UTC":
            return column.date()

        @ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp(6)"), "timestamp('UTC', 6)"))
        def at_zone(zone, at):  # type: ignore[no-untyped-def]
            """DuckDB's function of that name."""

        @ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC', 6)"), "timestamp(6)"))
        def to_zone(zone, at):  # type: ignore[no-untyped-def]
            """DuckDB's function of that name."""

        return to_zone(timezone, at_zone("UTC", column)).date()
