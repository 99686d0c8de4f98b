"""The history of runs: what ran, how it went, and how that compares with the runs before.

Two Delta tables of the lake hold it: ``ops/runs``, a row for each run, stage and model, and ``ops/checks``, a row for
each test result, those that passed included.
"""

from ecom_analytics.history.anomalies import anomalies
from ecom_analytics.history.reader import CheckRecord, History, Run, Step
from ecom_analytics.history.recording import RecordedStage, Recording

__all__ = [
    "CheckRecord",
    "History",
    "RecordedStage",
    "Recording",
    "Run",
    "Step",
    "anomalies",
]
