"""Looks at all that a run needs, and says what to do about what is missing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.errors import BusyError, EcomError, NotBuiltError
from ecom_analytics.marts import MartBuilder, project
from ecom_analytics.notify.sending import hooks
from ecom_analytics.reports import Report
from ecom_analytics.storages import open_storage
from ecom_analytics.warehouse import Warehouse

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

NAME = "ecom-analytics"
LITTLE, TOO_LITTLE = 2 * 10**9, 2 * 10**8
"""Bytes of free disk below which it is warned, and below which a run can hardly end."""

MOST_SKEW = timedelta(minutes=5)
"""S3 refuses requests of a clock that is 15 minutes off."""


@dataclass(frozen=True, slots=True)
class Examined(Report):
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    status : str
        ``ok``, ``warn`` or ``fail``.
    message : str
        What was found.
    hint : str
        What to do; empty if nothing is to be done.
    """

    name: str
    status: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport(Report):
    """All that was looked at; ``healthy`` if nothing failed."""

    examined: tuple[Examined, ...]
    healthy: bool


def examine(settings: Settings) -> DoctorReport:
    """Look at versions, settings, credentials, lake, exports, warehouse, disk and clock.

    A probe is written to the lake and to the exports, and deleted.

    Examples
    --------
    >>> import tempfile
    >>> from ecom_analytics import Settings
    >>> examine(Settings(home=tempfile.mkdtemp())).healthy
    True
    """
    looks: dict[str, Callable[[], Iterator[Examined]]] = {
        "python": _python,
        "packages": _packages,
        "settings": lambda: _settings(settings),
        "lake": lambda: _place("lake", settings.lake, settings),
        "exports": lambda: _place("exports", settings.exports, settings),
        "warehouse": lambda: _warehouse(settings),
        "disk": lambda: _disk(settings),
        "memory": lambda: _memory(settings),
        "clock": lambda: _clock(settings),
    }
    found: list[Examined] = []
    for name, look in looks.items():
        try:
            found += look()
        except EcomError as error:
            found.append(Examined(name, "fail", error.message, error.hint))
        except OSError as error:
            found.append(Examined(name, "fail", f"{error.strerror or error}", "check the path and its permissions"))
    return DoctorReport(tuple(found), all(one.status != "fail" for one in found))


def _python() -> Iterator[Examined]:
    told = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11) and os.name == "posix"
    hint = "" if good else "use Python 3.11 or newer, on Linux or macOS"
    yield Examined("python", "ok" if good else "fail", f"Python {told} on {sys.platform}", hint)


def _packages() -> Iterator[Examined]:
    from packaging.requirements import Requirement

    wrong = []
    for text in requires(NAME) or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(wanted.name)
        except PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed")
            continue
        if not wanted.specifier.contains(there, prereleases=True):
            wrong.append(f"{wanted.name} is {there}, and must be {wanted.specifier}")
    hint = f"pip install --upgrade {NAME}, in an environment of its own" if wrong else ""
    told = "; ".join(wrong) or f"{NAME} {version(NAME)}, and all that it needs"
    yield Examined("packages", "fail" if wrong else "ok", told, hint)


def _settings(settings: Settings) -> Iterator[Examined]:
    for name in ("mapping", "models"):
        path: Path | None = getattr(settings, name)
        if path is not None and not path.exists():
            yield Examined("settings", "fail", f"{name} is {str(path)!r}, which is not there", "correct the path")
    project.fingerprint(settings)
    hooks(settings)
    yield Examined("settings", "ok", f"they are valid; home is {settings.home}")


def _place(name: str, address: str, settings: Settings) -> Iterator[Examined]:
    """Write, read and delete there; and see that what is there is not written over."""
    storage, probe = open_storage(address, settings), f".doctor-{uuid.uuid4().hex}"
    with storage.create(probe) as to:
        to.write(b"ok\n")
    try:
        with storage.open(probe) as stream:
            same = stream.read() == b"ok\n"
        kept = False
        try:
            with storage.create(probe) as to:
                to.write(b"again\n")
        except FileExistsError:
            kept = True
    finally:
        storage.delete(probe)
    if same and kept:
        yield Examined(name, "ok", f"{address} can be read and written")
    elif same:
        hint = "use a store with conditional writes: two runs at once could spoil each other's files"
        yield Examined(name, "fail", f"{address} writes over what is there although it is told not to", hint)
    else:
        yield Examined(name, "fail", f"{address} does not give back what was written", "use another store")


