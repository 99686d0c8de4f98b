"""The answers that API, dashboard and Python share: one question, one build, one meaning of each word.

``routes`` lists the questions. ``parameters``, ``ranges`` and ``filters`` read them; ``measures`` computes metrics by
the formulas of the build's catalogue; the modules that ``routes`` names answer; ``envelope`` writes the answer
down. Nothing here knows of HTTP.
"""

from __future__ import annotations

from ecom_analytics.answers.asking import Answer, Ask, Column, Marts
from ecom_analytics.answers.envelope import csv_text, envelope, json_text
from ecom_analytics.answers.parameters import BadParametersError, NotThereError
from ecom_analytics.answers.routes import ROUTES, Route, ask

__all__ = [
    "ROUTES",
    "Answer",
    "Ask",
    "BadParametersError",
    "Column",
    "Marts",
    "NotThereError",
    "Route",
    "ask",
    "csv_text",
    "envelope",
    "json_text",
]
