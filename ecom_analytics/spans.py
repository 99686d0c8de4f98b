"""Spans of OpenTelemetry, where its API is installed; else nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any


def span(name: str, **attributes: str) -> AbstractContextManager[Any]:
    """A span for as long as the block lasts; a failure is recorded with it.

    Examples
    --------
    >>> with span("ecom_analytics.stage", run_id="1"):
    ...     pass
    """
    try:
        from opentelemetry import trace
    except ImportError:
        return nullcontext()
    prefixed = {f"ecom_analytics.{key}": value for key, value in attributes.items()}
    tracer = trace.get_tracer("ecom_analytics")
    return tracer.start_as_current_span(name, attributes=prefixed)
