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
from typing import TYPE_CHECKING

from ecom_analytics.dashboard.answers import Body, problem
from ecom_analytics.dashboard.api import METHODS, Api, only_get
from ecom_analytics.dashboard.generations import Generations
from ecom_analytics.errors import EcomError, NotBuiltError

if TYPE_CHECKING:
    from flask import Blueprint, Response

    from ecom_analytics.config import Settings

NAME = "ecom_analytics"
API = "/api/v1"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}
_log = logging.getLogger(__name__)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/markdown"}


def make_blueprint(settings: Settings) -> Blueprint:
    """The dashboard over the warehouse of ``settings``."""
    from flask import Blueprint, Response, render_template, url_for

    made = Blueprint(NAME, "ecom_analytics.dashboard", template_folder="templates")
    generations = Generations(settings)
    Api(generations).register(made, API)

    def route(rule: str, name: str, view: Callable[..., Response]) -> None:
        made.add_url_rule(rule, name, only_get(view), methods=METHODS, provide_automatic_options=False)

    def index() -> Response:
        def asset(name: str) -> str:
            if name not in _files():
                raise LookupError(f"there is no static file {name!r}")
            return url_for(".static_file", version=_version(), name=name)

        base = url_for(".api").rstrip("/")
        answer = Body(render_template("index.html", asset=asset, api_base=base)).respond("text/html; charset=utf-8")
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
    route("/static/<version>/<path:name>", "static_file", _static)
    route("/healthz", "health", health)
    route("/readyz", "ready", ready)

    @made.after_request
    def protect(answer: Response) -> Response:
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    return made


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
