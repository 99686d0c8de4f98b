"""What an application of ours has around it: host names, proxies, rates, and errors as problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecom_analytics.dashboard.bodies import problem
from ecom_analytics.errors import ConfigError

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.exceptions import HTTPException

    from ecom_analytics.config import Settings


def guard(app: Flask, settings: Settings) -> None:
    """Apply the settings of the application, not of the blueprint."""
    from werkzeug.exceptions import HTTPException

    if settings.trusted_hosts:
        app.config["TRUSTED_HOSTS"] = list(settings.trusted_hosts)
    if settings.trusted_proxies:
        from werkzeug.middleware.proxy_fix import ProxyFix

        count = settings.trusted_proxies
        fixed = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count, x_prefix=count)
        app.wsgi_app = fixed  # type: ignore[method-assign]
    app.register_error_handler(HTTPException, _problem)
    if settings.rate_limit:
        _limit(app, settings.rate_limit)


def _problem(error: HTTPException) -> Response:
    """Whatever Flask itself refuses, such as a host that is not trusted."""
    answer = problem(error.code or 500, error.name, "the request cannot be answered")
    told: Any = error.get_response()
    for name in ("Retry-After", "Allow", "Location"):
        if name in told.headers:
            answer.headers[name] = told.headers[name]
    return answer


def _limit(app: Flask, rate: str) -> None:
    try:
        from flask_limiter import Limiter
        from flask_limiter.util import get_remote_address
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the setting rate_limit needs the package Flask-Limiter",
            hint="pip install 'ecom-analytics[ratelimit]'",
            key="rate_limit",
        ) from error
    Limiter(get_remote_address, app=app, default_limits=[rate], storage_uri="memory://", headers_enabled=True)
