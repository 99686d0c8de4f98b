"""The dbt project as a package of another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ecom_analytics import Ingestor, Settings
from ecom_analytics.generate import generate
from ecom_analytics.marts import project

EXAMPLE = Path(__file__).parents[2] / "examples" / "dbt_package"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with raw events in its lake, after `dbt deps` and `dbt build`."""
    folder = tmp_path_factory.mktemp("package") / "shop"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("dbt_packages", "target", "logs", "*.duckdb"))
    generate(folder / "events.csv", like="shop", events=20_000, days=3)
    settings = Settings(home=folder / "home", timezone="Europe/Berlin")
    Ingestor(settings).ingest(folder / "events.csv", source="shop")
    environment = {**os.environ, **settings.environment(), "ECOM_DBT_PACKAGE": str(project.folder())}
    environment |= {"PYTHONPATH": str(project.folder().parent), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    environment |= {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}  # nothing is asked there
    for command in ("deps", "build"):
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", command, "--no-version-check"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    return folder


def test_another_project_builds_our_marts_and_its_own_from_raw_files(shop: Path) -> None:
    import duckdb

    with duckdb.connect(str(shop / "shop.duckdb"), read_only=True) as connection:
        good = connection.execute("SELECT count(*), min(transactions) FROM good_customers").fetchone()
        users = connection.execute("SELECT count(*) FROM users WHERE transactions >= 2").fetchone()
    assert good is not None
    assert users is not None
    assert good[0] == users[0] > 0
    assert good[1] >= 2


def test_its_variables_and_schemas_hold_for_our_models(shop: Path) -> None:
    import duckdb

    with duckdb.connect(str(shop / "shop.duckdb"), read_only=True) as connection:
        days = connection.execute(
            "SELECT count(*) FILTER (session_date <> CAST(session_start AT TIME ZONE 'Europe/Berlin' AS DATE)), "
            "count(*) FILTER (session_date <> CAST(session_start AT TIME ZONE 'UTC' AS DATE)) FROM sessions"
        ).fetchone()
        inner = connection.execute(
            "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE table_name LIKE 'int\\_%' ESCAPE '\\'"
        ).fetchall()
    assert days is not None
    assert days[0] == 0
    assert days[1] > 0
    assert inner == [("main_intermediate",)]


def test_the_package_leaves_the_names_of_dbt_to_its_user() -> None:
    text = "\n".join(path.read_text() for path in (project.folder() / "macros").rglob("*.sql"))
    assert "macro generate_" not in text
    assert "macro ref(" not in text
