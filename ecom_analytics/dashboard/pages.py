"""The blueprint: the page, its static files, the API, and health."""

from __future__ import annotations

import gzip
import hashlib
import logging
import mimetypes
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from ecom_analytics.answers.filters import DIMENSIONS
from ecom_analytics.dashboard.access import Access, Authenticate
from ecom_analytics.dashboard.api import METHODS, Api, only_get, told
from ecom_analytics.dashboard.bodies import Body, problem
from ecom_analytics.dashboard.generations import Generations
from ecom_analytics.errors import EcomError, NotBuiltError
from ecom_analytics.panels import panels
from ecom_analytics.panels.listing import ALL_ROUTES, PAGES

if TYPE_CHECKING:
    from flask import Blueprint, Response

    from ecom_analytics.config import Settings

NAME = "ecom_analytics"
API = "/api/v1"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Of every answer; the origins that may frame it come after the last word."""

PERIODS = (
    ("7d", "Last 7 days"),
    ("28d", "Last 28 days"),
    ("91d", "Last 91 days"),
    ("mtd", "Month to date"),
    ("last_month", "Last month"),
    ("ytd", "Year to date"),
    ("12mo", "Last 12 months"),
    ("all", "All dates"),
)
_ALWAYS = ("state", "api", "dom", "format", "tooltip", "panels", "controls")
_DRAWN_BY = {
    "kpis": ("kpis",),
    "lines": ("line", "metric", "split", "rates", "curves", "pareto"),
    "funnel": ("funnel", "funnel_by"),
    "ranking": ("products", "ranking", "channels", "segments", "carts"),
    "tables": ("table",),
    "heat": ("heat", "cohorts"),
    "notices": ("notices",),
    "quality": ("account", "build", "rejected", "checks", "lineage", "glossary", "downloads"),
}
"""Module → how the panels are drawn that it draws; ``bars`` draws all others."""
_MODULES = {chart: module for module, charts in _DRAWN_BY.items() for chart in charts}
_WITH_CANVAS = {"lines", "bars"}

_log = logging.getLogger(__name__)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/markdown"}


def _shown(panel: Any) -> dict[str, Any]:
    """A panel as its place on the page needs it, before there are any figures."""
    route = getattr(panel, "route", f"panels/{panel.name}")
    path = route if route in ALL_ROUTES else next(
        (one for one in ALL_ROUTES if one.startswith(f"{route.rpartition('/')[0]}/{{")), "panels/{panel}"
    )  # fmt: skip
    chart = panel.chart if hasattr(panel, "route") else f"generic_{panel.chart}"
    return {
        "name": panel.name,
        "title": panel.title,
        "chart": chart,
        "module": _MODULES.get(chart, "bars"),
        "route": route,
        "parameters": dict(getattr(panel, "parameters", {})),
        "width": int(getattr(panel, "width", 6)),
        "description": getattr(panel, "description", ""),
        "knows": " ".join(parameter.name for parameter in ALL_ROUTES[path].parameters),
    }


def _headers(settings: Settings) -> dict[str, str]:
    headers = {
        "Content-Security-Policy": " ".join([POLICY, *settings.frame_ancestors]),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
    if not settings.frame_ancestors:  # it knows no list of origins
        headers["X-Frame-Options"] = "SAMEORIGIN"
    return headers


def make_blueprint(settings: Settings, authenticate: Authenticate | None = None) -> Blueprint:
    """The dashboard over the warehouse of ``settings``."""
    from flask import Blueprint, Response, render_template, request, url_for

    made = Blueprint(NAME, "ecom_analytics.dashboard", template_folder="templates")
    generations, access = Generations(settings), Access(settings, authenticate)
    headers = _headers(settings)
    Api(generations, access).register(made, API)

    def route(rule: str, name: str, view: Callable[..., Response]) -> None:
        made.add_url_rule(
            rule, name, only_get(view), methods=METHODS, provide_automatic_options=False, merge_slashes=False
        )

    def index(page: str = "overview") -> Response:
        return told(lambda: _index(page))

    def _index(page: str) -> Response:
        if page not in PAGES:
            return problem(404, "No such page", "there is no such page", hint=f"the pages are {', '.join(PAGES)}")
        access.check(request)

        base = url_for(".api").rstrip("/")
        shown = [_shown(panel) for panel in panels().values() if getattr(panel, "page", "overview") == page]
        modules = dict.fromkeys(panel["module"] for panel in shown)
        text = render_template(
            "index.html",
            asset=_asset,
            api_base=base,
            home=url_for(".index"),
            page=page,
            pages=PAGES,
            page_url=lambda name: url_for(".page", page=name) if name != "overview" else url_for(".index"),
            periods=PERIODS,
            shown=shown,
            known={name for panel in shown for name in panel["knows"].split()},
            stale_hours=settings.stale_hours,
            dimensions=tuple(DIMENSIONS),
            modules=[f"{name}.js" for name in (*_ALWAYS, *modules)],
            charts=not _WITH_CANVAS.isdisjoint(modules),
        )
        answer = Body(text).respond("text/html; charset=utf-8")
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    def health() -> Response:
        return Response("ok\n", mimetype="text/plain")

    def ready() -> Response:
        try:
            with generations.lease() as generation:
                return Response(f"{generation.build.build_id}\n", mimetype="text/plain")
        except NotBuiltError:
            return problem(503, "Not ready", "nothing has been published yet")
        except EcomError:
            _log.exception("the warehouse cannot be read")
            return problem(503, "Not ready", "the warehouse cannot be read: see the log of the server")

    route("/", "index", index)
    route("/<page>", "page", index)
    route("/static/<version>/<path:name>", "static_file", _static)
    route("/healthz", "health", health)
    route("/readyz", "ready", ready)

    @made.after_request
    def protect(answer: Response) -> Response:
        for name, value in headers.items():
            answer.headers.setdefault(name, value)
        return answer

    return made


def _asset(name: str) -> str:
    """The address of a static file."""
    from flask import url_for

    if name not in _files():
        raise LookupError(f"there is no static file {name!r}")
    return url_for(".static_file", version=_version(), name=name)


@lru_cache(maxsize=1)
def _files() -> dict[str, Traversable]:
    """Every static file, by its path. Nothing else can be asked for."""
    found: dict[str, Traversable] = {}

    def walk(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                walk(entry, f"{prefix}{entry.name}/")
            else:
                found[prefix + entry.name] = entry

    walk(files("ecom_analytics.dashboard") / "static", "")
    return found


@lru_cache(maxsize=1)
def _version() -> str:
    """A hash of all static files: a part of every address, so that modules can import each other by relative paths."""
    digest = hashlib.sha256()
    for name, entry in sorted(_files().items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(entry.read_bytes()).digest())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=256)
def _content(name: str) -> tuple[bytes, bytes]:
    """A static file as it is, and gzipped."""
    content = _files()[name].read_bytes()
    return content, gzip.compress(content, 9, mtime=0)


def _static(version: str, name: str) -> Response:
    from flask import Response, request

    if name not in _files():
        return Response("not found\n", status=404, mimetype="text/plain")
    plain, packed = _content(name)
    suffix = "." + name.rsplit(".", 1)[-1]
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    zipped = request.accept_encodings["gzip"] > 0
    kind += "; charset=utf-8" if kind.startswith(("text/", "image/svg")) else ""
    answer = Response(packed if zipped else plain, content_type=kind)
    if zipped:
        answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Vary"] = "Accept-Encoding"
    # A page of another release may still ask by its own hash: it gets the file, but nobody may keep it under that name.
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if version == _version() else "no-store"
    return answer
