"""The source formats that a stage reads with: one of each name, and of each thing that it wants to know of a batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from ecom_analytics import plugins
from ecom_analytics.catalogue import EVENTS, kind_of
from ecom_analytics.config import Settings
from ecom_analytics.lake import Batch
from ecom_analytics.protocols import SourceFormat
from ecom_analytics.source_formats.rule_set import rules_key


def format_key(batch: Batch) -> str:
    """What batches that one instance of a source format reads have in common.

    Examples
    --------
    >>> format_key(Batch("1", "shop", "canonical", "a.csv", 10, ""))
    'canonical'
    """
    own = batch.details.get(batch.source_format)
    return batch.source_format if own is None else f"{batch.source_format} {json.dumps(own, sort_keys=True)}"


def formats_of(new: Sequence[Batch], staged: Iterable[str]) -> dict[str, SourceFormat]:
    """The formats of new batches by :func:`format_key`, and those that were staged with before by their names.

    A format that keeps something with its batches has a class method ``from_details`` to be made of it.
    """
    formats: dict[str, SourceFormat] = {}
    for batch in new:
        key = format_key(batch)
        if key not in formats:
            kind = plugins.load("source_formats", batch.source_format)
            own = batch.details.get(batch.source_format)
            formats[key] = kind() if own is None else kind.from_details(own)
    for name in staged:
        formats.setdefault(name, plugins.load("source_formats", name)())
    return formats


def read_with(batch: Batch, settings: Settings) -> str:
    """What the rows of a batch depend on beside its bytes: two hashes, of :func:`reading` and of its own details.

    Examples
    --------
    >>> len(read_with(Batch("1", "shop", "canonical", "a.csv", 10, ""), Settings()))
    33
    """
    details = batch.details.get(batch.source_format)
    own = {"format": batch.source_format, "layout": batch.layout.to_dict(), "details": details}
    return f"{reading(settings, batch.source, batch.source_format)}-{_hash(own)}"


def reading(settings: Settings, source: str, source_format: str) -> str:
    """A hash of what the rows of all batches of a source and a format depend on: version, rules, settings."""
    kind = plugins.load("source_formats", source_format)
    depends = {"version": getattr(kind, "version", "1"), "max_record_lines": settings.max_record_lines}
    rules = rules_key(settings, source, source_format) if kind_of(kind) == EVENTS else ""
    return _hash(depends | ({"rules": rules} if rules else {}))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
