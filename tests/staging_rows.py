"""Stage a small file of events, and look at what became of each line."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.staging import rejected, snapshot


def stage(
    settings: Settings, source_format: str, *lines: str, name: str = "events.csv"
) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    """The staged rows by line, and (line, rule) of the rejected ones."""
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    Ingestor(settings).ingest(path, source_format=source_format)
    Stager(settings).stage()
    rows = [row for file in snapshot(settings).files for row in pq.ParquetFile(file).read().to_pylist()]
    bad = [(row["source_line"], row["rule"]) for row in rejected(settings)[1]]
    return sorted(rows, key=lambda row: (row["source_line"], row.get("source_item") or 0)), bad
