"""Rejected records, for a person to look at: one by one, or by the rule that they broke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecom_analytics.config import Settings
from ecom_analytics.source_formats.rule_set import described
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.state import State, by_rule, load, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

_ORDER = [("source", "ascending"), ("batch_id", "ascending"), ("source_line", "ascending")]


@dataclass(frozen=True, slots=True)
class RejectedRule:
    """The rejected records that broke one rule.

    Attributes
    ----------
    rule : str
    records : int
    severity : str
        ``reject``, unless the rule was changed since, or is no longer there: then it is what it is now, or empty.
    description : str
        Empty if the rule is no longer there.
    samples : tuple of dict
        The first of them by source, file and line: ``name``, ``source``, ``batch_id``, ``source_line``, ``rule``,
        ``message`` and ``raw_text``.
    """

    rule: str
    records: int
    severity: str
    description: str
    samples: tuple[dict[str, Any], ...]


def rejected_by_rule(settings: Settings | None = None, *, samples: int = 3) -> list[RejectedRule]:
    """Rejected records by rule, the most frequent first.

    Parameters
    ----------
    settings : Settings, optional
    samples : int
        How many records to give of each rule, at most.
    """
    settings = settings or Settings()
    place = open_place(settings)
    with place.hold():
        state = load(place)
        first = _first_of_each(state, samples)
    known = described(settings)
    counts = sorted(by_rule(state.batches).items(), key=lambda item: (-item[1], item[0]))
    return [
        RejectedRule(rule, records, *known.get(rule, ("", "")), samples=tuple(_named(state, first[rule])))
        for rule, records in counts
    ]


def _first_of_each(state: State, samples: int) -> dict[str, pa.Table]:
    """The first rejected records of each rule; a few rows of each file are held at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found: dict[str, pa.Table] = {}
    for path in state.place.paths([f"rejected/{file.path}" for file in state.rejected]):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                table = pa.table(batch)
                for rule in pc.unique(table["rule"]).to_pylist():
                    rows = table.filter(pc.equal(table["rule"], rule))
                    if rule in found:
                        rows = pa.concat_tables([found[rule], rows])
                    found[rule] = rows.sort_by(_ORDER).slice(0, samples)
    return found


def _named(state: State, rows: pa.Table) -> list[dict[str, Any]]:
    """The rows with the names of their files."""
    names = {row["batch_id"]: row["name"] for row in state.batches.select(["batch_id", "name"]).to_pylist()}
    return [{"name": names[row["batch_id"]], **row} for row in rows.drop_columns(["stage_id"]).to_pylist()]


def rejected(
    settings: Settings | None = None, *, limit: int = 100, rule: str | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """Rejected records, with the name of the file that each was in.

    Parameters
    ----------
    settings : Settings, optional
    limit : int
        How many to give, at most; the first ones by source, file and line.
    rule : str, optional
        Only those that broke this rule.

    Returns
    -------
    (int, list of dict)
        How many there are in all, and the first of them: ``name``, ``source``, ``batch_id``, ``source_line``,
        ``rule``, ``message`` and ``raw_text``.
    """
    import pyarrow.compute as pc

    place = open_place(settings or Settings())
    with place.hold():
        state = load(place)
        rows = rows_of(place, "rejected", state.rejected)
    if rule is not None:
        rows = rows.filter(pc.equal(rows["rule"], rule))
    return rows.num_rows, _named(state, rows.sort_by(_ORDER).slice(0, limit))
