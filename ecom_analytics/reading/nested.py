"""Records as nested values to flat columns of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import ConfigError
from ecom_analytics.reading.paths import Step, as_text, decode, split_path, walk

if TYPE_CHECKING:
    import pyarrow as pa

Records = Sequence[tuple[int, Mapping[str, Any]]]


class Fields:
    """Paths, made ready to be followed.

    Parameters
    ----------
    fields : mapping of str to str
        The path of each column.
    each : str, optional
        The path of the list of which every element makes a row.
    flat : bool
        The paths are plain names of columns.

    Attributes
    ----------
    tops : list of str
        The top-level names that the paths begin with.

    Examples
    --------
    >>> Fields({"sku": "items[].id", "at": "time"}, "items").tops
    ['items', 'time']
    """

    def __init__(self, fields: Mapping[str, str], each: str | None = None, flat: bool = False) -> None:
        self.each: tuple[str, list[Step]] | None = split_path(each) if each and not flat else None
        self.of_record: list[tuple[int, str, list[Step]]] = []
        self.of_item: list[tuple[int, list[Step]]] = []
        self.width = len(fields)
        prefix = f"{each}[]."
        for at, path in enumerate(fields.values()):
            if flat:
                self.of_record.append((at, path, []))
            elif each and path.startswith(prefix):
                name, steps = split_path(path.removeprefix(prefix))
                self.of_item.append((at, [lambda value, name=name: _member(value, name), *steps]))  # type: ignore[misc]
            elif "[]" in path:
                raise ConfigError(
                    f"the path {path!r} goes into each element of a list that is not {each!r}",
                    hint="a source format can go through one list only",
                    value=path,
                )
            else:
                self.of_record.append((at, *split_path(path)))
        tops = [name for _, name, _ in self.of_record]
        self.tops = list(dict.fromkeys([*([self.each[0]] if self.each else []), *tops]))

    def rows(self, record: Mapping[str, Any]) -> list[tuple[int | None, list[str | None]]]:
        """The rows of one record: the position in the list, or None, and the texts."""
        common: list[str | None] = [None] * self.width
        for at, name, steps in self.of_record:
            value = record.get(name)
            common[at] = as_text(walk(value, steps) if steps else value)
        items = self._items(record)
        if not items:
            return [(None, common)]
        rows: list[tuple[int | None, list[str | None]]] = []
        for position, item in enumerate(items, 1):
            row = common.copy()
            for at, steps in self.of_item:
                row[at] = as_text(walk(item, steps))
            rows.append((position, row))
        return rows

    def _items(self, record: Mapping[str, Any]) -> list[Any]:
        if self.each is None:
            return []
        value = walk(record.get(self.each[0]), self.each[1])
        if isinstance(value, str):
            value = decode(value)
        return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def flatten(records: Records, fields: Fields, schema: pa.Schema) -> pa.RecordBatch:
    """Records as a batch of the schema: the columns of the fields, the line, and the position unless they are flat."""
    import pyarrow as pa

    lines: list[int] = []
    positions: list[int | None] = []
    texts: list[list[str | None]] = []
    for line, record in records:
        for position, row in fields.rows(record):
            lines.append(line)
            positions.append(position)
            texts.append(row)
    columns: list[Any] = [pa.array(column, pa.string()) for column in zip(*texts, strict=True)]
    columns = columns or [pa.nulls(0, pa.string())] * fields.width
    columns.append(pa.array(lines, pa.int64()))
    if len(schema) > len(columns):
        columns.append(pa.array(positions, pa.int64()))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def flatten_batch(batch: pa.RecordBatch, fields: Fields, schema: pa.Schema) -> pa.RecordBatch:
    """A batch of delimited records, whose last column is the line, as a batch of the schema."""
    names = batch.schema.names[:-1]
    *columns, lines = (column.to_pylist() for column in batch.columns)
    rows = zip(*columns, strict=True) if columns else iter([()] * len(lines))
    return flatten([(line, dict(zip(names, row, strict=True))) for line, row in zip(lines, rows, strict=True)],
                   fields, schema)  # fmt: skip
