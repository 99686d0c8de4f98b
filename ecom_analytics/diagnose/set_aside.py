"""What staging set aside: rejected records, blank lines, repetitions, and what came late."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

from ecom_analytics.diagnose.causes import OF_RULE
from ecom_analytics.diagnose.look import Look, finding
from ecom_analytics.diagnose.report import Finding, Spot
from ecom_analytics.events import IDENTITY
from ecom_analytics.lake import read_batch
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading.files import open_text
from ecom_analytics.staging.state import by_rule
from ecom_analytics.storages import open_storage

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

_BLOCK = 8 << 20
_MOSTLY = 0.5
"""From this share on a file is taken for one that was rejected, or sent again, as a whole."""
_BEHIND_HOURS = 6
_MOST_BEHIND = 0.01
"""A file of which a greater share is behind is not in the order of time, so nothing in it is late."""


def rejected(look: Look) -> Iterator[Finding]:
    """Rejected records by rule, and files that were rejected in good part."""
    for rule in by_rule(look.state.batches):
        cause = OF_RULE.get(rule, "other_rejects")
        yield from look.findings(
            cause,
            "SELECT rule AS detail, source, batch_id, source_line AS line, {message: message, raw_text: raw_text} "
            "AS facts FROM rejected WHERE rule = $rule",
            rule=rule,
        )
    for rule, count in by_rule(look.state.batches, "warned_by_rule").items():
        yield finding("warned_rules", rule, count)
    for row in look.rows(
        "SELECT name, rejected, records FROM batches WHERE records > 9 AND rejected >= $share * records ORDER BY name",
        share=_MOSTLY,
    ):
        yield finding("wrong_format", f"{row['name']}, of {row['records']:,}", row["rejected"], 1)


def repeated(look: Look) -> Iterator[Finding]:
    """Suppressed rows: files sent again, identical rows, and event ids used again."""
    names = "any_value(b.name) || ' repeats ' || any_value(k.name)"
    sent = f"""sent AS (
        SELECT d.source, d.batch_id, d.kept_batch_id, {names} AS detail
        FROM duplicates d JOIN batches b USING (source, batch_id)
        JOIN batches k ON k.source = d.source AND k.batch_id = d.kept_batch_id
        WHERE d.batch_id <> d.kept_batch_id
        GROUP BY ALL HAVING count(*) >= $share * any_value(b.records)
    )"""
    columns = "source, batch_id, source_line AS line, {kept_line: kept_line, event_ts: event_ts} AS facts"
    yield from look.findings(
        "resent_batches",
        f"WITH {sent} SELECT sent.detail, {columns} FROM duplicates JOIN sent USING (source, batch_id, kept_batch_id)",
        share=_MOSTLY,
    )
    same = " AND ".join(f"e.{name} IS NOT DISTINCT FROM d.{name}" for name in IDENTITY)
    for cause, condition in (("duplicate_rows", "is_same"), ("repeated_event_ids", "NOT is_same")):
        yield from look.findings(
            cause,
            f"""WITH {sent}, single AS (
                SELECT * FROM duplicates ANTI JOIN sent USING (source, batch_id, kept_batch_id)
            ), judged AS (
                SELECT d.*, e.source IS NOT NULL AND {same} AS is_same
                FROM single d LEFT JOIN events e ON e.source = d.source AND e.batch_id = d.kept_batch_id
                    AND e.source_line = d.kept_line AND e.source_item IS NOT DISTINCT FROM d.source_item
            )
            SELECT '' AS detail, {columns} FROM judged WHERE {condition}""",
            share=_MOSTLY,
        )


def late(look: Look, now: datetime) -> Iterator[Finding]:
    """Events behind the lines before them, and files behind those that were staged before them.

    A file is cut into blocks, and an event is late if it lies hours before the middle of an earlier block: one event
    that is ahead of its time makes no other one late.
    """
    yield from look.findings(
        "late_events",
        """WITH sizes AS (
            SELECT source, batch_id, greatest(10, max(source_line) // 1000) AS size FROM events GROUP BY ALL
        ), lines AS (
            SELECT source, batch_id, source_line AS line, event_ts, source_line // size AS block
            FROM events JOIN sizes USING (source, batch_id) WHERE event_ts <= $until
        ), blocks AS (
            SELECT source, batch_id, block, quantile_disc(event_ts, 0.5) AS middle FROM lines GROUP BY ALL
        ), reached AS (
            SELECT source, batch_id, block, max(middle) OVER (
                PARTITION BY source, batch_id ORDER BY block ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS before
            FROM blocks
        ), placed AS (
            SELECT lines.*, before, coalesce(event_ts < before - to_hours($hours), false) AS is_late
            FROM lines JOIN reached USING (source, batch_id, block)
        ), ordered AS (
            SELECT source, batch_id FROM placed GROUP BY ALL
            HAVING count(*) FILTER (is_late) <= greatest($share * count(*), 10)
        )
        SELECT '' AS detail, source, batch_id, line, {event_ts: event_ts, others_before: before} AS facts
        FROM placed SEMI JOIN ordered USING (source, batch_id) WHERE is_late""",
        until=now + timedelta(days=1),
        hours=_BEHIND_HOURS,
        share=_MOST_BEHIND,
    )
    for row in look.rows(
        """SELECT b.name, b.records FROM batches b WHERE EXISTS (
            SELECT 1 FROM batches o WHERE o.source = b.source AND o.staged_at < b.staged_at
            AND o.last_day > b.last_day + 1
        ) ORDER BY b.name"""
    ):
        yield finding("late_batches", row["name"], row["records"], 1)


def blank(look: Look, settings: Settings) -> Iterator[Finding]:
    """Blank lines: counted by staging, and found in the raw files again."""
    count, files = 0, 0
    spots: list[Spot] = []
    for row in look.rows("SELECT source, batch_id, blank FROM batches WHERE blank > 0 ORDER BY source, name"):
        count, files = count + row["blank"], files + 1
        if len(spots) < look.limit:
            lines = _blank_lines(look, settings, (row["source"], row["batch_id"]), row["blank"])
            spots += [look.spot({**row, "line": line}) for line in lines]
    if count:
        yield finding("blank_lines", "", count, files, tuple(spots[: look.limit]))


def _blank_lines(look: Look, settings: Settings, key: tuple[str, str], count: int) -> list[int]:
    """The lines, if there are as many as staging has counted: else some are within quotes, or were erased."""
    batch = read_batch(open_storage(settings.lake, settings), key)
    if batch.layout.kind == "parquet":
        return []
    [path] = look.state.place.raw([batch], lambda done: None)
    file = RawFile(batch.batch_id, batch.source, path, batch.name, batch.layout)
    with open_text(file) as stream:
        found = _empty(stream, b"" if batch.layout.kind == "json_lines" else batch.layout.delimiter.encode(), count)
    return found if len(found) == count else []


def _empty(stream: BinaryIO, delimiter: bytes, most: int) -> list[int]:
    """Lines of nothing but spaces, up to one more than ``most``."""
    spaces = re.escape(bytes(byte for byte in b" \t\r" if byte not in delimiter))
    pattern = re.compile(rb"^[" + spaces + rb"]*\n", re.MULTILINE)
    found: list[int] = []
    line, rest = 1, b""
    while len(found) <= most:
        block = stream.read(_BLOCK)
        data = rest + block
        end = data.rfind(b"\n") + 1 if block else len(data)
        whole, rest = data[:end] if block else data + b"\n" * bool(data), data[end:]
        position = 0
        for match in pattern.finditer(whole):
            line += whole.count(b"\n", position, match.start())
            position = match.start()
            found.append(line)
        line += whole.count(b"\n", position)
        if not block:
            break
    return found
