"""Every route against its OpenAPI document, by a property-based client: what it calls valid, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from ecom_analytics import Settings
from ecom_analytics.dashboard.serving import serving
from ecom_analytics.panels.listing import ALL_ROUTES

PATHS = [f"/{path}{kind}" for path in ALL_ROUTES for kind in ("", ".csv")]
ASKED = [f"/{path}{kind}" for path, route in ALL_ROUTES.items() if route.parameters for kind in ("", ".csv")]


@pytest.fixture(scope="module")
def api(built_settings: Settings) -> Iterator[schemathesis.BaseSchema]:
    with serving(built_settings) as address:
        yield schemathesis.openapi.from_url(f"{address}api/v1/openapi.json")


def test_every_route_is_in_the_document(api: schemathesis.BaseSchema) -> None:
    assert sorted(api) == sorted([*PATHS, "/export/all.zip"])


def _holds(api: schemathesis.BaseSchema, path: str, mode: GenerationMode, examples: int) -> None:
    @given(case=api[path]["GET"].as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def holds(case: schemathesis.Case) -> None:
        # It cannot say that the first day must not lie after the last one, or that metrics are those of the build.
        case.call_and_validate(excluded_checks=[checks.positive_data_acceptance])

    holds()


@pytest.mark.parametrize("path", [*PATHS, "/export/all.zip"])
def test_a_valid_question_has_a_documented_answer(path: str, api: schemathesis.BaseSchema) -> None:
    _holds(api, path, GenerationMode.POSITIVE, 3 if path.endswith(".zip") else 15)


@pytest.mark.parametrize("path", [*ASKED, "/export/all.zip"])
def test_an_invalid_question_has_a_documented_answer(path: str, api: schemathesis.BaseSchema) -> None:
    _holds(api, path, GenerationMode.NEGATIVE, 15)
