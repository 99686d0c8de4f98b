"""The JSON API, version 1: GET only, one envelope, weak ETags, a CSV twin of every table."""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ecom_analytics import __version__
from ecom_analytics.answers import (
    Answer,
    Ask,
    BadParametersError,
    NotThereError,
    Route,
    csv_text,
    envelope,
    json_text,
    ready,
)
from ecom_analytics.answers.filters import FILTERS
from ecom_analytics.answers.ranges import COMPARISON, GRAIN, RANGE
from ecom_analytics.dashboard.access import Access, DeniedError
from ecom_analytics.dashboard.bodies import Body, problem
from ecom_analytics.dashboard.generations import BusyServerError, Cache, Generation, Generations, QueryTooLongError
from ecom_analytics.dashboard.openapi import document
from ecom_analytics.errors import EcomError, NotBuiltError
from ecom_analytics.panels import panels
from ecom_analytics.panels.listing import ALL_ROUTES
from ecom_analytics.panels.route_panel import RoutePanel
from ecom_analytics.warehouse import answers_name

if TYPE_CHECKING:
    from flask import Blueprint, Response

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")

NO_DATA = "urn:ecom-analytics:no-data"
"""The ``type`` of the problem that nothing was published yet, which is no failure."""

EXPORT = Route(
    "export/all.zip",
    lambda ask: Answer(None),
    "Every panel as CSV, as the filters say, in one zip file.",
    (*RANGE, *COMPARISON, *FILTERS, GRAIN),
)
_OPENAPI = "openapi.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_log = logging.getLogger(__name__)


class Api:
    """Answers the routes from the served build.

    Parameters
    ----------
    generations : Generations
    access : Access
        Who may ask, and what is left out for them.
    """

    def __init__(self, generations: Generations, access: Access) -> None:
        self._generations = generations
        self._access = access
        self._cache = Cache()

    def register(self, to: Blueprint, prefix: str) -> None:
        """Add the routes, their CSV twins, and an answer to whatever else is asked below the prefix."""

        def add(rule: str, endpoint: str, view: Callable[..., Response]) -> None:
            to.add_url_rule(
                f"{prefix}/{rule}",
                endpoint,
                only_get(view),
                methods=METHODS,
                provide_automatic_options=False,
                merge_slashes=False,  # an id may hold two of them
            )

        for path, route in ALL_ROUTES.items():
            rule, endpoint = _rule(route), "api_" + path.replace("/", "_").translate({ord(c): None for c in "{}"})
            add(rule, endpoint, self._view(route, as_csv=False))
            add(f"{rule}.csv", f"{endpoint}_csv", self._view(route, as_csv=True))
        add(EXPORT.path, "api_export", self._view(EXPORT, as_csv=False))
        add(_OPENAPI, "api_openapi", self._openapi)
        add("", "api", lambda: _unknown(""))
        add("<path:route>", "api_unknown", _unknown)

    def _view(self, route: Route, *, as_csv: bool) -> Callable[..., Response]:
        def view(**path: str) -> Response:
            return told(lambda: self._answer(route, path, as_csv))

        return view

    def _openapi(self) -> Response:
        from flask import request, url_for

        def answer() -> Response:
            self._access.check(request)
            root = url_for(".api").rstrip("/")
            routes = {**ALL_ROUTES, EXPORT.path: EXPORT}
            made = Body(json_text(document(routes, root, protected=self._access.is_protected)))
            return made.respond("application/json")

        return told(answer)

    def _answer(self, route: Route, path: Mapping[str, str], as_csv: bool) -> Response:
        from flask import Response, request

        visitor = self._access.check(request)
        given = visitor.narrowed(route, {name: values for name, values in request.args.lists() if name != "token"})
        with self._generations.lease() as generation:
            build = generation.build
            canonical = sorted((name, *values) for name, values in given.items())
            key = (
                __version__,
                build.build_id,
                route.path,
                tuple(sorted(path.items())),
                tuple(canonical),
                as_csv,
                visitor.key,
            )
            etag = hashlib.sha256(repr(key).encode()).hexdigest()[:24]
            if request.if_none_match.contains_weak(etag):
                answer = Response(status=304)
            else:

                def compute() -> Body:
                    prepared = None
                    if not (as_csv or visitor.hides):
                        answers = build.path.with_name(answers_name(build.build_id))
                        prepared = ready.find(answers, ready.Question(route, path, given))
                    if prepared is not None:
                        return Body.of(prepared)
                    return self._generations.in_turn(
                        lambda: _body(route, generation, given, path, as_csv, visitor.hides)
                    )

                body = self._cache.get(key, compute)
                answer = _respond(body, route, build.build_id, as_csv)
        answer.set_etag(etag, weak=True)
        answer.headers["Cache-Control"] = "private, no-cache"
        answer.headers["Vary"] = "Accept-Encoding, Authorization, Cookie"
        return answer


