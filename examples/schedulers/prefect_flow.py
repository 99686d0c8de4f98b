"""The pipeline as a Prefect flow: a task for each stage, tried again where that may help.

python prefect_flow.py FOLDER                 runs it once
prefect_flow.nightly.serve(cron="15 2 * * *") runs it every night
"""

import sys

from prefect import flow, runtime, task

from ecom_analytics import Pipeline
from ecom_analytics.errors import BusyError, LakeError


def may_help(task, task_run, state) -> bool:
    """Whether it may help to try again: not where the data are wrong."""
    return isinstance(state.result(raise_on_failure=False), (BusyError, LakeError, OSError))


again = {"retries": 2, "retry_delay_seconds": 60, "retry_condition_fn": may_help}


def pipeline() -> Pipeline:
    """The tasks of one flow run are one run of the history."""
    return Pipeline(run_id=runtime.flow_run.name)


@task(**again)
def ingest(folder: str) -> int:
    return pipeline().ingest(folder).new


@task(**again)
def stage() -> int:
    return pipeline().stage().staged


@task(**again)
def build() -> str:
    return pipeline().build().build_id


@task(**again)
def export() -> str:
    return pipeline().export().manifest


@flow
def nightly(folder: str) -> str:
    """Ingest, stage, build and export; the manifest of the export."""
    ingest(folder)
    stage()
    build()
    return export()


if __name__ == "__main__":
    print(nightly(sys.argv[1]))
