"""From what dbt says of each node to reports and errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ecom_analytics.disk import full, is_full
from ecom_analytics.errors import EcomError, MartError, TestsFailedError
from ecom_analytics.reports import BuildReport, CheckResult, NodeResult, plain
from ecom_analytics.warehouse import Build

_RAISED = re.compile(r"\s*[\w.]+(Error|Exception): ")
_LONGEST = 2_000


def check(node: dict[str, Any], test: dict[str, Any]) -> CheckResult:
    """The result of a test, from dbt's message and what the manifest says of it."""
    return CheckResult(
        name=test.get("name", node["name"]),
        model=test.get("model", ""),
        column=test.get("column"),
        status=node["status"],
        failures=int(node["failures"] or 0),
        message=node["message"] or "",
    )


def node(told: dict[str, Any], rows: Mapping[str, int] | None = None) -> NodeResult:
    """The result of a node, from what dbt says of it and the rows of the marts."""
    model = told["kind"] == "model"
    return NodeResult(
        name=told["name"],
        kind=told["kind"],
        status=told["status"],
        seconds=round(told["seconds"] or 0.0, 3),
        rows=(rows or {}).get(told["name"]) if model else None,
        rows_read=told.get("rows_read") if model else None,
        rows_written=told.get("rows_written") if model else None,
        failures=int(told["failures"] or 0) if told["kind"] == "test" else 0,
        message="" if told["status"] in {"success", "pass"} else _essence(str(told["message"] or "")),
    )


def report(build: Build, *, built: bool, seconds: float) -> BuildReport:
    """The report on a published build."""
    info = build.info
    checks = [CheckResult(**check) for check in info["checks"]]
    rows = {name: mart["rows"] for name, mart in info["marts"].items()}
    return BuildReport(
        build_id=build.build_id,
        built=built,
        path=build.path,
        rows=rows,
        tests=len(checks),
        warnings=tuple(check for check in checks if check.status == "warn"),
        conflicts=rows["conflicts"],
        as_of=datetime.fromisoformat(info["as_of"]) if info["as_of"] else None,
        seconds=seconds,
        nodes=tuple(NodeResult(**node) for node in info.get("nodes", ())),
        started_from=info.get("started_from"),
        checks=tuple(checks),
    )


def broken(nodes: list[dict[str, Any]], compiled: Mapping[str, Path]) -> EcomError:
    """The error of models that failed, and where what dbt compiled for them is kept, by name."""
    first = nodes[0]
    message = _essence(str(first["message"]))
    if is_full(message):
        return full(f"model {first['name']}")
    others = f" (and {len(nodes) - 1} more)" if len(nodes) > 1 else ""
    out_of_memory = "Out of Memory" in message
    kept = compiled.get(first["name"])
    where = f" (compiled: {kept})" if kept else ""
    return MartError(
        f"{first['kind']} {first['name']} failed{others}: {message}{where}",
        hint="raise the setting memory_limit"
        if out_of_memory
        else "nothing was published; the served build is untouched",
        models=[node["name"] for node in nodes],
        compiled=plain(dict(compiled)),
    )


def with_all(error: EcomError, told: list[dict[str, Any]], checks: list[CheckResult]) -> EcomError:
    """The error, with the results of all nodes and tests that ran in its facts ``nodes`` and ``tests``."""
    error.facts |= {"nodes": plain([node(one) for one in told]), "tests": plain(checks)}
    return error


def _essence(message: str) -> str:
    """What dbt says, without its heading and without the traceback of a Python model."""
    raised = [line for line in message.splitlines() if _RAISED.match(line)]
    if "Traceback" in message and raised:
        message = message[message.rindex(raised[-1]) :].strip().partition(": ")[2]
    elif message.startswith(("Runtime Error in", "Compilation Error in", "Database Error in")):
        message = message.partition("\n")[2] or message
    return " ".join(message.split())[:_LONGEST]


def failed(checks: list[CheckResult], compiled: Mapping[str, Path]) -> TestsFailedError:
    """The error of tests that failed, each by name, and where their compiled SQL is kept, by name."""
    named = ", ".join(
        f"{check.name} ({check.failures} failing rows)" if check.status == "fail" else f"{check.name} ({check.message})"
        for check in checks
    )
    return TestsFailedError(
        f"{len(checks)} of the tests failed: {named}",
        hint="nothing was published; look at the events behind the failures, or correct the test"
        + (f"; the SQL of each is in {next(iter(compiled.values())).parent}" if compiled else ""),
        checks=plain(checks),
        compiled=plain(dict(compiled)),
    )
