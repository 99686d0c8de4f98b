"""Counts by rule while a stage reads: of warnings, and of rejects against their limit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.errors import TooManyRejectedError
from ecom_analytics.lake import BatchKey

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.reading import ReadCounts
    from ecom_analytics.staging.rejects import RejectFile

_SAMPLES = 5


def warned_by_batch(engine: DuckDBEngine) -> dict[BatchKey, Counter[str]]:
    """For each batch in the table ``parsed``, how many records that are staged broke each rule that only warns."""
    found: defaultdict[BatchKey, Counter[str]] = defaultdict(Counter)
    query = (
        "SELECT source, batch_id, warned_rules, count(*) FROM parsed "
        "WHERE reject_rule IS NULL AND warned_rules <> '' GROUP BY ALL"
    )
    for source, batch_id, rules, records in engine.rows(query):
        for rule in set(rules.split()):
            found[source, batch_id][rule] += records
    return dict(found)


def check_rejected(
    settings: Settings, new: Mapping[BatchKey, str], counts: Mapping[BatchKey, ReadCounts], rejects: RejectFile
) -> None:
    """Compare the rejected records of batches that are read for the first time with the setting ``max_rejected``.

    Parameters
    ----------
    settings : Settings
    new : mapping of (source, batch_id) to str
        The names of these batches' files.
    counts : mapping
        Of records, blank ones not among them, by batch.
    rejects : RejectFile
        Closed.

    Raises
    ------
    TooManyRejectedError
        Naming each rule with how many records broke it, and where one of them is.
    """
    records = sum(counts[key].records for key in new)
    limit = settings.rejected_limit(records)
    by_rule: Counter[str] = Counter()
    for key in new.keys() & rejects.by_batch.keys():
        by_rule.update(rejects.by_batch[key])
    rejected = by_rule.total()
    if limit is None or rejected <= limit:
        return
    samples = _samples(rejects.path, new)
    raise TooManyRejectedError(
        f"{rejected} of {records} new records were rejected, and max_rejected = {settings.max_rejected} allows "
        f"{limit}: {', '.join(f'{rule} {count}' for rule, count in by_rule.most_common())}; {'; '.join(samples)}",
        hint="nothing was staged; correct the rule, the mapping or the format, or set max_rejected higher, and stage "
        "again: the files are in the lake",
        rejected=rejected,
        records=records,
        limit=limit,
        rejected_by_rule=dict(sorted(by_rule.items())),
        samples=samples,
    )


def _samples(path: Path, new: Mapping[BatchKey, str]) -> list[str]:
    """The first record of some of the rules."""
    import pyarrow.parquet as pq

    found: dict[str, str] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["source", "batch_id", "source_line", "rule", "message"]):
            for row in batch.to_pylist():
                key = (row["source"], row["batch_id"])
                if key in new and row["rule"] not in found:
                    found[row["rule"]] = f"{new[key]}:{row['source_line']}: {row['rule']}: {row['message']}"
                if len(found) == _SAMPLES:
                    return list(found.values())
    return list(found.values())
