"""The JSON API, version 1: GET only, one envelope, weak ETags, a CSV twin of every figure."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ecom_analytics.dashboard import lists
from ecom_analytics.dashboard.answers import Answer, Body, csv_text, json_text, problem
from ecom_analytics.dashboard.figures import SERIES, Figures
from ecom_analytics.dashboard.generations import Cache, Generation, Generations, QueryTooLongError
from ecom_analytics.dashboard.parameters import LIST, RANGE, BadParametersError, Parameters, Range
from ecom_analytics.errors import EcomError, NotBuiltError

if TYPE_CHECKING:
    from flask import Blueprint, Response

Route = Callable[[Generation, Parameters], Answer]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")

NO_DATA = "urn:ecom-analytics:no-data"
"""The ``type`` of the problem that nothing was published yet, which is no failure."""

_log = logging.getLogger(__name__)


def _range(generation: Generation, parameters: Parameters) -> tuple[Range, Range | None]:
    from datetime import date

    first, last = Figures(generation).span() or (date(1970, 1, 1), date(1970, 1, 1))
    days = parameters.range(first, last)
    compared = parameters.compared(days)
    return days, compared


def _meta(generation: Generation, parameters: Parameters) -> Answer:
    build, figures = generation.build, Figures(generation)
    span, currencies = figures.span(), figures.currencies()
    (conflicts,) = generation.rows("SELECT count(DISTINCT (source, transaction_id)) AS ids FROM conflicts")
    data = {
        "build_id": build.build_id,
        "built_at": build.built_at,
        "as_of": build.info.get("as_of"),
        "timezone": build.info.get("timezone", "UTC"),
        "first_date": span[0] if span else None,
        "last_date": span[1] if span else None,
        "currency": currencies[0] if len(currencies) == 1 else None,
        "input": build.info.get("input", {}),
        "tests": build.info.get("tests", {}),
        "conflicts": conflicts["ids"],
    }
    flat = {name: json_text(value) if isinstance(value, dict) else value for name, value in data.items()}
    return Answer(data, rows=[{"name": name, "value": flat[name]} for name in flat], columns=("name", "value"))


def _metrics(generation: Generation, parameters: Parameters) -> Answer:
    found = Figures(generation).catalogue()
    return Answer(found, columns=tuple(found[0]) if found else ())


def _capabilities(generation: Generation, parameters: Parameters) -> Answer:
    columns = ("source", "capability", "available")
    return Answer(generation.rows(f"SELECT {', '.join(columns)} FROM capabilities ORDER BY ALL"), columns=columns)


def _kpis(generation: Generation, parameters: Parameters) -> Answer:
    days, compared = _range(generation, parameters)
    parameters.check()
    cards = Figures(generation).kpis(days, compared)
    columns = ("name", "label", "unit", "value", "previous", "change", "reason")
    return Answer(cards, range=days, compared=compared, columns=columns)


def _timeseries(generation: Generation, parameters: Parameters) -> Answer:
    metric = parameters.choice("metric", SERIES, "transactions")
    days, compared = _range(generation, parameters)
    parameters.check()
    figures = Figures(generation)
    reason = figures.unavailable(metric)
    points = [] if reason else figures.series(metric, days)
    previous = figures.series(metric, compared) if compared and not reason else []
    data = {"metric": metric, **figures.definition(metric), "available": reason is None, "reason": reason}
    shown: Iterable[tuple[dict[str, Any], dict[str, Any]]] = zip_longest(points, previous, fillvalue={})
    both = [{**now, "previous_date": then.get("date"), "previous_value": then.get("value")} for now, then in shown]
    columns = ("date", "value", *(("previous_date", "previous_value") if compared else ()))
    data |= {"points": points, "previous_points": previous}
    return Answer(data, rows=both, range=days, compared=compared, columns=columns)


def _weekdays(generation: Generation, parameters: Parameters) -> Answer:
    sums = [name for name in SERIES if name not in ("visitors", "session_conversion_rate", "aov")]
    metric = parameters.choice("metric", sums, "transactions")
    days, _ = _range(generation, parameters)
    parameters.check()
    figures = Figures(generation)
    reason = figures.unavailable(metric)
    rows = [] if reason else figures.weekdays(metric, days)
    data = {"dimension": "weekday", "metric": metric, **figures.definition(metric), "available": reason is None}
    data |= {"reason": reason, "rows": rows}
    return Answer(data, rows=rows, range=days, columns=("key", "label", "value", "days"))


def _funnel(generation: Generation, parameters: Parameters) -> Answer:
    days, _ = _range(generation, parameters)
    parameters.check()
    steps = Figures(generation).funnel(days)
    data = {"unit": "session", "available": True, "reason": None, "steps": steps}
    return Answer(data, rows=steps, range=days, columns=tuple(steps[0]))


def _notices(generation: Generation, parameters: Parameters) -> Answer:
    return Answer(Figures(generation).notices(), columns=("kind", "level", "title", "detail", "count"))


def _listed(name: str) -> Route:
    def listed(generation: Generation, parameters: Parameters) -> Answer:
        days = _range(generation, parameters)[0] if lists.LISTINGS[name].ranged else None
        return lists.answer(name, generation, parameters, days)

    return listed


ROUTES: dict[str, tuple[Route, tuple[str, ...]]] = {
    "meta": (_meta, ()),
    "metrics": (_metrics, ()),
    "capabilities": (_capabilities, ()),
    "kpis": (_kpis, RANGE),
    "timeseries": (_timeseries, (*RANGE, "metric")),
    "breakdown/weekday": (_weekdays, (*RANGE, "metric")),
    "funnel": (_funnel, RANGE),
    "notices": (_notices, RANGE),
    "users": (_listed("users"), (*RANGE, *LIST)),
    "products": (_listed("products"), (*RANGE, *LIST)),
    "transactions": (_listed("transactions"), (*RANGE, *LIST)),
    "conflicts": (_listed("conflicts"), (*RANGE, *LIST)),
}
"""Route → what answers it, and the parameters that it knows."""


class Api:
    """Answers the routes from the served build."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._cache = Cache()

    def register(self, to: Blueprint, prefix: str) -> None:
        """Add the routes, their CSV twins, and an answer to whatever else is asked below the prefix."""

        def add(rule: str, endpoint: str, view: Callable[..., Response]) -> None:
            to.add_url_rule(rule, endpoint, only_get(view), methods=METHODS, provide_automatic_options=False)

        for name in ROUTES:
            endpoint = "api_" + name.replace("/", "_")
            add(f"{prefix}/{name}", endpoint, self._view(name, as_csv=False))
            add(f"{prefix}/{name}.csv", f"{endpoint}_csv", self._view(name, as_csv=True))
        add(f"{prefix}/", "api", lambda: _unknown(""))
        add(f"{prefix}/<path:route>", "api_unknown", _unknown)

    def _view(self, name: str, *, as_csv: bool) -> Callable[[], Response]:
        def view() -> Response:
            try:
                return self._answer(name, as_csv)
            except BadParametersError as error:
                return problem(400, "Bad parameters", str(error), errors=error.errors)
            except NotBuiltError:
                return problem(
                    503, "No data yet", "nothing has been published yet", type=NO_DATA, hint="run `ecom-analytics run`"
                )
            except QueryTooLongError as error:
                return problem(503, "The query took too long", error.message, hint=error.hint)
            except EcomError:
                _log.exception("the warehouse cannot be read")
                return problem(503, "The warehouse cannot be read", "see the log of the server")
            except Exception:  # noqa: BLE001  whatever it was: the client must not see it
                _log.exception("%s failed", name)
                return problem(500, "Internal error", "see the log of the server")

        return view

    def _answer(self, name: str, as_csv: bool) -> Response:
        from flask import Response, request

        route, allowed = ROUTES[name]
        parameters = Parameters(dict(request.args.lists()), allowed)
        with self._generations.lease() as generation:
            build = generation.build
            key = (build.build_id, name, parameters.canonical, as_csv)
            etag = hashlib.sha256(repr(key).encode()).hexdigest()[:24]
            if parameters.wrong:  # have the route read the others too, so that all wrong ones are named
                _body(route, generation, parameters, as_csv)
            if request.if_none_match.contains_weak(etag):
                answer = Response(status=304, headers={"Vary": "Accept-Encoding"})
            else:
                body = self._cache.get(key, lambda: _body(route, generation, parameters, as_csv))
                answer = body.respond("text/csv; charset=utf-8" if as_csv else "application/json")
                if body.more:
                    answer.headers["Link"] = f'<{_page_url(body.more)}>; rel="next"'
                if as_csv:
                    file = f"{name.replace('/', '-')}-{build.build_id}.csv"
                    answer.headers["Content-Disposition"] = f'attachment; filename="{file}"'
        answer.set_etag(etag, weak=True)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _body(route: Route, generation: Generation, parameters: Parameters, as_csv: bool) -> Body:
    answer, build = route(generation, parameters), generation.build
    parameters.check()
    if as_csv:
        return Body(csv_text(answer), answer.next)
    meta: dict[str, Any] = {
        "build_id": build.build_id,
        "built_at": build.built_at,
        "as_of": build.info.get("as_of"),
        "timezone": build.info.get("timezone", "UTC"),
        "range": answer.range.to_dict() if answer.range else None,
        "compare_range": answer.compared.to_dict() if answer.compared else None,
    }
    if answer.next:
        meta["next"] = answer.next
    return Body(json_text({"data": answer.data, "meta": meta}), answer.next)


def _page_url(more: str) -> str:
    from flask import request, url_for

    return url_for(str(request.endpoint), **{**request.args.to_dict(), "next": more})  # type: ignore[arg-type]


def only_get(view: Callable[..., Response]) -> Callable[..., Response]:
    """The view for GET and HEAD; a problem for all other methods.

    A blueprint cannot say what Flask answers to a method that no route of it knows, so the routes know them all.
    """

    def checked(**parts: Any) -> Response:
        from flask import request

        if request.method in ("GET", "HEAD"):
            return view(**parts)
        answer = problem(405, "Method not allowed", "only GET and HEAD are")
        answer.headers["Allow"] = "GET, HEAD"
        return answer

    return checked


def _unknown(route: str) -> Response:
    return problem(404, "No such route", f"there is no route {route!r}; the routes are {', '.join(sorted(ROUTES))}")
