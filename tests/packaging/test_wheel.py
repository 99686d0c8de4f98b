"""The wheel carries everything, and does the main job where nothing but it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).resolve().parent.parent.parent
MADE = {"__pycache__", "target", "logs"}


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is shown when the test fails."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, timeout=600, **options)
    print(done.stdout, done.stderr, sep="\n")
    return done


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", folder, ROOT)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, and what it asks for, alone; nobody may write to its site-packages."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    assert run("uv", "venv", "--no-project", "--python", sys.executable, folder).returncode == 0
    done = run("uv", "pip", "install", "--compile-bytecode", "--python", folder / "bin" / "python", wheel)
    assert done.returncode == 0, done.stderr
    for path in [*site_packages(folder).rglob("*"), site_packages(folder)]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    return folder


def site_packages(environment: Path) -> Path:
    (path,) = (environment / "lib").glob("python*/site-packages")
    return path


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def unprivileged() -> list[str]:
    """What makes a command respect permissions though the tests run as root."""
    if os.geteuid() != 0:
        return []
    assert shutil.which("setpriv"), "as root, this test needs setpriv (Debian's util-linux)"
    return ["setpriv", "--bounding-set", "-dac_override"]


def own_files(folder: Path, prefix: str) -> set[str]:
    return {
        prefix + path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not MADE & set(path.parts) and path.name != ".user.yml"
    }


def test_wheel_carries_the_package_and_the_dbt_project_and_nothing_else(wheel: Path):
    expected = own_files(ROOT / "ecom_analytics", "ecom_analytics/")
    expected |= own_files(ROOT / "dbt_models", "ecom_analytics/dbt_models/")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {name.split(".dist-info/")[1] for name in archive.namelist() if ".dist-info/" in name}
    assert found == expected
    assert {"METADATA", "entry_points.txt", "licenses/LICENSE"} <= metadata
    assert "ecom_analytics/py.typed" in found
    assert "ecom_analytics/dbt_models/dbt_project.yml" in found


def test_demo_runs_from_any_folder_without_writing_where_it_is_installed(installed: Path, tmp_path: Path):
    before = contents(site_packages(installed))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "nobody"), "DO_NOT_TRACK": "1"}
    command = [*unprivileged(), installed / "bin" / "ecom-analytics", "demo", "--no-serve", "--json"]
    done = run(*command, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    stage = report["stage"]
    assert stage["records"] == stage["staged"] + stage["duplicates"] + stage["rejected"] + stage["blank"] > 0
    assert (tmp_path / "ecom-data" / "warehouse" / "CURRENT").is_file()
    assert contents(site_packages(installed)) == before


def test_unprivileged_commands_cannot_write_where_it_is_installed(installed: Path):
    """The test above means something: whoever ran it could not have written there."""
    done = run(*unprivileged(), "touch", site_packages(installed) / "ecom_analytics" / "written")
    assert done.returncode != 0
