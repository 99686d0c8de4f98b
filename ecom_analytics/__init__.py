"""From raw e-commerce clickstream to tested marts, exports and a dashboard.

Five stages, each usable alone: :class:`Ingestor`, :class:`Stager`, :class:`MartBuilder`, :class:`Exporter` and
:func:`create_app`; :class:`Pipeline` composes them. Names are imported when first used, so importing the package
is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "BuildReport": "reports",
    "EcomError": "errors",
    "Eraser": "erasure",
    "ExportReport": "reports",
    "Exporter": "export",
    "IngestReport": "reports",
    "Ingestor": "ingest",
    "MartBuilder": "marts",
    "MartError": "errors",
    "Pipeline": "pipeline",
    "RunReport": "reports",
    "Settings": "config",
    "StageReport": "reports",
    "Stager": "staging",
    "Warehouse": "warehouse",
    "create_app": "dashboard",
}

__all__ = [
    "BuildReport",
    "EcomError",
    "Eraser",
    "ExportReport",
    "Exporter",
    "IngestReport",
    "Ingestor",
    "MartBuilder",
    "MartError",
    "Pipeline",
    "RunReport",
    "Settings",
    "StageReport",
    "Stager",
    "Warehouse",
    "__version__",
    "create_app",
]

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.dashboard import create_app
    from ecom_analytics.erasure import Eraser
    from ecom_analytics.errors import EcomError, MartError
    from ecom_analytics.export import Exporter
    from ecom_analytics.ingest import Ingestor
    from ecom_analytics.marts import MartBuilder
    from ecom_analytics.pipeline import Pipeline
    from ecom_analytics.reports import BuildReport, ExportReport, IngestReport, RunReport, StageReport
    from ecom_analytics.staging import Stager
    from ecom_analytics.warehouse import Warehouse


def __getattr__(name: str) -> Any:
    try:
        module = _WHERE[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
