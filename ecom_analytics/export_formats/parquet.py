"""Rows as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa


class Parquet:
    """Parquet, compressed with zstd; each batch of rows is a row group."""

    name = "parquet"
    extension = "parquet"

    def write(self, rows: pa.RecordBatchReader, to: BinaryIO) -> int:
        """Write all rows; how many there were.

        Examples
        --------
        >>> import io, pyarrow as pa, pyarrow.parquet as pq
        >>> table, to = pa.table({"visitors": [7]}), io.BytesIO()
        >>> Parquet().write(table.to_reader(), to)
        1
        >>> pq.read_table(io.BytesIO(to.getvalue())).to_pylist()
        [{'visitors': 7}]
        """
        import pyarrow.parquet as pq

        written = 0
        with pq.ParquetWriter(to, rows.schema, compression="zstd") as writer:
            for batch in rows:
                if batch.num_rows:
                    writer.write_batch(batch)
                    written += batch.num_rows
        return written
