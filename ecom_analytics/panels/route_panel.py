"""A panel that shows the answer of one route."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecom_analytics.answers.asking import Answer, Ask
from ecom_analytics.answers.envelope import plain
from ecom_analytics.answers.routes import ROUTES, Route, ask


@dataclass(frozen=True)
class RoutePanel:
    """A panel that shows what a route answers.

    Attributes
    ----------
    name, title : str
    page : str
    chart : str
        How it is drawn.
    route : str
        Path of the route, with nothing left open.
    parameters : mapping
        What the route is asked beside the filters of the page.
    width : int
        Of twelve columns.
    order : int
        Place on the page.
    requires : tuple of str
    description : str
        What it shows, where the title does not say it.
    """

    name: str
    title: str
    page: str
    chart: str
    route: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    width: int = 6
    order: int = 0
    requires: tuple[str, ...] = ("daily",)
    description: str = ""

    @property
    def asks(self) -> tuple[Route, dict[str, str]]:
        """Its route, and what stands where the route's path is open."""
        path, open_parts = _matched(self.route)
        return ROUTES[path], open_parts

    def knows(self, names: Collection[str]) -> bool:
        """Whether its route can be asked by all these parameters."""
        return set(names) <= {parameter.name for parameter in self.asks[0].parameters}

    def answer(self, asked: Ask) -> Answer:
        """The answer of its route to a question of the page."""
        route, open_parts = self.asks
        known = {parameter.name for parameter in route.parameters}
        given = {
            name: _texts(value) for name, value in asked.values.items() if name in known and value not in (None, ())
        }
        given |= {name: [value] for name, value in self.parameters.items()}
        if asked.values.get("from") or asked.values.get("to"):
            given.pop("period", None)
        return ask(asked.marts, route.path, given, open_parts)[1]

    def query(self, marts: Any, filters: Any) -> dict[str, Any]:
        """The rows to show, in types that JSON knows: ``marts`` is the question of the page."""
        answer = self.answer(marts)
        return {"columns": [column.to_dict() for column in answer.columns], "rows": plain(list(answer.table))}


def _matched(route: str) -> tuple[str, dict[str, str]]:
    if route in ROUTES:
        return route, {}
    head, _, last = route.rpartition("/")
    for path, known in ROUTES.items():
        if known.parts and path.startswith(f"{head}/"):
            return path, {known.parts[0]: last}
    raise LookupError(route)


def _texts(value: Any) -> list[str]:
    if isinstance(value, tuple):
        return [str(one) for one in value]
    return [str(value).lower() if isinstance(value, bool) else str(value)]
