"""One stage alone, in a job that is not ours: stage what lies in the lake, then ask it something that no mart answers.

The staged events are a Delta table, which DuckDB, Polars, Spark and Trino read as well.
"""

import sys

from deltalake import DeltaTable

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.progress import Progress


def show(progress: Progress) -> None:
    """Send progress wherever your job sends it."""
    print(f"[{progress.stage}] {progress.message}", file=sys.stderr)


def views_by_hour(settings: Settings) -> list[int]:
    """Views in each hour of the day, UTC, over all that is staged."""
    events = DeltaTable(f"{settings.lake}/staged/events").to_pyarrow_table(columns=["event_ts", "event_type"])
    hours = [0] * 24
    for at, kind in zip(events["event_ts"].to_pylist(), events["event_type"].to_pylist(), strict=True):
        hours[at.hour] += kind == "view"
    return hours


def main(path: str) -> None:
    settings = Settings(home="only-a-lake", source="shop")
    Ingestor(settings).ingest(path)
    report = Stager(settings, watch=show).stage()
    print(f"{report.records} = {report.staged} + {report.duplicates} + {report.rejected} + {report.blank}")
    for hour, views in enumerate(views_by_hour(settings)):
        print(f"{hour:02}h {views:6}")


if __name__ == "__main__":
    main(sys.argv[1])
