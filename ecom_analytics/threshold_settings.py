"""Thresholds from settings: tables of ``[[thresholds]]``, checked when the settings are made."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ThresholdSettings(BaseModel):
    """One table of ``[[thresholds]]``: when to tell that a catalogued metric is too low or too high.

    Attributes
    ----------
    metric : str
        One of the catalogue.
    below, above : float, optional
        It is told of values below the one, or above the other.
    days : int
        Of how many days together: the last whole ones of the store's calendar.

    Examples
    --------
    >>> ThresholdSettings(metric="transactions", below=100).days
    1
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(min_length=1)
    below: float | None = None
    above: float | None = None
    days: int = Field(1, ge=1, le=366)

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.below is None and self.above is None:
            raise ValueError("a table with below or above")
        return self
