"""Batches that a stage reads again, or that are gone: their old rows are dropped, those of other batches carried on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics import plugins
from ecom_analytics.catalogue import CATALOGUE, EVENTS, kind_of
from ecom_analytics.lake import BatchKey, StagedFile
from ecom_analytics.staging.state import State
from ecom_analytics.staging.tables import schema

if TYPE_CHECKING:
    import pyarrow as pa

    from ecom_analytics.engines.duckdb import DuckDBEngine


class Replaced:
    """What a stage does away with.

    Files of ``rejected``, ``products`` and ``categories`` hold rows of all batches of one stage. If one of these
    batches goes, the rows of the others are written anew, and belong to the new stage from then on.

    Parameters
    ----------
    state : State
        What is staged now.
    keys : collection of (source, batch_id)
        Batches that are staged.

    Attributes
    ----------
    gone : pyarrow.Table
        The rows of ``batches`` that go.
    carried : pyarrow.Table
        Those of batches that stay, but whose rows in other tables are written anew.
    kept : pyarrow.Table
        The others.
    """

    def __init__(self, state: State, keys: Collection[BatchKey]) -> None:
        import pyarrow as pa

        self._state = state
        self.keys = set(keys)
        table = state.batches
        goes = [key in self.keys for key in zip(*_columns(table, "source", "batch_id"), strict=True)]
        apart = [
            stage
            for goes_, stage, source_format, rejects in zip(
                goes, *_columns(table, "stage_id", "source_format", "rejected"), strict=True
            )
            if goes_ and (rejects or kind_of(plugins.load("source_formats", source_format)) != EVENTS)
        ]
        self._stages = set(apart)
        moves = [stage in self._stages for stage in table["stage_id"].to_pylist()]
        self.gone = table.filter(pa.array(goes, pa.bool_()))
        self.carried = table.filter(pa.array([m and not g for m, g in zip(moves, goes, strict=True)], pa.bool_()))
        self.kept = table.filter(pa.array([not m and not g for m, g in zip(moves, goes, strict=True)], pa.bool_()))

    def __bool__(self) -> bool:
        return bool(self.keys)

    def files(self, table: str) -> list[StagedFile]:
        """Files of ``rejected`` or of the catalogue that no longer count."""
        files = self._state.rejected if table == "rejected" else self._state.catalogue[table]
        return [file for file in files if file.stage_id in self._stages]

    def carry_on(self, workshop: Path, stage_id: str) -> dict[str, list[StagedFile]]:
        """Write the rows that stay of files that do not, as rows of the new stage."""
        return {name: self._carry(name, workshop, stage_id) for name in ("rejected", *CATALOGUE)}

    def _carry(self, name: str, workshop: Path, stage_id: str) -> list[StagedFile]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        files = self.files(name)
        if not files:
            return []
        kind = schema(name)
        path, rows = workshop / name / f"{stage_id}_carried.parquet", 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, kind, compression="zstd") as writer:
            for local in self._state.place.paths([f"{name}/{file.path}" for file in files]):
                with pq.ParquetFile(local) as source:
                    for batch in source.iter_batches():
                        table = self._survivors(pa.table(batch)).cast(kind)
                        stage = table.column_names.index("stage_id")
                        table = table.set_column(
                            stage, kind.field(stage), pa.array([stage_id] * len(table), pa.string())
                        )
                        writer.write_table(table)
                        rows += len(table)
        if not rows:
            path.unlink()
            return []
        return [StagedFile(path.name, rows, path.stat().st_size, None)]

    def _survivors(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        stays = [key not in self.keys for key in zip(*_columns(table, "source", "batch_id"), strict=True)]
        return table.filter(pa.array(stays, pa.bool_()))

    def create(self, engine: DuckDBEngine) -> None:
        """Create the table ``dropped``: source and id of each batch that goes."""
        engine.execute("CREATE TEMP TABLE dropped (source kind_of_source, batch_id kind_of_batch_id)")
        columns = [list(column) for column in zip(*sorted(self.keys), strict=True)]
        engine.execute("INSERT INTO dropped SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])", columns)

    def days(self, engine: DuckDBEngine, readable: Callable[[Sequence[str]], list[str]]) -> set[str]:
        """The days on which events, kept or suppressed, of these batches are staged."""
        ranges = [
            (first.isoformat(), last.isoformat())
            for first, last in zip(*_columns(self.gone, "first_day", "last_day"), strict=True)
            if first is not None
        ]
        found: set[str] = set()
        for name, by_day in (("events", self._state.events), ("duplicates", self._state.duplicates)):
            days = [day for day in by_day if any(first <= day <= last for first, last in ranges)]
            names = [f"{name}/{file.path}" for day in days for file in by_day[day]]
            if names:
                engine.execute("SET VARIABLE all_files = $1", [readable(names)])
                rows = engine.rows(
                    "SELECT DISTINCT event_date FROM read_parquet(getvariable('all_files'), union_by_name = true, "
                    "hive_partitioning = true, hive_types = {'event_date': DATE}) "
                    "WHERE (source, batch_id) IN (SELECT (source::VARCHAR, batch_id::VARCHAR) FROM dropped)"
                )
                found.update(day.isoformat() for (day,) in rows)
        return found


def with_stage(table: pa.Table, stage_id: str) -> pa.Table:
    """The rows as rows of that stage."""
    import pyarrow as pa

    column = table.schema.get_field_index("stage_id")
    return table.set_column(column, table.schema.field(column), pa.array([stage_id] * len(table), pa.string()))


def _columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]
