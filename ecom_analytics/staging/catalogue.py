"""Staging of what is known of products: rows are typed and kept as they are; joining them in time is the marts'."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.lake import Batch, StagedFile
from ecom_analytics.protocols import RawFile

if TYPE_CHECKING:
    from ecom_analytics.engines.duckdb import DuckDBEngine

_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "DECIMAL(18, 4)",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
}
_STAGING = ("ingested_at", "stage_id")
"""Columns that staging adds to those of the source formats."""


class CatalogueStage:
    """Reads the new files that are not of events, and writes one file for each staged table that they fill.

    Parameters
    ----------
    engine : DuckDBEngine
    workshop : pathlib.Path
        The folder of the staged tables' new files.
    stage_id : str
    """

    def __init__(self, engine: DuckDBEngine, workshop: Path, stage_id: str) -> None:
        self._engine = engine
        self._workshop = workshop
        self._stage_id = stage_id

    def stage(
        self,
        table: str,
        batches: Sequence[Batch],
        files: Sequence[RawFile],
        formats: Mapping[str, Any],
        add_rejects: Callable[[str, list[RawFile]], None],
    ) -> list[StagedFile]:
        """Stage batches of one kind.

        Parameters
        ----------
        table : str
            ``products`` or ``categories``.
        batches, files : sequence
            The same ones, in the same order.
        formats : mapping
            Source formats by name.
        add_rejects : callable
            Receives the name of a table with rejected rows in it, and the files that they are of.
        """
        if not batches:
            return []
        parsed = f"parsed_{table}"
        self._create(table, parsed, batches)
        for name in dict.fromkeys(batch.source_format for batch in batches):
            own = [file for batch, file in zip(batches, files, strict=True) if batch.source_format == name]
            source_format = formats[name]
            rows = getattr(source_format, f"to_{table}")(source_format.read(self._engine, own))
            self._engine.execute(f"INSERT INTO {parsed} BY NAME {self._engine.backend.compile(rows)}")
        add_rejects(parsed, list(files))
        return self._write(table, parsed)

    def _create(self, table: str, parsed: str, batches: Sequence[Batch]) -> None:
        import pyarrow as pa

        columns = {c.name: _TYPES[c.type] for c in CATALOGUE[table] if c.name not in _STAGING}
        columns |= {"reject_rule": "VARCHAR", "reject_message": "VARCHAR"}
        self._engine.execute(
            f"CREATE OR REPLACE TABLE {parsed} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})"
        )
        arrivals = pa.table(
            {name: [getattr(b, name) for b in batches] for name in ("source", "batch_id", "ingested_at")}
        )
        self._engine.backend.con.register("arrivals", arrivals)

    def _write(self, table: str, parsed: str) -> list[StagedFile]:
        """Write the good rows, times as UTC instants."""
        columns = {
            "ingested_at": "CAST(arrivals.ingested_at AS TIMESTAMPTZ)",
            "valid_from": "make_timestamptz(epoch_us(valid_from))",
            "stage_id": f"'{self._stage_id}'",
        }
        wanted = ", ".join(f"{columns.get(c.name, f'{parsed}.{c.name}')} AS {c.name}" for c in CATALOGUE[table])
        path = self._workshop / table / f"{self._stage_id}_0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        to = str(path).replace("'", "''")
        [(rows,)] = self._engine.rows(
            f"COPY (SELECT {wanted} FROM {parsed} JOIN arrivals USING (source, batch_id) WHERE reject_rule IS NULL) "
            f"TO '{to}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        )
        self._engine.execute(f"DROP TABLE {parsed}")
        if not rows:
            path.unlink()
            return []
        return [StagedFile(path.name, rows, path.stat().st_size, None)]
