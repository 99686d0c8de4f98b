"""The installed panels, and the routes that list and answer them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from ecom_analytics import plugins
from ecom_analytics.answers.asking import Answer, Ask, Column
from ecom_analytics.answers.filters import FILTERS, Relation, UntoldError
from ecom_analytics.answers.parameters import NotThereError
from ecom_analytics.answers.ranges import COMPARISON, GRAIN, RANGE
from ecom_analytics.answers.routes import ROUTES, Route
from ecom_analytics.errors import PluginError
from ecom_analytics.panels.route_panel import RoutePanel

PAGES = {
    "overview": "Overview",
    "sales": "Sales",
    "products": "Products",
    "customers": "Customers",
    "funnel": "Funnel",
    "retention": "Retention",
    "data": "Data",
}
"""Page → title, in their order."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the filters of the page let through, for the query of a panel.

    Attributes
    ----------
    start, end : datetime.date
        First and last day, inclusive, in the store's time zone.
    compare_start, compare_end : datetime.date or None
        What it is compared with.
    grain : str
        ``day``, ``week`` or ``month``.
    zone : str
        The store's time zone.
    """

    start: date
    end: date
    compare_start: date | None
    compare_end: date | None
    grain: str
    zone: str
    _ask: Ask

    def relation(self, mart: str, *dimensions: str) -> Relation:
        """A mart with only the rows that the filters let through, and a column for each dimension named.

        Its ``sql`` stands after FROM, its ``values`` are parameters of the query. A mart that cannot be told apart as
        the filters want makes the panel say so.
        """
        return self._ask.relation(mart, *dimensions)


@cache
def panels() -> dict[str, Any]:
    """All panels that are installed, by name, in the order of their pages. One that cannot be loaded is left out."""
    found = {}
    for name in plugins.names("panels"):
        try:
            made = plugins.load("panels", name)
            found[name] = made() if isinstance(made, type) else made
        except PluginError as error:
            _log.error("%s", error.message)

    def place(name: str) -> tuple[int, int, str]:
        panel = found[name]
        page = getattr(panel, "page", "overview")
        return (list(PAGES).index(page) if page in PAGES else len(PAGES), getattr(panel, "order", 100), name)

    return {name: found[name] for name in sorted(found, key=place)}


LISTED = (
    Column("name", "Name"),
    Column("title", "Title"),
    Column("page", "Page"),
    Column("chart", "Chart"),
    Column("route", "Route"),
    Column("width", "Width", "whole"),
    Column("available", "Can be shown", "flag"),
    Column("reason", "Why not"),
    Column("description", "What it shows"),
)


def listing(ask: Ask) -> Answer:
    """The panels: where each stands, how it is drawn, and which route its rows come from."""
    known = ask.info.get("marts", {})
    rows = []
    for name, panel in panels().items():
        missing = [mart for mart in panel.requires if mart not in known]
        rows.append(
            {
                "name": name,
                "title": panel.title,
                "page": getattr(panel, "page", "overview"),
                "chart": panel.chart,
                "route": getattr(panel, "route", f"panels/{name}"),
                "parameters": dict(getattr(panel, "parameters", {})),
                "width": int(getattr(panel, "width", 6)),
                "description": getattr(panel, "description", ""),
                "available": not missing,
                "reason": f"this build has no mart {', '.join(missing)}" if missing else None,
            }
        )
    return Answer(rows, LISTED)


def one(ask: Ask) -> Answer:
    """The rows of an installed panel."""
    name = ask.path["panel"]
    panel = panels().get(name)
    if panel is None:
        raise NotThereError(f"there is no panel {name!r}", hint=f"there are {', '.join(panels())}")
    return answer_of(panel, ask)


def answer_of(panel: Any, ask: Ask) -> Answer:
    """The rows of a panel, installed or not."""
    known = ask.info.get("marts", {})
    missing = [mart for mart in panel.requires if mart not in known]
    if missing:
        return _nothing(panel, f"this build has no mart {', '.join(missing)}")
    if isinstance(panel, RoutePanel):
        return panel.answer(ask)
    base = ask.known_base
    shown = Shown(
        start=ask.range.first,
        end=ask.range.last,
        compare_start=base.first if base else None,
        compare_end=base.last if base else None,
        grain=ask["grain"],
        zone=ask.zone,
        _ask=ask,
    )
    try:
        told = panel.query(ask, shown)
    except UntoldError as error:
        return _nothing(panel, f"this cannot be told by {error.dimension.replace('_', ' ')}")
    rows: Sequence[Mapping[str, Any]] = told["rows"]
    columns = [_column(one) for one in told.get("columns", ())] or [
        Column(key, key.replace("_", " ").capitalize()) for key in (rows[0] if rows else ())
    ]
    data = {"available": told.get("reason") is None, "reason": told.get("reason"), "rows": list(rows)}
    return Answer(data, columns, rows=[dict(row) for row in rows])


def _nothing(panel: Any, reason: str) -> Answer:
    return Answer({"available": False, "reason": reason, "rows": []}, (Column("name", panel.title),), rows=[])


def _column(told: Any) -> Column:
    return told if isinstance(told, Column) else Column(**told)


PANEL_ROUTES: dict[str, Route] = {
    route.path: route
    for route in (
        Route("panels", listing, "The panels of the dashboard, those of plug-ins included.", columns=LISTED),
        Route("panels/{panel}", one, "The rows of one panel.", (*RANGE, *COMPARISON, *FILTERS, GRAIN)),
    )
}
ALL_ROUTES = ROUTES | PANEL_ROUTES
"""Every route of the API."""
