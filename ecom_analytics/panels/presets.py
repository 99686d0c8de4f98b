"""What every page shows for each preset of dates, before anybody filters: computed once, when a build is published."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from ecom_analytics.answers import Marts, envelope, json_text, ready
from ecom_analytics.answers.ranges import PERIODS
from ecom_analytics.answers.ready import Question
from ecom_analytics.answers.routes import ask
from ecom_analytics.errors import EcomError
from ecom_analytics.panels.listing import panels
from ecom_analytics.panels.route_panel import RoutePanel

_log = logging.getLogger(__name__)


def questions() -> list[Question]:
    """What the panels ask their routes, each question once. Panels with a query of their own are not among them."""
    found: dict[str, Question] = {}
    for panel in panels().values():
        if not isinstance(panel, RoutePanel):
            continue
        route, path = panel.asks
        dated = any(parameter.name == "period" for parameter in route.parameters)
        for period in PERIODS if dated else ("",):
            given = {name: [value] for name, value in panel.parameters.items()}
            question = Question(route, path, given | ({"period": [period]} if period else {}))
            found.setdefault(question.key, question)
    return list(found.values())


def prepare(marts: Marts, file: Path) -> int:
    """Write the answers to :func:`questions` into ``file``; how many. One that fails is left to be asked again."""

    def answered() -> Iterator[tuple[Question, str, str | None]]:
        for question in questions():
            try:
                asked, answer = ask(marts, question.route.path, question.given, question.path)
                yield question, json_text(envelope(asked, answer)), answer.more
            except EcomError as error:
                _log.warning("%s is not answered in advance: %s", question.route.path, error.message)

    return ready.write(file, answered())
