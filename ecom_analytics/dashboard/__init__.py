"""The dashboard and its JSON API: a Flask application, or a blueprint for yours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Blueprint, Flask

    from ecom_analytics.config import Settings

__all__ = ["blueprint", "create_app"]


def create_app(settings: Settings | None = None) -> Flask:
    """A Flask application that serves the published warehouse.

    It may be made before anything is built, and follows new builds by itself.

    Parameters
    ----------
    settings : Settings, optional
        Where the warehouse lies. Default: ``Settings()``.

    Examples
    --------
    >>> app = create_app()
    >>> app.test_client().get("/healthz").status_code
    200
    """
    from flask import Flask

    app = Flask("ecom_analytics.dashboard", static_folder=None)
    app.register_blueprint(blueprint(settings))
    return app


def blueprint(settings: Settings | None = None) -> Blueprint:
    """The same as a blueprint, to mount under a prefix of another application.

    Parameters
    ----------
    settings : Settings, optional

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

    return make_blueprint(settings or Settings())
