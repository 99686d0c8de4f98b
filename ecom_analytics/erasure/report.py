"""What an erasure says that it did, or would do."""

from __future__ import annotations

from dataclasses import dataclass

from ecom_analytics.reports import Report


@dataclass(frozen=True, slots=True)
class ErasedBatch:
    """What is erased of one raw file.

    Attributes
    ----------
    name, source : str
    batch_id : str
        The batch as it was.
    replaced_by : str
        The batch that took its place; empty if that is still to be done.
    records : int
    rejected : int
        How many of the records had been rejected.
    """

    name: str
    source: str
    batch_id: str
    replaced_by: str
    records: int
    rejected: int


@dataclass(frozen=True, slots=True)
class ForgetReport(Report):
    """What :meth:`ecom_analytics.Eraser.forget` did, or would do.

    Attributes
    ----------
    visitors : int
        How many were asked for.
    dry_run : bool
        Nothing was changed.
    records : int
        Records that are erased from raw files.
    batches : tuple of ErasedBatch
    builds : tuple of str
        Builds that are deleted: nobody can roll back to them.
    exports : tuple of str
        Builds whose exports are deleted.
    build_id : str or None
        The build that is served afterwards.
    complete : bool
        Nothing is left to be done; False only for a dry run.
    seconds : float
    """

    visitors: int
    dry_run: bool
    records: int
    batches: tuple[ErasedBatch, ...]
    builds: tuple[str, ...]
    exports: tuple[str, ...]
    build_id: str | None
    complete: bool
    seconds: float
