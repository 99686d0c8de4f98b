"""The Diagnoser: goes through every cause."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ecom_analytics.config import Settings
from ecom_analytics.diagnose.causes import CAUSES
from ecom_analytics.diagnose.report import DiagnosisReport, Finding
from ecom_analytics.errors import NotBuiltError
from ecom_analytics.warehouse import Warehouse

if TYPE_CHECKING:
    from ecom_analytics.diagnose.look import Look
    from ecom_analytics.warehouse import Build

SPOTS = 20


class Diagnoser:
    """Say what is wrong in the data, by cause, with files and lines. It changes nothing.

    Parameters
    ----------
    settings : Settings, optional
    now : datetime.datetime, optional
        What is a day later than this is in the future. Default: now.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ecom_analytics import Ingestor, Settings, Stager
    >>> settings = Settings(home=tempfile.mkdtemp())
    >>> path = Path(settings.home, "shop.csv")
    >>> _ = path.write_text("event_ts,event_type,visitor_id\\n" + "2026-01-05T10:00:00Z,view,v1\\n" * 2)
    >>> _, _ = Ingestor(settings).ingest(path), Stager(settings).stage()
    >>> [found] = Diagnoser(settings).diagnose().findings
    >>> found.sentence, found.spots[0].place
    ('1 record identical to another one, which was kept.', 'shop.csv:3')
    """

    def __init__(self, settings: Settings | None = None, *, now: datetime | None = None) -> None:
        self.settings = settings or Settings()
        self._now = now

    def diagnose(self, *, limit: int = SPOTS) -> DiagnosisReport:
        """Look for every cause.

        Parameters
        ----------
        limit : int
            Lines to give of each finding, at most.
        """
        from ecom_analytics.diagnose.look import looking
        from ecom_analytics.staging.places import open_place
        from ecom_analytics.staging.state import load

        started = time.perf_counter()
        notes: list[str] = []
        place = open_place(self.settings)
        with place.hold():
            state = load(place)
            build = self._served(state.version, notes)
            with looking(self.settings, state, limit) as look:
                order = {cause: number for number, cause in enumerate(CAUSES)}
                found = sorted(self._all(look, build, notes), key=lambda one: (order[one.cause], -one.count))
        seconds = time.perf_counter() - started
        return DiagnosisReport(tuple(found), tuple(notes), build.build_id if build else None, seconds)

    def _served(self, version: int, notes: list[str]) -> Build | None:
        try:
            build = Warehouse(self.settings).current()
        except NotBuiltError:
            notes.append("nothing is published: conflicts and bots are known after `ecom-analytics build`")
            return None
        if build.info.get("staged_version") != version:
            notes.append(f"build {build.build_id} is older than what is staged: so are conflicts and bots")
        return build

    def _all(self, look: Look, build: Build | None, notes: list[str]) -> Iterator[Finding]:
        from ecom_analytics.diagnose import failing, published, set_aside, suspicious
        from ecom_analytics.marts import evidence

        kept = evidence.read(self.settings.warehouse)
        notes += [f"the rows of test {test['name']} could not be kept: {test['unread']}"
                  for test in (kept or {}).get("tests", []) if test["unread"]]  # fmt: skip
        yield from failing.tests(look, kept)
        yield from set_aside.rejected(look)
        yield from set_aside.blank(look, self.settings)
        yield from set_aside.repeated(look)
        now = self._now or datetime.now(UTC)
        yield from set_aside.late(look, now)
        yield from suspicious.times(look, now)
        yield from suspicious.purchases(look)
        if build is not None:
            warehouse = Warehouse(self.settings)
            yield from published.conflicts(look, warehouse, build)
            yield from published.bots(look, warehouse, build)
