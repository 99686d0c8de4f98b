"""The JSON API, version 1: GET only, one envelope, weak ETags, a CSV twin of every figure."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ecom_analytics.dashboard import lists
from ecom_analytics.dashboard.answers import Answer, csv_text, json_text, problem
from ecom_analytics.dashboard.figures import SERIES, Figures
from ecom_analytics.dashboard.generations import Cache, Generation, Generations, QueryTooLongError
from ecom_analytics.dashboard.parameters import LIST, RANGE, BadParametersError, Parameters, Range
from ecom_analytics.errors import EcomError, NotBuiltError

if TYPE_CHECKING:
    from flask import Blueprint, Response

Route = Callable[[Generation, Parameters], Answer]

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
    return Answer(data, rows=[{"name": key, "value": json_text(value)} for key, value in data.items()])


def _metrics(generation: Generation, parameters: Parameters) -> Answer:
    figures = Figures(generation)
    return Answer([{"name": name, **figures.definition(name)} for name in SERIES])


def _capabilities(generation: Generation, parameters: Parameters) -> Answer:
    return Answer(generation.rows("SELECT source, capability, available FROM capabilities ORDER BY source, capability"))


def _kpis(generation: Generation, parameters: Parameters) -> Answer:
    days, compared = _range(generation, parameters)
    parameters.check()
    cards = Figures(generation).kpis(days, compared)
    columns = ("name", "label", "unit", "value", "previous", "change")
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
    return Answer(
        {**data, "points": points, "previous_points": previous}, rows=points, range=days, compared=compared,
        columns=("date", "value"),
    )  # fmt: skip


def _weekdays(generation: Generation, parameters: Parameters) -> Answer:
    sums = [name for name in SERIES if name not in ("visitors", "session_conversion_rate", "aov")]
    metric = parameters.choice("metric", sums, "transactions")
    days, _ = _range(generation, parameters)
    parameters.check()
    figures = Figures(generation)
    reason = figures.unavailable(metric)
    rows = [] if reason else figures.weekdays(metric, days)
    data = {"dimension": "weekday", "metric": metric, **figures.definition(metric), "available": reason is None}
    return Answer({**data, "reason": reason, "rows": rows}, rows=rows, range=days, columns=("key", "label", "value", "days"))


def _funnel(generation: Generation, parameters: Parameters) -> Answer:
    days, _ = _range(generation, parameters)
    parameters.check()
    steps = Figures(generation).funnel(days)
    return Answer({"unit": "session", "available": True, "reason": None, "steps": steps}, rows=steps, range=days)


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
        """Add the routes and their CSV twins."""
        for name in ROUTES:
            endpoint = "api_" + name.replace("/", "_")
            to.add_url_rule(f"{prefix}/{name}", endpoint, self._view(name, as_csv=False), methods=["GET"])
            to.add_url_rule(f"{prefix}/{name}.csv", f"{endpoint}_csv", self._view(name, as_csv=True), methods=["GET"])
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        to.add_url_rule(f"{prefix}/", "api_unknown", _unknown, defaults={"route": ""}, methods=methods)
        to.add_url_rule(f"{prefix}/<path:route>", "api_unknown", _unknown, methods=methods)

    def _view(self, name: str, *, as_csv: bool) -> Callable[[], Response]:
        def view() -> Response:
            try:
                return self._answer(name, as_csv)
            except BadParametersError as error:
                return problem(400, "Bad parameters", str(error), errors=error.errors)
            except NotBuiltError as error:
                return problem(503, "No data yet", error.message, hint=error.hint)
            except QueryTooLongError as error:
                return problem(503, "The query took too long", error.message, hint=error.hint)
            except EcomError:
                _log.exception("the warehouse cannot be read")
                return problem(503, "The warehouse cannot be read", "see the log of the server")
            except Exception:
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
            if request.if_none_match.contains_weak(etag):
                answer = Response(status=304)
            else:
                text, more = self._cache.get(key, lambda: _text(route, generation, parameters, as_csv))
                kind = "text/csv; charset=utf-8" if as_csv else "application/json"
                answer = Response(text, content_type=kind)
                if more:
                    answer.headers["Link"] = f'<{_page_url(more)}>; rel="next"'
                if as_csv:
                    file = f"{name.replace('/', '-')}-{build.build_id}.csv"
                    answer.headers["Content-Disposition"] = f'attachment; filename="{file}"'
        answer.set_etag(etag, weak=True)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def _text(route: Route, generation: Generation, parameters: Parameters, as_csv: bool) -> tuple[str, str | None]:
    answer, build = route(generation, parameters), generation.build
    parameters.check()
    if as_csv:
        return csv_text(answer), answer.next
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
    return json_text({"data": answer.data, "meta": meta}), answer.next


def _page_url(more: str) -> str:
    from urllib.parse import urlencode

    from flask import request

    given = [(name, value) for name, value in request.args.items(multi=True) if name != "next"]
    return f"{request.path}?{urlencode([*given, ('next', more)])}"


def _unknown(route: str) -> Response:
    from flask import request

    if request.method not in ("GET", "HEAD"):
        answer = problem(405, "Method not allowed", "the API only answers GET and HEAD")
        answer.headers["Allow"] = "GET, HEAD"
        return answer
    return problem(404, "No such route", f"there is no route {route!r}; the routes are {', '.join(sorted(ROUTES))}")