def _warehouse(settings: Settings) -> Iterator[Examined]:
    builder = MartBuilder(settings)
    try:
        with builder.lock():
            probe = settings.warehouse / f".doctor-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        yield Examined("warehouse", "ok", f"{settings.warehouse} can be written, and no run holds it")
    except BusyError as error:
        yield Examined("warehouse", "warn", error.message, error.hint)
    try:
        build = Warehouse(settings).current()
    except NotBuiltError:
        if (settings.warehouse / "CURRENT").exists():
            raise
        yield Examined("served build", "ok", "none yet", "run `ecom-analytics run FILES`")
        return
    with Warehouse(settings).connect(build) as connection:
        connection.execute("SELECT count(*) FROM daily")
    yield Examined("served build", "ok", f"{build.build_id} can be read, data through {build.info.get('as_of')}")


def _disk(settings: Settings) -> Iterator[Examined]:
    seen = set()
    for name, place in (
        ("lake", settings.lake),
        ("warehouse", str(settings.warehouse)),
        ("cache", str(settings.cache)),
    ):
        if "://" in place or (name == "cache" and "://" not in settings.lake):
            continue
        there = next(path for path in (Path(place), *Path(place).parents) if path.exists())
        device = there.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(there).free
        status = "fail" if free < TOO_LITTLE else "warn" if free < LITTLE else "ok"
        hint = "" if status == "ok" else "free some space, or move it with the setting of its name"
        yield Examined("disk", status, f"{free / 1e9:,.1f} GB are free where the {name} lies", hint)


def _memory(settings: Settings) -> Iterator[Examined]:
    names = os.sysconf_names
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted = settings.memory_bytes
    told = f"memory_limit is {settings.memory_limit}, of {total / 1e9:,.1f} GB that the machine has"
    much = wanted > 0.8 * total
    yield Examined("memory", "warn" if much else "ok", told, "set a lower memory_limit" if much else "")


def _clock(settings: Settings) -> Iterator[Examined]:
    """Compare with S3's clock, where the lake lies there; else with what was written last."""
    now = datetime.now(UTC)
    if "://" in settings.lake:
        from botocore.exceptions import BotoCoreError, ClientError

        from ecom_analytics.storages.s3_client import s3_client

        began = time.monotonic()
        bucket = settings.lake.partition("://")[2].partition("/")[0]
        try:
            answer = s3_client(settings).head_bucket(Bucket=bucket)
        except ClientError as error:  # a refusal tells the time as well
            answer = error.response  # type: ignore[assignment]
        except BotoCoreError as error:
            yield Examined("clock", "warn", f"S3 does not tell the time: {error}", "see what is said of the lake")
            return
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        skew = abs(parsedate_to_datetime(headers["date"]) - now) - timedelta(seconds=time.monotonic() - began + 1)
        off = skew > MOST_SKEW
        yield Examined(
            "clock",
            "fail" if off else "ok",
            f"{'more' if off else 'less'} than {MOST_SKEW / timedelta(minutes=1):g} minutes off that of S3",
            "set the clock by NTP: S3 refuses requests of a clock that is off" if off else "",
        )
        return
    last = None
    with contextlib.suppress(NotBuiltError):
        last = Warehouse(settings).current().built_at
    back = last is not None and last > now + timedelta(minutes=1)
    told = f"it is {now:%Y-%m-%d %H:%M} UTC" + (f"; the served build is of {last:%Y-%m-%d %H:%M}" if back else "")
    yield Examined(
        "clock", "fail" if back else "ok", told, "set the clock: builds are told apart by it" if back else ""
    )
