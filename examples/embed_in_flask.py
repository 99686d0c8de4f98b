"""The dashboard inside an application of yours, under a prefix, behind your own login.

python embed_in_flask.py ./ecom-data
"""

import sys

from flask import Flask, Response, request

from ecom_analytics import Settings
from ecom_analytics.dashboard import blueprint


def make_app(home: str, password: str) -> Flask:
    """Your application; what is published later shows up without a restart."""
    app = Flask("shop")
    analytics = blueprint(Settings(home=home))

    @analytics.before_request
    def only_for_staff() -> Response | None:
        given = request.authorization
        if given and given.password == password:
            return None
        return Response("for staff only", 401, {"WWW-Authenticate": 'Basic realm="analytics"'})

    app.register_blueprint(analytics, url_prefix="/analytics")

    @app.get("/")
    def shop() -> str:
        return 'The shop. <a href="/analytics/">Analytics</a>'

    return app


if __name__ == "__main__":
    from waitress import serve

    serve(make_app(sys.argv[1], password="secret"), listen="127.0.0.1:8000")
