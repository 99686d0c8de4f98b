"""The dbt project by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Settings
from ecom_analytics.events import COLUMNS, EVENT_TYPES
from ecom_analytics.marts import project

ROOT = Path(project.folder())


def dbt(*arguments: str, folder: Path, settings: Settings) -> subprocess.CompletedProcess[str]:
    """Run the dbt of the project as its users would: no builder, no cache."""
    command = [
        sys.executable,
        "-m",
        "dbt.cli.main",
        *arguments,
        "--project-dir",
        str(ROOT),
        "--profiles-dir",
        str(ROOT),
    ]
    checkout = str(ROOT.parent)
    return subprocess.run(
        [*command, "--target-path", str(folder / "target"), "--log-path", str(folder)],
        cwd=folder,
        env={
            **os.environ,
            **settings.environment(),
            "DBT_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
            "PYTHONPATH": checkout,
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A plain `dbt build`, from raw files in the lake to marts, unit tests included."""
    from ecom_analytics import Ingestor

    folder = tmp_path_factory.mktemp("dbt")
    settings = Settings(home=folder / "home")
    Ingestor(settings).ingest(shared_data / "retailrocket_real_sample" / "events.csv")
    run = dbt("build", folder=folder, settings=settings)
    assert run.returncode == 0, run.stdout
    return folder


@pytest.fixture(scope="module")
def manifest(built: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((built / "target" / "manifest.json").read_text())
    return loaded


def own(manifest: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == kind]


def test_plain_dbt_build_goes_from_raw_files_to_marts(built: Path) -> None:
    import duckdb

    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as connection:
        counts = connection.execute(
            "SELECT sum(views), sum(add_to_carts), sum(transactions), (SELECT max(transaction_id) FROM transactions) "
            "FROM daily"
        ).fetchone()
    assert counts == (536, 12, 1, "14418")


def test_every_unit_test_ran_and_passed(built: Path, manifest: dict[str, Any]) -> None:
    results = json.loads((built / "target" / "run_results.json").read_text())["results"]
    unit = {result["unique_id"]: result["status"] for result in results if result["unique_id"].startswith("unit_test.")}
    assert unit.keys() == manifest["unit_tests"].keys()
    assert set(unit.values()) == {"pass"}


def test_every_mart_is_public_described_and_held_to_its_contract(manifest: dict[str, Any]) -> None:
    marts = [node for node in own(manifest, "model") if node["path"].startswith("marts/")]
    assert len(marts) == 22
    for mart in marts:
        assert mart["access"] == "public"
        assert mart["group"] == "ecom_analytics"
        assert mart["contract"]["enforced"]
        assert mart["description"]
        for column in mart["columns"].values():
            assert column["description"], (mart["name"], column["name"])
            assert column["data_type"], (mart["name"], column["name"])
    assert sorted(mart["name"] for mart in marts) == sorted(project.Manifest.read_dict(manifest).marts)


def test_only_marts_are_public(manifest: dict[str, Any]) -> None:
    inner = [node for node in own(manifest, "model") if not node["path"].startswith("marts/")]
    assert {node["access"] for node in inner} == {"protected"}
    assert all(node["description"] for node in inner)


def test_every_mart_is_tested_for_its_key(manifest: dict[str, Any]) -> None:
    generic = [node for node in own(manifest, "test") if "test_metadata" in node]
    tested = {node["attached_node"] for node in generic if node["test_metadata"]["name"] == "unique_key"}
    assert tested == {node["unique_id"] for node in own(manifest, "model") if node["path"].startswith("marts/")}


def test_every_mart_with_a_case_a_window_or_a_join_has_a_unit_test(manifest: dict[str, Any]) -> None:
    tested = {test["model"] for test in manifest["unit_tests"].values()}
    assert tested >= {"bots", "sessions", "transactions", "users", "products", "daily", "int_order_events"}


def test_the_dashboard_is_an_exposure_of_public_marts(manifest: dict[str, Any]) -> None:
    [dashboard] = manifest["exposures"].values()
    public = {node["unique_id"] for node in own(manifest, "model") if node["access"] == "public"}
    assert dashboard["type"] == "dashboard"
    assert set(dashboard["depends_on"]["nodes"]) <= public


def test_metrics_are_defined_once_beside_the_marts(manifest: dict[str, Any]) -> None:
    metrics = project.Manifest.read_dict(manifest).metrics
    assert metrics.keys() >= {
        "visitors",
        "sessions",
        "views",
        "add_to_carts",
        "transactions",
        "net_value",
        "aov",
        "session_conversion_rate",
        "units",
        "products_sold",
        "revenue",
    }
    for metric in metrics.values():
        assert metric.keys() >= {"label", "description", "unit", "format", "null_rule"}


def test_macros_name_the_columns_and_types_of_the_canonical_event() -> None:
    definitions = (ROOT / "macros" / "definitions.sql").read_text()
    optional = [column.name for column in COLUMNS if not column.required]
    assert _listed(definitions, "optional_columns") == optional
    assert _listed(definitions, "event_types") == list(EVENT_TYPES)


def _listed(text: str, macro: str) -> list[str]:
    body = text.split(f"macro {macro}() %}}")[1].split("endmacro")[0]
    listed: list[str] = json.loads("[" + body.split("[")[1].split("]")[0].strip().rstrip(",") + "]")
    return listed
