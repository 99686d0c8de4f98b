"""What is in the lake, what is served, how fresh it is, and how the last run went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import NotBuiltError
from ecom_analytics.history import History
from ecom_analytics.history.reader import Run
from ecom_analytics.lake import listed
from ecom_analytics.reports import Report
from ecom_analytics.staging import Account, snapshot
from ecom_analytics.storages import open_storage
from ecom_analytics.warehouse import Build, Warehouse

if TYPE_CHECKING:
    from ecom_analytics.config import Settings


@dataclass(frozen=True, slots=True)
class KeptBuild:
    """A build that can be served again.

    Attributes
    ----------
    build_id : str
    built_at : datetime.datetime
    as_of : str or None
        The largest event time in it.
    bytes : int
        Size of its DuckDB file.
    """

    build_id: str
    built_at: datetime
    as_of: str | None
    bytes: int


@dataclass(frozen=True, slots=True)
class ServedBuild:
    """The served build.

    Attributes
    ----------
    build_id : str
    path : str
    built_at : datetime.datetime
    as_of : str or None
        The largest event time in it.
    age_hours : float or None
        How long ago that was.
    staged_version : int
        Version of the staged events that it was made of.
    batches : dict
        Of how many batches it was made, and the ``name`` and ``staged_at`` of the last ones.
    model_version : str
        Version of this package that made it.
    tests : dict
        How many tests passed, and warned.
    up_to_date : bool
        Whether it holds all that is staged.
    """

    build_id: str
    path: str
    built_at: datetime
    as_of: str | None
    age_hours: float | None
    staged_version: int
    batches: dict[str, Any]
    model_version: str
    tests: dict[str, int]
    up_to_date: bool


@dataclass(frozen=True, slots=True)
class StatusReport(Report):
    """What :func:`status` found.

    Attributes
    ----------
    lake, warehouse : str
    batches, batches_to_stage : int
    account : Account
        Where the records of the lake went.
    build : ServedBuild or None
    up_to_date : bool
        Whether the served build holds all that is in the lake.
    kept : tuple of KeptBuild
        Builds that can be served again, the newest first, the served one included.
    last_run : Run or None
        Without its steps and checks.
    """

    lake: str
    warehouse: str
    batches: int
    batches_to_stage: int
    account: Account
    build: ServedBuild | None
    up_to_date: bool
    kept: tuple[KeptBuild, ...]
    last_run: Run | None


def status(settings: Settings) -> StatusReport:
    """Look at the lake, the warehouse and the history; nothing is changed.

    Examples
    --------
    >>> import tempfile
    >>> from ecom_analytics import Settings
    >>> found = status(Settings(home=tempfile.mkdtemp()))
    >>> found.batches, found.build, found.last_run
    (0, None, None)
    """
    raw = listed(open_storage(settings.lake, settings)).batches
    staged = snapshot(settings)
    known = set(zip(staged.batches["source"].to_pylist(), staged.batches["batch_id"].to_pylist(), strict=True))
    warehouse = Warehouse(settings)
    try:
        build = _served(warehouse.current(), staged.version)
    except NotBuiltError:
        build = None
    runs = History(settings).runs(limit=1)
    return StatusReport(
        lake=settings.lake,
        warehouse=str(settings.warehouse),
        batches=len(raw),
        batches_to_stage=len(raw - known),
        account=staged.account,
        build=build,
        up_to_date=build is not None and build.up_to_date and raw <= known,
        kept=tuple(
            KeptBuild(one.build_id, one.built_at, one.info.get("as_of"), one.path.stat().st_size)
            for one in warehouse.builds()
        ),
        last_run=runs[0] if runs else None,
    )


def _served(build: Build, staged_version: int) -> ServedBuild:
    as_of = build.info.get("as_of")
    age = None if as_of is None else (datetime.now(UTC) - datetime.fromisoformat(as_of)).total_seconds() / 3600
    return ServedBuild(
        build_id=build.build_id,
        path=str(build.path),
        built_at=build.built_at,
        as_of=as_of,
        age_hours=None if age is None else round(age, 1),
        staged_version=build.info["staged_version"],
        batches=build.info.get("batches", {}),
        model_version=build.info["model_version"],
        tests=build.info["tests"],
        up_to_date=build.info["staged_version"] == staged_version,
    )