def _respond(body: Body, route: Route, build_id: str, as_csv: bool) -> Response:
    if route is EXPORT:
        answer = body.respond("application/zip", packed=True)
        answer.headers["Content-Disposition"] = f'attachment; filename="dashboard-{build_id}.zip"'
        return answer
    answer = body.respond("text/csv; charset=utf-8" if as_csv else "application/json")
    if body.more:
        answer.headers["Link"] = f'<{_page_url(body.more)}>; rel="next"'
    if as_csv:
        name = route.path.replace("/", "-").translate({ord(c): None for c in "{}"})
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}-{build_id}.csv"'
    return answer


def _body(
    route: Route,
    generation: Generation,
    given: Mapping[str, Sequence[str]],
    path: Mapping[str, str],
    as_csv: bool,
    hides: bool,
) -> Body:
    from ecom_analytics.answers.routes import check_path

    if route is EXPORT:
        return Body(_zipped(generation, given, hides))
    check_path(route, path)
    if hides and route.path.startswith("panels/") and not _of_a_part(path["panel"], given):
        raise DeniedError(403, "this link shows a part of the data only, and this cannot be told of a part")
    asked = Ask(generation, route.parameters, given, path)
    answer = route.put(asked)
    if hides and route.path == "meta":
        answer = _without_inputs(answer)
    elif hides and route.path == "notices":
        answer = Answer([], answer.columns)
    if as_csv:
        return Body(csv_text(answer), answer.more)
    return Body(json_text(envelope(asked, answer)), answer.more)


def _without_inputs(answer: Answer) -> Answer:
    """What a visitor who sees a part of the data only is not told: how much there is in all."""
    hidden = {"input": {}, "tests": {}, "batches": {}, "marts": {}, "conflicts": 0}
    data = {**answer.data, **hidden}
    return Answer(data, answer.columns, rows=[{"name": name, "value": value} for name, value in data.items()])


def _of_a_part(name: str, given: Mapping[str, Sequence[str]]) -> bool:
    """Whether a panel leaves out what the filters in use leave out."""
    panel = panels().get(name)
    filters = {parameter.name for parameter in FILTERS} & set(given)
    return not isinstance(panel, RoutePanel) or panel.knows(filters)


def _zipped(generation: Generation, given: Mapping[str, Sequence[str]], hides: bool) -> bytes:
    """The CSV of every panel."""
    out = io.BytesIO()
    route = ALL_ROUTES["panels/{panel}"]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in panels():
            if hides and not _of_a_part(name, given):
                continue
            asked = Ask(generation, route.parameters, given, {"panel": name})
            page = getattr(panels()[name], "page", "other")
            entry = zipfile.ZipInfo(f"{page}-{name}.csv", _EPOCH)  # equal answers are equal bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, csv_text(route.put(asked)))
    return out.getvalue()


def told(answer: Callable[[], Response]) -> Response:
    """The answer, or what went wrong as a problem that says nothing of the inside."""
    try:
        return answer()
    except BadParametersError as error:
        return problem(400, "Bad parameters", str(error), errors=error.errors)
    except DeniedError as error:
        return error.response()
    except NotThereError as error:
        return problem(404, "Not found", str(error), **({"hint": error.hint} if error.hint else {}))
    except NotBuiltError:
        return problem(
            503, "No data yet", "nothing has been published yet", type=NO_DATA, hint="run `ecom-analytics run`"
        )
    except (QueryTooLongError, BusyServerError) as error:
        return problem(503, "The query took too long", error.message, hint=error.hint)
    except EcomError:
        _log.exception("the warehouse cannot be read")
        return problem(503, "The warehouse cannot be read", "see the log of the server")
    except Exception:  # noqa: BLE001  whatever it was: the client must not see it
        _log.exception("a request failed")
        return problem(500, "Internal error", "see the log of the server")


def _rule(route: Route) -> str:
    """The path as Werkzeug writes it: an id may hold slashes."""
    rule = route.path
    for part in route.parts:
        kind = "path:" if part.endswith("_id") else ""
        rule = rule.replace(f"{{{part}}}", f"<{kind}{part}>")
    return rule


def _page_url(more: str) -> str:
    from flask import request

    asked = [(name, value) for name, value in request.args.items(multi=True) if name != "next"]
    return f"{request.script_root}{request.path}?{urlencode([*asked, ('next', more)])}"


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
    return problem(
        404, "No such route", "there is no such route", hint=f"the routes are {', '.join(sorted(ALL_ROUTES))}"
    )
