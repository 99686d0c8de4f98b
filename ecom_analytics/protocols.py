"""What a plug-in must offer. Protocols, not base classes: a plug-in need not import this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

    from ecom_analytics.reports import Notice


@dataclass(frozen=True, slots=True)
class Layout:
    """How the bytes of a file are cut into records. Compression is no part of it: the bytes themselves tell.

    Attributes
    ----------
    kind : str
        ``delimited``, ``json_lines`` or ``parquet``.
    delimiter : str
        One ASCII character; of a delimited file.
    encoding : str
        A Python codec; of a delimited file or JSON Lines.
    columns : tuple of str or None
        Names of the columns of a delimited file without a header; None if its first line names them.
    """

    kind: Literal["delimited", "json_lines", "parquet"] = "delimited"
    delimiter: str = ","
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What differs from a comma-separated UTF-8 file with a header, in types that JSON knows.

        Examples
        --------
        >>> Layout(delimiter=";").to_dict()
        {'delimiter': ';'}
        """
        values = {
            "kind": self.kind,
            "delimiter": self.delimiter,
            "encoding": self.encoding,
            "columns": self.columns and list(self.columns),
        }
        usual = {"kind": "delimited", "delimiter": ",", "encoding": "utf-8", "columns": None}
        return {key: value for key, value in values.items() if value != usual[key]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Layout:
        """The layout that :meth:`to_dict` told of."""
        columns = values.get("columns")
        return cls(**{**values, "columns": None if columns is None else tuple(columns)})


@dataclass(frozen=True, slots=True)
class RawFile:
    """One batch in the raw zone, as a source format sees it.

    Attributes
    ----------
    batch_id : str
        SHA-256 of its bytes.
    source : str
    path : str
        A local path to its bytes.
    name : str
        Name under which it was ingested.
    layout : Layout
    """

    batch_id: str
    source: str
    path: str
    name: str
    layout: Layout = Layout()


@runtime_checkable
class Storage(Protocol):
    """Named bytes below one address. Names are relative, with ``/`` between their parts."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """Names that begin with ``prefix``, sorted."""

    def exists(self, name: str) -> bool: ...

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Read the bytes of ``name``; :class:`FileNotFoundError` if there are none."""

    def create(self, name: str, *, if_absent: bool = True) -> AbstractContextManager[BinaryIO]:
        """Write the bytes of ``name``.

        They appear, whole, only if the block ends cleanly. With ``if_absent`` (the default) they appear only if the
        name is free then: :class:`FileExistsError` otherwise. Without it they replace what was there, at once.
        """

    def delete(self, name: str) -> None:
        """Remove ``name`` if it is there."""

    def uri(self, name: str = "") -> str:
        """The absolute address of ``name``: a path, or ``s3://bucket/key``."""


class Content(Protocol):
    """Bytes that can be read in any order, by several threads."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, size: int) -> bytes:
        """So many bytes, or an error; never fewer."""

    def check(self) -> None:
        """Raise :class:`~ecom_analytics.errors.InputError` if they are no longer what they were."""


@runtime_checkable
class SourceFormat(Protocol):
    """How a file of raw events looks, and what its rows mean."""

    name: str
    capabilities: frozenset[str]
    """The canonical columns beyond the required ones that this format can fill."""

    def detect(self, sample: bytes) -> float:
        """How sure this format is, 0 to 1, that a file beginning with ``sample`` (64 kB, decompressed) is its own."""

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        """Raw text columns of all records, with ``batch_id``, ``source`` and ``source_line``.

        Lines are counted from 1, and so is ``source_item``, where a record makes several rows.
        """

    def to_events(self, raw: ir.Table) -> ir.Table:
        """The canonical columns that the format can fill, plus ``reject_rule`` and ``reject_message``.

        Both are NULL for a good row. ``batch_id``, ``source`` and ``source_line`` are passed through; ``event_date``
        and ``session_start`` are staging's. A good row has a time from 1990 to 2099, a known type, a visitor, and no
        number below zero: what is given back is an event of the type ``refund`` or ``remove_from_cart``.
        """


@runtime_checkable
class ProductFormat(Protocol):
    """How a file about products looks. Its rows go to the staged table ``products``, never among the events."""

    name: str
    kind: Literal["products"]
    capabilities: frozenset[str]
    """The columns of ``products`` (see :mod:`ecom_analytics.catalogue`) that this format can fill."""

    def detect(self, sample: bytes) -> float:
        """As of a :class:`SourceFormat`."""

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        """As of a :class:`SourceFormat`."""

    def to_products(self, raw: ir.Table) -> ir.Table:
        """The columns of ``products`` that the format can fill, plus ``reject_rule`` and ``reject_message``.

        A row holds since ``valid_from`` (UTC, without a zone), or always. A NULL says nothing about the product.
        ``batch_id``, ``source`` and ``source_line`` are passed through.
        """


@runtime_checkable
class CategoryFormat(Protocol):
    """How a file of categories looks. Its rows go to the staged table ``categories``."""

    name: str
    kind: Literal["categories"]
    capabilities: frozenset[str]
    """The columns of ``categories`` that this format can fill."""

    def detect(self, sample: bytes) -> float:
        """As of a :class:`SourceFormat`."""

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        """As of a :class:`SourceFormat`."""

    def to_categories(self, raw: ir.Table) -> ir.Table:
        """As :meth:`ProductFormat.to_products`, for the columns of ``categories``."""


@runtime_checkable
class Engine(Protocol):
    """One connection for Ibis, and what differs between engines behind it."""

    name: str

    def read_delimited(
        self,
        files: Sequence[RawFile],
        columns: Sequence[str] | Mapping[str, str],
        *,
        optional: Sequence[str] = (),
    ) -> ir.Table:
        """Text columns by name, in the order given, plus ``batch_id``, ``source``, ``source_line``.

        A mapping gives each column of the table the name that it has in the files. Column order in the file does not
        matter; an empty field is NULL; an ``optional`` column that the file lacks is NULL. Records that cannot be split
        go to the rejects. JSON Lines and Parquet files of flat columns are read too.
        """

    def read_nested(
        self,
        files: Sequence[RawFile],
        fields: Mapping[str, str],
        *,
        each: str | None = None,
        required: Sequence[str] = (),
        names: Mapping[str, Sequence[str]] | None = None,
    ) -> ir.Table:
        """Text columns by path (see :mod:`ecom_analytics.reading.paths`), with ``source_item`` beside the others.

        With ``each``, the path of a list, every element of that list makes a row, and ``source_item`` is its position
        from 1; a record without any makes one row, where it is NULL. A field that begins with ``each`` and ``[].`` is
        looked up in the element. ``required`` are top-level columns that a file with a header or schema must have.
        ``names`` are the other names that a top-level one goes by: the first that holds something counts.
        """

    def timestamp_from_millis(self, column: ir.IntegerColumn) -> ir.TimestampColumn:
        """Milliseconds since 1970 as a UTC timestamp without a zone, to the microsecond."""

    def timestamp_from_micros(self, column: ir.IntegerColumn) -> ir.TimestampColumn:
        """Microseconds since 1970 as a UTC timestamp without a zone."""

    def timestamp_from_text(self, column: ir.StringColumn) -> ir.TimestampColumn:
        """ISO 8601 text as a UTC timestamp without a zone; without an offset it is UTC; NULL if it is no time."""

    def timestamp_from_local(self, column: ir.TimestampColumn, timezone: str) -> ir.TimestampColumn:
        """The time that clocks showed in an IANA time zone, as UTC; both are timestamps without a zone.

        Of a time that occurred twice, when clocks were set back, it is the first; one that did not occur, when clocks
        were set forward, is NULL.
        """

    def local_date(self, column: ir.TimestampColumn, timezone: str) -> ir.DateColumn:
        """The day of a UTC timestamp without a zone, in an IANA time zone."""


@runtime_checkable
class ExportFormat(Protocol):
    """Writes rows to one file.

    It may have a class method ``from_settings(settings)``, which makes it as the settings say, and a text ``version``
    that changes with what it would write of the same rows: files of another version are written again.
    """

    name: str
    extension: str

    def write(self, rows: pa.RecordBatchReader, to: BinaryIO) -> int:
        """Write all rows; how many there were."""


@dataclass(frozen=True, slots=True)
class Copying:
    """How DuckDB's own ``COPY (query) TO file (options)`` writes the file of a format.

    Attributes
    ----------
    query : str
    options : str
    head : bytes
        What the file begins with, before that.
    can_partition : bool
        DuckDB knows the option ``PARTITION_BY`` of this format, and can write the files of several months at once.
    """

    query: str
    options: str
    head: bytes = b""
    can_partition: bool = False


@runtime_checkable
class CopiedFormat(ExportFormat, Protocol):
    """An export format whose files DuckDB writes, which is faster than row by row."""

    def copying(self, query: str, schema: pa.Schema) -> Copying:
        """How to write the rows of a query in DuckDB's SQL, whose columns are those of the schema."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of a table.

    Attributes
    ----------
    path : str
        Its name below the table's address.
    rows, bytes : int
    """

    path: str
    rows: int
    bytes: int


@runtime_checkable
class TableFormat(ExportFormat, Protocol):
    """An export format whose files are parts of a table with versions, such as Delta: one table for each mart.

    Its files are written first, below the table's address, under names that are never used again; then they are
    committed.
    """

    def state(self, address: str, options: Mapping[str, str]) -> tuple[int, frozenset[str]] | None:
        """Version and files of the table's newest version; None if there is no table.

        ``options`` say how an address on S3 is reached, as ``deltalake`` takes them.
        """

    def commit(
        self,
        address: str,
        options: Mapping[str, str],
        files: Sequence[TableFile],
        schema: pa.Schema,
        base: int | None,
    ) -> int:
        """Let the table be these files; its new version.

        ``base`` is the version that was read, None if there was no table. If another writer made a newer one since:
        :class:`FileExistsError`, and nothing is changed.
        """


@runtime_checkable
class Panel(Protocol):
    """One panel of the dashboard. It returns rows, never HTML.

    It may also have ``page`` (``overview`` by default), ``width`` (of twelve columns; 6), ``order`` (its place on the
    page; 100, after ours) and ``description`` (what its title does not say).
    """

    name: str
    """Lower case letters, digits and ``_``; a part of addresses."""

    title: str
    chart: str
    """``line``, ``bars`` or ``table``: the first column is the axis, the second one what is drawn."""

    requires: Sequence[str]
    """The public marts that its query reads."""

    def query(self, marts: Any, filters: Any) -> dict[str, Any]:
        """The rows to show.

        Parameters
        ----------
        marts : object
            ``marts.rows(sql, values)`` asks the served build: a list of dicts.
        filters : object
            What the page lets through: ``start``, ``end``, ``compare_start``, ``compare_end``, ``grain``, ``zone``,
            and ``relation(mart, *dimensions)``, whose ``sql`` stands after FROM and whose ``values`` are parameters.
            A panel that reads a mart by its own name shows the whole to who may see a part only.

        Returns
        -------
        dict
            ``rows``, a list of dicts; ``columns``, each ``name``, ``label``, ``type`` (``text``, ``day``, ``time``,
            ``whole``, ``number`` or ``flag``) and ``unit`` (``count``, ``money``, ``ratio`` or nothing); ``reason``, if
            these data cannot tell it.
        """


@runtime_checkable
class Hook(Protocol):
    """Is told what somebody should know: a function, or an object that can be called.

    A class may have a class method ``from_settings(settings)``, which makes it. What it raises is logged, and stops
    nothing.
    """

    def __call__(self, notice: Notice) -> None:
        """Tell someone."""


@runtime_checkable
class EventRule(Protocol):
    """A rule that canonical events are held to, after those of their format and those of the settings.

    It may have a ``version``: when that changes, ``rejected --replay`` reads again what was staged before.
    """

    name: str
    severity: Literal["reject", "warn", "off"]
    message: str
    """For a person; one sentence."""

    def condition(self, events: ir.Table) -> ir.BooleanValue:
        """Whether an event breaks the rule; NULL if not.

        ``events`` has all canonical columns that are no later computation: those of what happened (NULL where the
        format cannot fill them, times as UTC without a zone), ``source``, ``batch_id`` and ``source_line``. Only what
        one row says may count, or staging would depend on the order of arrival.
        """
