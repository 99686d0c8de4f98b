"""Records as nested values to flat columns of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import ConfigError
from ecom_analytics.reading.paths import Step, as_text, decode, split_path, walk

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 32_768
"""Rows of a batch, give or take the products of a record."""

_NOTHING: tuple[Any, ...] = (None, "", "[]", "{}", [], {})


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
    names : mapping of str to sequence of str, optional
        Top-level names of the paths that go by other names in the records: the first that holds something counts.

    Attributes
    ----------
    tops : list of str
        The top-level names that the paths begin with, as they are in the records.

    Examples
    --------
    >>> Fields({"sku": "items[].id", "at": "time"}, "items").tops
    ['items', 'time']
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        each: str | None = None,
        flat: bool = False,
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.names = dict(names or {})
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
        tops = [*([self.each[0]] if self.each else []), *(name for _, name, _ in self.of_record)]
        self.tops = list(dict.fromkeys(name for top in tops for name in self.names.get(top, (top,))))

    def name(self, record: dict[str, Any]) -> None:
        """Put what goes by several names under the one that the paths begin with.

        Examples
        --------
        >>> record = {"items_1": [], "items_2": [{"id": "7"}]}
        >>> Fields({"id": "items[0].id"}, names={"items": ("items_1", "items_2")}).name(record)
        >>> record["items"]
        [{'id': '7'}]
        """
        for name, others in self.names.items():
            record[name] = next((record[other] for other in others if record.get(other) not in _NOTHING), None)

    def items(self, record: Mapping[str, Any]) -> list[Any]:
        """The elements that make a row each; none where the record makes one row, as one without an object does."""
        if self.each is None:
            return []
        value = walk(record.get(self.each[0]), self.each[1])
        if isinstance(value, str):
            value = decode(value)
        if not isinstance(value, list) or not any(isinstance(item, dict) for item in value):
            return []
        return value


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


class Columns:
    """Columns of text that records are appended to; one batch at a time."""

    def __init__(self, fields: Fields, schema: pa.Schema) -> None:
        self._fields = fields
        self._schema = schema
        self._clear()

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: int, record: Mapping[str, Any]) -> None:
        """Append the rows of one record."""
        fields, columns = self._fields, self._columns
        items = fields.items(record) if fields.each else ()
        times = len(items) or 1
        for at, name, steps in fields.of_record:
            value = record.get(name)
            if steps and value is not None:
                value = walk(value, steps)
            text = (value or None) if value.__class__ is str else as_text(value)
            if times == 1:
                columns[at].append(text)
            else:
                columns[at].extend([text] * times)
        for at, steps in fields.of_item:
            columns[at].extend([as_text(walk(item, steps)) for item in items] or [None])
        if times == 1:
            self._lines.append(line)
            self._positions.append(1 if items else None)
        else:
            self._lines.extend([line] * times)
            self._positions.extend(range(1, times + 1))

    def take(self) -> pa.RecordBatch:
        """What was added since the last time, in the schema: the columns, the line, and the position if it has one."""
        import pyarrow as pa

        columns: list[Any] = [pa.array(column, pa.string()) for column in self._columns]
        columns.append(pa.array(self._lines, pa.int64()))
        if len(self._schema) > len(columns):
            columns.append(pa.array(self._positions, pa.int64()))
        self._clear()
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _clear(self) -> None:
        self._columns: list[list[str | None]] = [[] for _ in range(self._fields.width)]
        self._lines: list[int] = []
        self._positions: list[int | None] = []


def flatten(
    records: Iterable[tuple[int, dict[str, Any]]], fields: Fields, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Records as batches of the schema."""
    columns = Columns(fields, schema)
    for line, record in records:
        if fields.names:
            fields.name(record)
        columns.add(line, record)
        if len(columns) >= ROWS:
            yield columns.take()
    if len(columns):
        yield columns.take()


def records_of(batch: pa.RecordBatch) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a batch of delimited text, whose last column is the line."""
    names = batch.schema.names[:-1]
    *columns, lines = (column.to_pylist() for column in batch.columns)
    rows = zip(*columns, strict=True) if columns else iter([()] * len(lines))
    for line, row in zip(lines, rows, strict=True):
        yield line, dict(zip(names, row, strict=True))
