"""Events that carry an id of their own: the same id within 24 hours of a kept one is suppressed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ecom_analytics.engines.duckdb import DuckDBEngine

ID_WINDOW = timedelta(hours=24)


def suppress_repeated_ids(engine: DuckDBEngine, carried: str, columns: Sequence[str]) -> None:
    """Take repeated ids out of the view ``rows`` and put them into the table ``repeated``.

    Greedy in time, as a reader of the stream would judge: the first event of an id is kept, those within 24 hours of
    it are suppressed, the next one is kept again. Each round keeps one more event of each id that has any left, so
    there are as many rounds as the longest such chain has kept events.

    Parameters
    ----------
    engine : DuckDBEngine
        Holds the views ``candidates`` and ``rows``.
    carried : str
        SQL for the ids kept in the 24 hours before.
    columns : sequence of str
        Canonical columns of ``candidates``.
    """
    names = ", ".join(columns)
    engine.execute(
        f"CREATE OR REPLACE TEMP TABLE repeated AS SELECT {names}, event_date, ''::VARCHAR AS kept_batch_id, "
        "0::BIGINT AS kept_line FROM candidates LIMIT 0"
    )
    engine.execute(f"CREATE OR REPLACE TEMP TABLE kept_ids AS {carried}")
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE undecided AS SELECT * FROM candidates SEMI JOIN ("
        "SELECT source, source_event_id FROM (SELECT source, source_event_id FROM candidates "
        "UNION ALL SELECT source, source_event_id FROM kept_ids) WHERE source_event_id IS NOT NULL "
        "GROUP BY ALL HAVING count(*) > 1) AS several USING (source, source_event_id)"
    )
    while True:
        # of each id the last kept event; rows within its window are decided: they lose to it
        engine.execute(
            f"INSERT INTO repeated SELECT {', '.join(f'u.{name}' for name in columns)}, u.event_date, k.batch_id, "
            "k.source_line FROM undecided u JOIN kept_ids k USING (source, source_event_id) "
            "WHERE u.event_ts <= k.event_ts + INTERVAL 24 HOUR "
            "AND (u.batch_id, u.source_line) <> (k.batch_id, k.source_line)"
        )
        engine.execute(
            "DELETE FROM undecided USING kept_ids k WHERE undecided.source = k.source "
            "AND undecided.source_event_id = k.source_event_id AND undecided.event_ts <= k.event_ts + INTERVAL 24 HOUR"
        )
        if not engine.rows("SELECT 1 FROM undecided LIMIT 1"):
            break
        engine.execute(
            "CREATE OR REPLACE TEMP TABLE kept_ids AS SELECT source, source_event_id, event_ts, batch_id, source_line "
            "FROM undecided QUALIFY row_number() OVER "
            "(PARTITION BY source, source_event_id ORDER BY event_ts, batch_id, source_line) = 1"
        )
    engine.execute(
        "CREATE OR REPLACE TEMP VIEW rows AS SELECT *, NULL::TIMESTAMP AS carry FROM candidates "
        "ANTI JOIN repeated USING (source, batch_id, source_line) UNION ALL BY NAME SELECT * FROM carried"
    )
