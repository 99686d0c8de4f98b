"""What every test has: a clean environment, its own folder, the shared data; and no skip that CI did not expect."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis.configuration
import pytest
from hypothesis import settings as hypothesis_settings

if TYPE_CHECKING:
    from ecom_analytics import Settings

ROOT = Path(__file__).resolve().parent.parent
NO_SHARED_DATA = "the shared data are not here"

EXPECTED_SKIPS = (NO_SHARED_DATA,)
"""Beginnings of the reasons for which a test may skip in CI; any other skip fails there."""

hypothesis.configuration.set_hypothesis_home_dir(ROOT / ".hypothesis")
hypothesis_settings.register_profile("untimed", hypothesis_settings.default, deadline=None)
hypothesis_settings.register_profile("nightly", hypothesis_settings.default, deadline=None, max_examples=5_000)
hypothesis_settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shared-data", metavar="FOLDER", help="where real sample data lie [../shared/data]")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """No settings of whoever runs the tests, no credentials, no way to a real cloud, no telemetry."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in list(os.environ):
            if variable.upper().startswith(("ECOM_ANALYTICS_", "AWS_", "DBT_")):
                patch.delenv(variable)
        for variable, value in {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "DO_NOT_TRACK": "1",
        }.items():
            patch.setenv(variable, value)
        yield


@pytest.fixture(scope="session", autouse=True)
def _warm_dbt(_clean_environment: None) -> Iterator[None]:
    """Builds that tests start in their own process begin with dbt loaded."""
    if importlib.util.find_spec("ecom_analytics") is None:  # the tests of the wheel install it elsewhere
        yield
        return
    from ecom_analytics.marts import child

    process = None

    def start(*arguments: Any, **options: Any) -> Any:
        from warm_dbt import warm

        nonlocal process
        process = process or stack.enter_context(warm())
        return process.start(*arguments, **options)

    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "Popen", start)
        yield


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in its own folder: no ``ecom.toml`` is found, nothing is written into the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose home is a folder of the test's own."""
    from ecom_analytics import Settings

    return Settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder of real sample data; the test skips where there is none."""
    chosen = request.config.getoption("--shared-data") or os.environ.get("ECOM_SHARED_DATA")
    folder = Path(chosen) if chosen else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{NO_SHARED_DATA}: {folder} is no folder (say where with --shared-data)")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs an S3 server with each of them, unless the test itself says with which."""
    chosen = any(mark.args[0] == "s3_server" for mark in metafunc.definition.iter_markers("parametrize"))
    if "s3_server" in metafunc.fixturenames and not chosen:
        from s3_server import S3_SERVERS

        metafunc.parametrize("s3_server", S3_SERVERS, indirect=True)


def _unexpected(report: pytest.TestReport | pytest.CollectReport) -> bool:
    """Make a skip that CI did not expect a failure."""
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return False
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return not reason.removeprefix("Skipped: ").startswith(EXPECTED_SKIPS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    if _unexpected(report):
        report.longrepr = f"skipped, which CI does not expect: {report.longrepr[2]}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    if _unexpected(report):
        report.longrepr = f"skipped, which CI does not expect: {report.longrepr[2]}"
        report.outcome = "failed"
    return report
