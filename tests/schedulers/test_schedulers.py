"""The examples for other people's schedulers, run by these."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ecom_analytics import Settings, Warehouse
from ecom_analytics.history import History
from ecom_analytics.marts import public_marts

pytestmark = [pytest.mark.schedulers, pytest.mark.filterwarnings("ignore")]  # theirs are not ours

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "schedulers"
HEADER = "timestamp,visitorid,event,itemid,transactionid\n"
STAGES = ["ingest", "stage", "build", "export"]


@pytest.fixture
def drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, and a home that the environment names."""
    folder = tmp_path / "drops"
    folder.mkdir()
    (folder / "events.csv").write_text(f"{HEADER}1433222532117,1,view,1,\n1433222533117,1,addtocart,1,\n")
    monkeypatch.setenv("ECOM_ANALYTICS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ECOM_DROPS", str(folder))
    return folder


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(run_id: str | None = None) -> None:
    """One run of four stages, published and exported."""
    settings = Settings()
    [run] = History(settings).runs()
    assert run_id in (None, run.run_id)
    steps = History(settings).run(run.run_id).steps
    assert [step.name for step in steps if step.kind == "stage"] == STAGES
    assert Warehouse(settings).sql("SELECT views, add_to_carts FROM daily").to_pylist() == [
        {"views": 1, "add_to_carts": 1}
    ]
    assert Path(settings.exports, "latest.json").exists()


def test_dagster_has_an_asset_for_each_stage_and_each_mart(drops: Path) -> None:
    import dagster

    defs = example("dagster_assets").defs
    with dagster.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("nightly").execute_in_process(instance=instance)
    assert result.success
    events = result.get_asset_materialization_events()
    made = {event.asset_key.to_user_string(): event.materialization.metadata for event in events if event.asset_key}
    assert made.keys() == {"raw_files", "staged_events", "exports", *public_marts()}
    assert made["daily"]["rows"].value == 1
    check(result.run_id)


def test_dagster_stops_what_depends_on_a_failed_stage(drops: Path) -> None:
    import dagster

    (drops / "events.csv").write_text("no,events\n")
    defs = example("dagster_assets").defs
    with dagster.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("nightly").execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert result.get_asset_materialization_events() == []
    [run] = History(Settings()).runs()
    assert (run.name, run.status) == ("ingest", "failed")


def test_prefect_runs_the_flow(drops: Path, tmp_path: Path) -> None:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        manifest = example("prefect_flow").nightly(str(drops))
    assert manifest.endswith("manifests/00000001.json")
    check()


def test_airflow_runs_the_dag(drops: Path, tmp_path: Path) -> None:
    """In a process of its own: Airflow reads its configuration when it is imported."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
    }
    code = (
        "import importlib.util, sys\n"
        f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "import airflow_dag\n"
        "run = airflow_dag.shop_analytics().test()\n"
        "print('state', run.state)\n"
    )
    for command in ([sys.executable, "-m", "airflow", "db", "migrate"], [sys.executable, "-c", code]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    assert "state success" in done.stdout, done.stdout[-3_000:] + done.stderr[-3_000:]
    check()
