"""One stage alone, in a job that is not ours: stage what lies in the lake, then ask it something that no mart answers.

The staged events are a Delta table, which DuckDB, Polars, Spark and Trino read as well.
"""

import sys

import duckdb
from deltalake import DeltaTable

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.progress import Progress


def show(progress: Progress) -> None:
    """Send progress wherever your job sends it."""
    print(f"[{progress.stage}] {progress.message}", file=sys.stderr)


def views_by_hour(settings: Settings) -> list[int]:
    """Views in each hour of the day, UTC, over all that is staged."""
    files = DeltaTable(f"{settings.lake}/staged/events").file_uris()
    with duckdb.connect() as engine:
        found = engine.execute(
            "SELECT hour(event_ts AT TIME ZONE 'UTC'), count(*) "
            "FROM read_parquet(?) WHERE event_type = 'view' GROUP BY 1",
            [files],
        ).fetchall()
    views = dict(found)
    return [views.get(hour, 0) for hour in range(24)]


def main(path: str) -> None:
    settings = Settings(home="only-a-lake", source="shop")
    Ingestor(settings).ingest(path)
    report = Stager(settings, watch=show).stage()
    print(f"{report.records} = {report.staged} + {report.duplicates} + {report.rejected} + {report.blank}")
    for hour, views in enumerate(views_by_hour(settings)):
        print(f"{hour:02}h {views:6}")


if __name__ == "__main__":
    main(sys.argv[1])
