"""The same answers for Python: ``Warehouse.query``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

from ecom_analytics.answers.envelope import envelope
from ecom_analytics.answers.routes import ROUTES, ask
from ecom_analytics.errors import EcomError

if TYPE_CHECKING:
    from ecom_analytics.warehouse import Build, Warehouse


class Query:
    """What the API answers, as functions: ``kpis()``, ``timeseries()``, ``breakdown("device")``, ``product("p1")``.

    Each takes the parameters of its route by name, a list or tuple for one that may be given several times, and
    ``from_`` for ``from``; and returns the whole answer, ``{"data": …, "meta": …}``.

    Parameters
    ----------
    warehouse : Warehouse

    Examples
    --------
    ::

        query = Warehouse(Settings()).query
        query.kpis(period="7d", device=["mobile", "tablet"])["data"]
        query("breakdown/{dimension}", dimension="country", metric="net_value")
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def __call__(self, route: str, **parameters: Any) -> dict[str, Any]:
        """Ask a route by its path.

        Raises
        ------
        BadParametersError
            A parameter is unknown, or has a bad value.
        NotBuiltError
            Nothing was published yet.
        """
        if route not in ROUTES:
            raise EcomError(f"there is no route {route!r}", hint=f"the routes are {', '.join(ROUTES)}")
        parts = ROUTES[route].parts
        path = {name: str(parameters.pop(name)) for name in parts if name in parameters}
        given = {name.removesuffix("_"): _texts(value) for name, value in parameters.items() if value is not None}
        build = self._warehouse.current()
        with self._warehouse.connect(build) as connection:
            return envelope(*ask(Opened(build, connection), route, given, path))

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        if name not in FUNCTIONS:
            raise AttributeError(f"there is no function {name!r}; there are {', '.join(FUNCTIONS)}")
        route = FUNCTIONS[name]
        parts = ROUTES[route].parts

        def function(*path: Any, **parameters: Any) -> dict[str, Any]:
            return self(route, **dict(zip(parts, path, strict=False)), **parameters)

        function.__name__ = name
        function.__doc__ = ROUTES[route].summary
        return function

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *FUNCTIONS]


def _function(path: str) -> str:
    """The name of a route's function: ``product`` for one of the products."""
    words = path.split("/")
    if words[0] == "quality":
        return words[1]
    return words[0].removesuffix("s") if path.endswith("_id}") else words[0]


FUNCTIONS = {_function(path): path for path in ROUTES}


class Opened:
    """A build on one connection."""

    def __init__(self, build: Build, connection: Any) -> None:
        self.build = build
        self.memo: dict[str, Any] = {}
        self._connection = connection

    def rows(self, sql: str, parameters: Any = ()) -> list[dict[str, Any]]:
        self._connection.execute(sql, parameters)
        names = [column[0] for column in self._connection.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self._connection.fetchall()]


def _texts(value: Any) -> list[str]:
    if isinstance(value, list | tuple | set | frozenset):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, bool):
        return [str(value).lower()]
    return [value.isoformat() if isinstance(value, date) else str(value)]
