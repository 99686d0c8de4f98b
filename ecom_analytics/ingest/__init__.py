"""Raw files to the lake: bytes unchanged, content-addressed, once."""

from __future__ import annotations

from ecom_analytics.ingest.explain import Explanation
from ecom_analytics.ingest.ingestor import Ingestor

__all__ = ["Explanation", "Ingestor"]
