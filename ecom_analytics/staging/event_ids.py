"""Events that carry an id of their own: the same id within 24 hours of a kept one is suppressed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ecom_analytics.engines.duckdb import DuckDBEngine

ID_WINDOW = timedelta(hours=24)


def same_row(one: str, other: str, columns: Sequence[str]) -> str:
    """SQL for two rows being the same row of the same file.

    Examples
    --------
    >>> same_row("a", "b", ["event_ts"])
    'a.source = b.source AND a.batch_id = b.batch_id AND a.source_line = b.source_line'
    """
    parts = [f"{one}.{name} = {other}.{name}" for name in ("source", "batch_id", "source_line")]
    return " AND ".join([*parts, *_same_item(one, other, columns)])


def id_columns(columns: Sequence[str]) -> list[str]:
    """What must be known of a kept id."""
    item = ["source_item"] if "source_item" in columns else []
    return ["source", "source_event_id", *item, "event_ts", "batch_id", "source_line"]


def _same_item(one: str, other: str, columns: Sequence[str]) -> list[str]:
    return [f"{one}.source_item IS NOT DISTINCT FROM {other}.source_item"] if "source_item" in columns else []


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
    key = ", ".join(id_columns(columns)[:-3])
    kept = ", ".join(id_columns(columns))

    def same_id(one: str, other: str) -> str:
        same = [f"{one}.source = {other}.source", f"{one}.source_event_id = {other}.source_event_id"]
        return " AND ".join([*same, *_same_item(one, other, columns)])

    engine.execute(
        f"CREATE OR REPLACE TEMP TABLE repeated AS SELECT {names}, event_date, ''::VARCHAR AS kept_batch_id, "
        "0::BIGINT AS kept_line FROM candidates LIMIT 0"
    )
    engine.execute(f"CREATE OR REPLACE TEMP TABLE kept_ids AS {carried}")
    engine.execute(
        f"CREATE OR REPLACE TEMP TABLE undecided AS SELECT * FROM candidates SEMI JOIN (SELECT {key} FROM "
        f"(SELECT {key} FROM candidates UNION ALL SELECT {key} FROM kept_ids) WHERE source_event_id IS NOT NULL "
        f"GROUP BY ALL HAVING count(*) > 1) AS several ON {same_id('candidates', 'several')}"
    )
    while True:
        # of each id the last kept event; rows within its window are decided: they lose to it
        engine.execute(
            f"INSERT INTO repeated SELECT {', '.join(f'u.{name}' for name in columns)}, u.event_date, k.batch_id, "
            f"k.source_line FROM undecided u JOIN kept_ids k ON {same_id('u', 'k')} "
            "WHERE u.event_ts <= k.event_ts + INTERVAL 24 HOUR "
            "AND (u.batch_id, u.source_line) <> (k.batch_id, k.source_line)"
        )
        engine.execute(
            f"DELETE FROM undecided USING kept_ids k WHERE {same_id('undecided', 'k')} "
            "AND undecided.event_ts <= k.event_ts + INTERVAL 24 HOUR"
        )
        if not engine.rows("SELECT 1 FROM undecided LIMIT 1"):
            break
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE kept_ids AS SELECT {kept} FROM undecided QUALIFY row_number() OVER "
            f"(PARTITION BY {key} ORDER BY event_ts, batch_id, source_line) = 1"
        )
    engine.execute(
        "CREATE OR REPLACE TEMP VIEW rows AS SELECT *, NULL::TIMESTAMP AS carry FROM candidates "
        f"ANTI JOIN repeated AS r ON {same_row('candidates', 'r', columns)} UNION ALL BY NAME SELECT * FROM carried"
    )
