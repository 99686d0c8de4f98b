"""What a diagnosis says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ecom_analytics.reports import Report


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of a file that a finding comes from.

    Attributes
    ----------
    name : str
        Name of the file.
    line : int
    source, batch_id : str
    facts : dict
        What matters of the record there.
    """

    name: str
    line: int
    source: str
    batch_id: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """``events.csv:7``, which ``ecom-analytics trace`` takes."""
        return f"{self.name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding(Report):
    """One cause, and where it is found.

    Attributes
    ----------
    cause : str
        A key of :data:`~ecom_analytics.diagnose.CAUSES`.
    detail : str
        What tells findings of one cause apart: the rule, the files, the test. Empty if nothing does.
    count : int
        Records that it concerns; of a test, its failing rows.
    files : int
        Files that they are in; 0 where that is not known.
    sentence : str
        What it is.
    advice : str
        What can be done.
    spots : tuple of Spot
        The first of them.
    rows : tuple of dict
        Of a test, its first failing rows.
    """

    cause: str
    detail: str
    count: int
    files: int
    sentence: str
    advice: str
    spots: tuple[Spot, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class DiagnosisReport(Report):
    """What :meth:`ecom_analytics.diagnose.Diagnoser.diagnose` found.

    Attributes
    ----------
    findings : tuple of Finding
        Failed tests first, then the causes in the order of :data:`~ecom_analytics.diagnose.CAUSES`.
    notes : tuple of str
        What could not be looked at, and why.
    build_id : str or None
        The served build.
    seconds : float
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    build_id: str | None
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def of(self, cause: str) -> tuple[Finding, ...]:
        """The findings of a cause."""
        return tuple(finding for finding in self.findings if finding.cause == cause)
