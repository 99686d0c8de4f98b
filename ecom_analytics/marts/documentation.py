"""Pages about every model and column of the served build, by dbt: one file that needs no server and no network."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from ecom_analytics.config import Settings
from ecom_analytics.disk import is_full, told_when_full
from ecom_analytics.errors import MartError
from ecom_analytics.marts import project
from ecom_analytics.warehouse import Warehouse, state_name

FILES = {"static_index.html": "index.html", "manifest.json": "manifest.json", "catalog.json": "catalog.json"}
"""What dbt makes → what it is called in the folder."""
_TELEMETRY = re.compile(rb'"//[^"]{1,60}/sp\.js"')


def write(settings: Settings, folder: Path) -> Path:
    """Write the pages.

    Parameters
    ----------
    settings : Settings
    folder : pathlib.Path
        Made if need be; other files in it are left alone.

    Returns
    -------
    pathlib.Path
        ``index.html``.
    """
    from ecom_analytics.marts.child import DbtProcess

    build = Warehouse(settings).current()
    with tempfile.TemporaryDirectory(prefix="ecom-docs-") as name:
        side = Path(name)
        process = DbtProcess(settings, side)
        try:
            process.manifest()
            state = build.path.parent / state_name(build.build_id)
            process.start_from(project.reading_profile(settings, side, build.path, state if state.exists() else None))
            for _ in process.build({"docs": True, "vars": project.variables(settings)}):
                pass
        finally:
            process.close()
        with told_when_full(f"the folder {folder}"):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for made, wanted in FILES.items():
                    shutil.copyfile(side / "target" / made, folder / wanted)
                _without_network(folder / "index.html")
            except OSError as error:
                if is_full(error):
                    raise
                raise MartError(
                    f"the pages cannot be written to {folder}: {error.strerror or error}",
                    hint="name a folder that is yours to write",
                ) from error
    return folder / "index.html"


def _without_network(page: Path) -> None:
    """Take out the one address that the page would load something from: dbt's telemetry, where it is on."""
    page.write_bytes(_TELEMETRY.sub(b'"data:,"', page.read_bytes()))
