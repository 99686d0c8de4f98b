"""The pipeline as Dagster assets: one for each stage, and one for each mart, with its rows and its description.

dagster dev -f dagster_assets.py
"""

import os

import dagster as dg

from ecom_analytics import Pipeline, Settings
from ecom_analytics.marts import public_marts

settings = Settings()


def pipeline(context: dg.AssetExecutionContext) -> Pipeline:
    """The stages of one Dagster run are one run of the history."""
    return Pipeline(settings, run_id=context.run.run_id)


@dg.asset(group_name="lake")
def raw_files(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Files that were dropped, unchanged, in the lake."""
    report = pipeline(context).ingest(os.environ["ECOM_DROPS"])
    return dg.MaterializeResult(metadata={"files": report.files, "new": report.new, "bytes": report.bytes})


@dg.asset(deps=[raw_files], group_name="lake")
def staged_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Canonical events; every record has an answer."""
    report = pipeline(context).stage()
    counts = ("records", "staged", "duplicates", "rejected", "blank")
    return dg.MaterializeResult(metadata={name: getattr(report, name) for name in counts})


@dg.multi_asset(
    specs=[
        dg.AssetSpec(name, deps=[staged_events], description=description, group_name="marts")
        for name, description in public_marts().items()
    ]
)
def marts(context: dg.AssetExecutionContext):
    """Built together, tested together, published together; or not at all."""
    report = pipeline(context).build()
    for key in sorted(context.selected_asset_keys):
        rows = report.rows[key.to_user_string()]
        yield dg.MaterializeResult(key, metadata={"rows": rows, "build_id": report.build_id})


@dg.asset(deps=list(public_marts()), group_name="exports")
def exports(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Files of the published marts; only what changed is written."""
    report = pipeline(context).export()
    return dg.MaterializeResult(metadata={"manifest": report.manifest, "files_written": report.files_written})


nightly = dg.define_asset_job("nightly", selection="*")

defs = dg.Definitions(
    assets=[raw_files, staged_events, marts, exports],
    jobs=[nightly],
    schedules=[dg.ScheduleDefinition(job=nightly, cron_schedule="15 2 * * *")],
)
