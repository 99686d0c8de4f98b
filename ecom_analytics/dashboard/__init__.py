"""The dashboard and its JSON API: a Flask application, or a blueprint for yours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Blueprint, Flask

    from ecom_analytics.config import Settings
    from ecom_analytics.dashboard.access import Authenticate

__all__ = ["blueprint", "create_app", "embed_token"]


def create_app(
    settings: Settings | None = None, *, url_prefix: str = "", authenticate: Authenticate | None = None
) -> Flask:
    """A Flask application that serves the published warehouse.

    It may be made before anything is built, and follows new builds by itself.

    Parameters
    ----------
    settings : Settings, optional
        Where the warehouse lies, and who may see it. Default: ``Settings()``.
    url_prefix : str
        Below which it lies, such as ``/analytics``.
    authenticate : callable, optional
        Is given each request (``flask.Request``), and says whether it is let in.

    Raises
    ------
    ConfigError
        The setting ``rate_limit`` needs a package that is not installed.

    Examples
    --------
    >>> app = create_app()
    >>> app.test_client().get("/healthz").status_code
    200
    """
    from flask import Flask

    from ecom_analytics.config import Settings
    from ecom_analytics.dashboard.guard import guard

    settings = settings or Settings()
    app = Flask("ecom_analytics.dashboard", static_folder=None)
    app.register_blueprint(blueprint(settings, authenticate=authenticate), url_prefix=url_prefix or None)
    guard(app, settings)
    return app


def blueprint(settings: Settings | None = None, *, authenticate: Authenticate | None = None) -> Blueprint:
    """The same as a blueprint, to mount under a prefix of another application.

    Host names, proxies and rates are then the affair of that application.

    Parameters
    ----------
    settings : Settings, optional
    authenticate : callable, optional
        As in :func:`create_app`.

    Examples
    --------
    >>> from flask import Flask
    >>> app = Flask("shop")
    >>> app.register_blueprint(blueprint(), url_prefix="/analytics")
    >>> app.test_client().get("/analytics/healthz").status_code
    200
    """
    from ecom_analytics.config import Settings
    from ecom_analytics.dashboard.pages import make_blueprint

    return make_blueprint(settings or Settings(), authenticate)


def __getattr__(name: str) -> object:
    if name == "embed_token":
        from ecom_analytics.dashboard.access import embed_token

        return embed_token
    raise AttributeError(name)
