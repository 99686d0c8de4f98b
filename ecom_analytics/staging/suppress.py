"""Erased visitors do not come back: their rows of new files are dropped before days are judged, and counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.suppression import Suppressed


def drop_suppressed(engine: DuckDBEngine, suppressed: Suppressed) -> Counter[tuple[str, str]]:
    """Delete the rows of erased visitors from the table ``parsed``; how many there were by (source, batch_id).

    Rows that broke a rule are among them.
    """
    dropped: Counter[tuple[str, str]] = Counter()
    if not suppressed:
        return dropped
    columns = {name for name, *_ in engine.rows("DESCRIBE parsed")}
    engine.execute("CREATE TEMP TABLE erased (source VARCHAR, visitor VARCHAR)")
    for name in sorted(columns & {"visitor_id", "user_id"}):
        seen = engine.rows(f"SELECT DISTINCT source::VARCHAR, {name} FROM parsed WHERE {name} IS NOT NULL")
        found = [pair for pair in seen if suppressed.holds(*pair)]
        if found:
            lists = [list(column) for column in zip(*found, strict=True)]
            engine.execute("INSERT INTO erased SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])", lists)
            is_one = f"(source::VARCHAR, {name}) IN (SELECT (source, visitor) FROM erased)"
            for source, batch_id, rows in engine.rows(
                f"SELECT source::VARCHAR, batch_id::VARCHAR, count(*) FROM parsed WHERE {is_one} GROUP BY ALL"
            ):
                dropped[source, batch_id] += rows
            engine.execute(f"DELETE FROM parsed WHERE {is_one}")
    engine.execute("DROP TABLE erased")
    return dropped
