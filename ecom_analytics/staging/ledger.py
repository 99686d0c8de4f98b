"""What a stage read of each of its batches: their rows of the table ``batches``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from ecom_analytics.config import Settings
from ecom_analytics.lake import Batch, BatchKey
from ecom_analytics.reading import ReadCounts
from ecom_analytics.staging.formats import read_with
from ecom_analytics.staging.tables import schema

if TYPE_CHECKING:
    import pyarrow as pa

    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.staging.rejects import RejectFile


@dataclass
class Ledger:
    """Counts of the batches that a stage reads, by (source, batch_id).

    Attributes
    ----------
    read : mapping
        What the reader saw.
    rejects : RejectFile
    dropped : mapping
        Rows of erased visitors that were not staged.
    warned : mapping
        Staged records that broke a rule which only warns, by rule.
    days : dict
        The first and the last day of good rows.
    rows_of_days : dict
        Good rows of each day (ISO) of all batches.
    """

    read: Mapping[BatchKey, ReadCounts]
    rejects: RejectFile
    dropped: Mapping[BatchKey, int] = field(default_factory=dict)
    warned: Mapping[BatchKey, Mapping[str, int]] = field(default_factory=dict)
    days: dict[BatchKey, tuple[date, date]] = field(default_factory=dict)
    rows_of_days: Counter[str] = field(default_factory=Counter)

    def count_days(self, engine: DuckDBEngine) -> None:
        """Count the good rows of the table ``parsed``."""
        for source, batch_id, day, rows in engine.rows(
            "SELECT source, batch_id, event_date, count(*) FROM parsed WHERE reject_rule IS NULL "
            "GROUP BY source, batch_id, event_date"
        ):
            self.rows_of_days[day.isoformat()] += rows
            first, last = self.days.get((source, batch_id), (day, day))
            self.days[source, batch_id] = (min(first, day), max(last, day))

    def table(self, batches: Sequence[Batch], settings: Settings, stage_id: str) -> pa.Table:
        """The rows of these batches."""
        import pyarrow as pa

        known = {"stage_id": stage_id, "staged_at": datetime.now(UTC)}
        rows = [self._row(batch) | {"read_with": read_with(batch, settings)} | known for batch in batches]
        return pa.Table.from_pylist(rows, schema=schema("batches"))

    def _row(self, batch: Batch) -> dict[str, Any]:
        key = (batch.source, batch.batch_id)
        before = batch.details.get("erased", {"records": 0, "lines": 0})
        blank = self.read[key].blank - before["lines"]  # some stand for records that were erased from the file
        rejected: Mapping[str, int] = self.rejects.by_batch.get(key, {})
        first, last = self.days.get(key, (None, None))
        return {
            "source": batch.source,
            "batch_id": batch.batch_id,
            "source_format": batch.source_format,
            "name": batch.name,
            "bytes": batch.bytes,
            "records": self.read[key].records + blank + before["records"],
            "rejected": sum(rejected.values()),
            "blank": blank,
            "erased": before["records"] + self.dropped.get(key, 0) + self.rejects.erased.get(key, 0),
            "rejected_by_rule": json.dumps(rejected, sort_keys=True),
            "warned_by_rule": json.dumps(self.warned.get(key, {}), sort_keys=True),
            "first_day": first,
            "last_day": last,
        }
