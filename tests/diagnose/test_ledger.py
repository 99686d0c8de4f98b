"""Every fault that the generator injects is found, by file and line, under its kind; and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Pipeline, Settings
from ecom_analytics.diagnose import Diagnoser, DiagnosisReport
from ecom_analytics.generate import generate
from ecom_analytics.generate.faults import DEFAULT

pytestmark = pytest.mark.long

ALL = 1_000_000


def diagnosed(settings: Settings, path: Path) -> DiagnosisReport:
    Pipeline(settings).run(path, export=False)
    return Diagnoser(settings).diagnose(limit=ALL)


def lines(report: DiagnosisReport) -> set[tuple[str, str, int]]:
    return {(finding.cause, spot.name, spot.line) for finding in report.findings for spot in finding.spots}


def ledger(path: Path) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in Path(f"{path}.faults.jsonl").read_text().splitlines()]
    return [entry for entry in entries if entry["kind"] != "summary"]


@pytest.mark.parametrize(("like", "days"), [("shop", 5), ("shop", 2), ("retailrocket", 10)])
def test_every_fault_of_the_ledger_is_found_and_named(settings: Settings, like: Any, days: int, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    generate(path, like=like, events=12_000, days=days, seed=3, faults={**DEFAULT, "bots": 1})
    entries = ledger(path)
    assert {entry["kind"] for entry in entries} == {*DEFAULT, "bots"}

    report = diagnosed(settings, path)

    found = lines(report)
    injected = {(entry["kind"], path.name, entry["line"]) for entry in entries}
    assert injected - found == set()
    if like == "shop":  # the other one is full of repetitions of its own, as the original is
        assert found - injected == set()
        assert sum(finding.count for finding in report.findings) == len(entries)


@pytest.mark.parametrize("kind", [*DEFAULT, "bots"])
def test_a_fault_alone_is_found_as_its_kind_and_as_nothing_else(settings: Settings, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    generate(path, like="shop", events=3_000, days=5, seed=11, faults={kind: 1})

    report = diagnosed(settings, path)

    [entry] = ledger(path)
    assert lines(report) == {(kind, path.name, entry["line"])}


def test_clean_data_have_no_finding(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    generate(path, like="shop", events=20_000, days=10, seed=5)

    report = diagnosed(settings, path)

    assert report.findings == ()
    assert report.is_clean
    assert report.notes == ()
