"""Pandera proves that what staging read and wrote keeps its schemas. It filters nothing: rejecting is done by then.

Pandera looks at names and types, which needs no query. Its checks of values would be several queries each on Ibis; so
what the schema demands is asked here in one query that counts the broken rows of each check. One query is for the raw
records, one for the events; another only tells more of what is broken.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import SchemaError
from ecom_analytics.staging.schemas import RECORD, event_schema, raw_schema

if TYPE_CHECKING:
    import ibis.expr.types as ir

SAMPLES = 3
"""Rows that an error names of each broken check."""

_ORIGIN = RECORD[:3]
_BITS = 5
"""Binary digits of a line's number that are kept as one bit of a set of 32 lines."""

Names = Callable[[], Mapping[tuple[str, str], str]]


def import_early() -> threading.Thread:
    """Import Pandera in the background: it takes about a second, which reading the input can hide."""

    def load() -> None:
        importlib.import_module("pandera.ibis")

    thread = threading.Thread(target=load, name="import-pandera", daemon=True)
    thread.start()
    return thread


def validate_columns(raw: ir.Table, source_format: str) -> None:
    """Check the names and types of what a source format reads. Nothing is read for it.

    Raises
    ------
    SchemaError
    """
    kinds = dict(raw.schema().items())
    items = kinds.get("source_item")
    schema = raw_schema(raw.columns, items=items is not None and not items.is_string())
    _check_columns(schema, raw, f"the source format {source_format} reads what are no")


def validate_raw(rows: ir.Table, names: Names = dict) -> None:
    """Check where all records of a stage say that they come from: one query.

    Parameters
    ----------
    rows : ibis.Table
        With the columns of :data:`~ecom_analytics.staging.schemas.RECORD`, others are not looked at.
    names : callable, optional
        Gives for (source, batch_id) the name of the file, for the message.

    Raises
    ------
    SchemaError
        Naming each broken check, how many rows break it, and some of them.
    """
    origin = rows.select(*(name for name in RECORD if name in rows.columns))
    _validate(raw_schema(origin.columns), origin, names)


def validate(events: ir.Table, *, timezone: str = "UTC", names: Names = dict, may_be_negative: bool = False) -> None:
    """Check staged events against the schema: one query.

    Parameters
    ----------
    events : ibis.Table
    timezone : str
        The store's.
    names : callable, optional
        Gives for (source, batch_id) the name of the file, for the message.
    may_be_negative : bool
        See :func:`~ecom_analytics.staging.schemas.event_schema`.

    Raises
    ------
    SchemaError
        Naming each broken check, how many rows break it, and some of them.
    """
    _validate(event_schema(events.columns, timezone, may_be_negative=may_be_negative), events, names)


def _validate(schema: Any, table: ir.Table, names: Names) -> None:
    _check_columns(schema, table, "these are no")
    broken = dict(_broken(schema, table))
    counted = table.aggregate([table.count(where=rows).name(name) for name, rows in broken.items()])
    repeated = _unique(schema)
    if repeated:
        counted = counted.cross_join(_count_repeated(table, schema.unique).name(repeated).as_table())
    [counts] = counted.to_pyarrow().to_pylist()
    found = {name: int(count) for name, count in counts.items() if count}
    if not found:
        return
    samples = _samples(schema, table, {name: broken[name] for name in found if name in broken}, repeated in found)
    files = names()
    told = [f"{name} ({_rows(count)}{_told(samples.get(name, []), files)})" for name, count in found.items()]
    raise SchemaError(
        f"{schema.name} do not keep the schema: {'; '.join(told)}",
        hint="this is a defect of the source format that read them; nothing was committed",
        broken=found,
        samples=samples,
    )


def _check_columns(schema: Any, table: ir.Table, what: str) -> None:
    """Let Pandera compare names and types."""
    import pandera.config
    import pandera.errors

    try:
        # said here, since variables of the environment can switch Pandera off
        with pandera.config.config_context(validation_enabled=True, validation_depth="SCHEMA_ONLY"):
            schema.validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        told = "; ".join(str(one).split(" DataFrameSchema {")[0] for one in error.schema_errors)
        raise SchemaError(
            f"{what} {schema.name} as the schema has them: {told}",
            hint="this is a defect of the source format that read them; nothing was committed",
            broken=[one.check if isinstance(one.check, str) else str(one.check) for one in error.schema_errors],
        ) from error


def _broken(schema: Any, table: ir.Table) -> Iterator[tuple[str, ir.BooleanValue]]:
    """By the name of a check, the condition that a row breaks it; of all checks but that of being unique."""
    for name, column in schema.columns.items():
        if not column.nullable:
            yield f"{name}.not_null", table[name].isnull()
        for check in column.checks:
            yield f"{name}.{check.name}", ~check(table, name).check_output
    for check in schema.checks:
        yield check.name, ~check(table).check_output


def _unique(schema: Any) -> str:
    return f"{'_'.join(schema.unique)}.unique" if schema.unique else ""


def _count_repeated(table: ir.Table, columns: list[str]) -> ir.IntegerScalar:
    """How many rows are there beyond the first of each record.

    The lines of a file are a set of bits, 32 to a number: a tenth of the time and memory of a set of rows.
    """
    import ibis

    @ibis.udf.scalar.builtin(name="bit_count", signature=(("int64",), "int8"))
    def ones(bits):  # type: ignore[no-untyped-def]
        """DuckDB's function of that name."""

    line = table.source_line
    group = [table[name] for name in columns if name != "source_line"]
    lines = table.group_by(*group, some=line >> _BITS).aggregate(
        rows=table.count(), bits=(ibis.literal(1, "int64") << (line & (2**_BITS - 1))).bit_or()
    )
    return (lines.rows - ones(lines.bits)).sum()


def _samples(
    schema: Any, table: ir.Table, broken: Mapping[str, ir.BooleanValue], repeated: bool
) -> dict[str, list[dict[str, Any]]]:
    """Where some rows are that break each check."""
    import ibis

    def some(name: str, rows: ir.Table) -> ir.Table:
        where = [rows[column].cast(kind).name(column) for column, kind in zip(_ORIGIN, kinds, strict=True)]
        return rows.select(ibis.literal(name).name("check"), *where).order_by(_ORIGIN).limit(SAMPLES)

    kinds = ("string", "string", "int64")
    parts = [some(name, table.filter(rows)) for name, rows in broken.items()]
    if repeated:
        again = ibis.row_number().over(ibis.window(group_by=[table[name] for name in schema.unique])) == 1
        parts.append(some(_unique(schema), table.filter(again)))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in ibis.union(*parts).to_pyarrow().to_pylist() if len(parts) > 1 else parts[0].to_pyarrow().to_pylist():
        found.setdefault(row.pop("check"), []).append(row)
    return found


def _told(samples: list[dict[str, Any]], files: Mapping[tuple[str, str], str]) -> str:
    """``: events.csv:7, events.csv:9``."""
    places = [
        f"{files.get((row['source'], row['batch_id']), row['batch_id'] or 'no file')}:{row['source_line']}"
        for row in samples
    ]
    return f": {', '.join(places)}" if places else ""


def _rows(count: int) -> str:
    return f"{count} row{'s'[: count != 1]}"
