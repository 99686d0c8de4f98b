"""The pipeline as an Airflow DAG: a task for each stage, which can be run again one by one.

A task that fails is tried again after ten minutes: what is done is not done again. Lake, warehouse and settings must be
where all workers reach them: ECOM_ANALYTICS_HOME, or ecom.toml in their working directory.
"""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, get_current_context, task


def pipeline():
    """The tasks of one DAG run are one run of the history."""
    from ecom_analytics import Pipeline

    return Pipeline(run_id=get_current_context()["run_id"])


@dag(
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
)
def shop_analytics():
    """Ingest, stage, build and export, one after the other."""

    @task
    def ingest() -> int:
        return pipeline().ingest(os.environ["ECOM_DROPS"]).new

    @task
    def stage(new: int) -> int:
        return pipeline().stage().version

    @task
    def build(version: int) -> str:
        return pipeline().build().build_id

    @task
    def export(build_id: str) -> str:
        return pipeline().export().manifest

    export(build(stage(ingest())))


shop_analytics()
