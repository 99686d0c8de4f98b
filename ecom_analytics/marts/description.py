"""What is written down of a published build: :attr:`ecom_analytics.warehouse.Build.info`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics import __version__
from ecom_analytics.config import Settings
from ecom_analytics.marts import own, project, results
from ecom_analytics.reports import CheckResult, plain

if TYPE_CHECKING:
    import pyarrow as pa

LAST_BATCHES = 5
"""The last staged batches that are named."""

LONGEST_SAMPLE = 500
"""Characters of a rejected record that are shown."""


def of_input(settings: Settings, snapshot: Any) -> dict[str, Any]:
    """What the build was made of, and by what."""
    return {
        "staged_version": snapshot.version,
        "fingerprint": project.fingerprint(settings),
        "timezone": settings.timezone,
        "input": plain(snapshot.account),
        "batches": _batches(snapshot.batches),
        "model_version": __version__,
    }


def _batches(batches: pa.Table) -> dict[str, Any]:
    """How many there are, and the last ones."""
    rows = batches.select(["name", "staged_at"]).sort_by([("staged_at", "descending"), ("name", "descending")])
    return {"count": len(rows), "last": plain(rows.slice(0, LAST_BATCHES).to_pylist())}


def of_rejected(rules: Sequence[Any]) -> dict[str, Any]:
    """Some rejected records of each rule, with file and line; long ones are cut."""

    def sample(row: Mapping[str, Any]) -> dict[str, Any]:
        raw = str(row["raw_text"])
        cut = raw if len(raw) <= LONGEST_SAMPLE else raw[:LONGEST_SAMPLE] + "…"
        return {"file": row["name"], "line": row["source_line"], "message": row["message"], "raw": cut}

    return {"rejected_samples": {rule.rule: [sample(row) for row in rule.samples] for rule in rules}}


def of_output(database: Path, manifest: project.Manifest, sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The marts with their columns, what the data can tell, and the metrics."""
    marts = {name: {"rows": sealed["rows"][name], **mart} for name, mart in sorted(manifest.marts.items())}
    own.add_columns(database, marts)
    return {
        "as_of": plain(sealed["as_of"]),
        "marts": marts,
        "capabilities": sealed["capabilities"],
        "metrics": manifest.metrics,
        "lineage": manifest.parents,
    }


def of_run(
    build_id: str, told: Sequence[dict[str, Any]], checks: Sequence[CheckResult], rows: Mapping[str, int]
) -> dict[str, Any]:
    """How each model and test ended."""
    return {
        "build_id": build_id,
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "tests": {status: sum(check.status == status for check in checks) for status in ("pass", "warn")},
        "checks": plain(list(checks)),
        "nodes": plain([results.node(node, rows) for node in told]),
    }
