"""The batches that may hold records of certain visitors, told by what is staged of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.erasure.wanted import Wanted
from ecom_analytics.lake import Batch, BatchKey
from ecom_analytics.staging.state import State, load

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.staging.places import Place


def candidates(
    settings: Settings, place: Place, scratch: Path, raw: Iterable[Batch], wanted: Wanted, source: str | None
) -> list[Batch]:
    """The batches that may hold records of visitors, told without reading them where that can be.

    A staged batch is one if staged rows of it are of them, if staging suppressed rows of it, or if it has rejected
    records; all are if there is a text that may stand nowhere.
    """
    state = load(place)
    some = [batch for batch in raw if source in (None, batch.source)]
    if wanted.anywhere():
        return some
    staged = {(row["source"], row["batch_id"]): row for row in state.batches.to_pylist()}
    holding = _holding(settings, state, scratch, wanted)

    def may_hold(batch: Batch) -> bool:
        row = staged.get((batch.source, batch.batch_id))
        erased = batch.details.get("erased", {}).get("records", 0)
        return row is None or row["rejected"] or row["erased"] > erased or (batch.source, batch.batch_id) in holding

    return [batch for batch in some if may_hold(batch)]


def _holding(settings: Settings, state: State, scratch: Path, wanted: Wanted) -> set[BatchKey]:
    """Batches with staged rows, kept or suppressed as duplicates, of these visitors."""
    names = [
        f"{name}/{file.path}"
        for name, by_day in (("events", state.events), ("duplicates", state.duplicates))
        for files in by_day.values()
        for file in files
    ]
    if not names:
        return set()
    found: set[BatchKey] = set()
    with DuckDBEngine(settings, scratch) as engine:
        engine.execute("SET VARIABLE files = $1", [state.place.paths(names)])
        rows = "read_parquet(getvariable('files'), union_by_name = true, hive_partitioning = true)"
        columns = {name for name, *_ in engine.rows(f"DESCRIBE SELECT * FROM {rows}")}
        for name in sorted(columns & {"visitor_id", "user_id"}):
            seen = engine.rows(f"SELECT DISTINCT source, {name} FROM {rows} WHERE {name} IS NOT NULL")
            ids = sorted({visitor for of, visitor in seen if wanted.holds(of, visitor)})
            engine.execute("SET VARIABLE wanted = $1", [ids])
            found.update(
                engine.rows(
                    f"SELECT DISTINCT source, batch_id FROM {rows} "
                    f"WHERE list_contains(getvariable('wanted')::VARCHAR[], {name})"
                )
            )
    return found
