"""Rows as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, BinaryIO

from ecom_analytics.errors import ExportError
from ecom_analytics.export_formats.copying import iso_time, literal, quoted, write_copied
from ecom_analytics.protocols import Copying

if TYPE_CHECKING:
    import pyarrow as pa

    from ecom_analytics.config import Settings

FORMULA = "=+-@\t\r\n"
"""A spreadsheet may take a cell for a formula that begins with one of these."""


class Csv:
    """CSV: comma, LF, UTF-8, a header, quotes as RFC 4180 has them.

    Text is quoted, so NULL (nothing) and empty text (``""``) stay apart. Times are ISO 8601 in UTC
    (``2015-06-02T05:02:12.117000Z``), decimals are exact. The usual options are for machines; each of the others
    changes what a spreadsheet shows.

    Parameters
    ----------
    bom : bool
        Begin with a byte order mark, by which spreadsheets tell UTF-8.
    escape_formulas : bool
        Put ``'`` before text that a spreadsheet would take for a formula: what begins with ``=``, ``+``, ``-``, ``@``,
        a tab or a line end. Numbers are no text: ``-7`` stays.
    null : str
        What stands for NULL, without quotes. Text of the same letters is quoted, so whoever looks at quotes still tells
        them apart. A spreadsheet does not: it shows NULL and empty text alike unless this is set.
    """

    name = "csv"
    extension = "csv"

    def __init__(self, *, bom: bool = False, escape_formulas: bool = False, null: str = "") -> None:
        self.bom = bom
        self.escape_formulas = escape_formulas
        self.null = null

    @classmethod
    def from_settings(cls, settings: Settings) -> Csv:
        return cls(bom=settings.csv_bom, escape_formulas=settings.csv_escape_formulas, null=settings.csv_null)

    @property
    def version(self) -> str:
        return f"bom={self.bom} escape_formulas={self.escape_formulas} null={self.null!r}"

    def copying(self, query: str, schema: pa.Schema) -> Copying:
        """How DuckDB writes it.

        Raises
        ------
        ExportError
            A column is nested or binary, which CSV cannot hold.
        """
        import pyarrow as pa

        columns, texts = [], []
        for field in schema:
            _refuse_nested(field)
            value, name = quoted(field.name), quoted(field.name)
            if pa.types.is_timestamp(field.type):
                value = iso_time(field.name, zone=bool(field.type.tz))
            elif self.escape_formulas and _is_text(field.type):
                value = f"CASE WHEN contains({_in_sql(FORMULA)}, left({name}, 1)) AND {name} <> '' THEN '''' || {name} "
                value += f"ELSE {name} END"
            if pa.types.is_timestamp(field.type) or _is_text(field.type):
                texts.append(name)
            columns.append(f"{value} AS {name}")
        options = f"FORMAT csv, HEADER false, NULLSTR {literal(self.null)}"
        if texts:
            options += f", FORCE_QUOTE ({', '.join(texts)})"
        head = b"\xef\xbb\xbf" if self.bom else b""
        head += self._header(schema.names)
        return Copying(f"SELECT {', '.join(columns)} FROM ({query})", options, head, can_partition=True)

    def write(self, rows: pa.RecordBatchReader, to: BinaryIO) -> int:
        """Write all rows; how many there were.

        Raises
        ------
        ExportError
            A column is nested or binary, which CSV cannot hold.

        Examples
        --------
        >>> import io, pyarrow as pa
        >>> to = io.BytesIO()
        >>> Csv().write(pa.table({"id": ["a", "", None], "visitors": [7, None, 9]}).to_reader(), to)
        3
        >>> to.getvalue().decode().splitlines()
        ['id,visitors', '"a",7', '"",', ',9']
        """
        return write_copied(self, rows, to)

    def _header(self, names: list[str]) -> bytes:
        line = io.StringIO(newline="")
        if self.escape_formulas:
            names = [f"'{name}" if name[:1] in FORMULA else name for name in names]
        csv.writer(line, lineterminator="\n").writerow(names)
        return line.getvalue().encode()


def _in_sql(characters: str) -> str:
    return " || ".join(f"chr({ord(character)})" for character in characters)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _refuse_nested(field: pa.Field) -> None:
    import pyarrow as pa

    if pa.types.is_nested(field.type) or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
        raise ExportError(
            f"the column {field.name!r} of type {field.type} cannot be written as CSV",
            hint="export it as Parquet",
            column=field.name,
        )
