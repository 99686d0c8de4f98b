"""The contract of a source format of events, as tests to inherit.

Examples
--------
.. code-block:: python

    class TestMyFormat(SourceFormatContract):
        good = b"when,who,what\\n2026-01-05T10:00:00Z,v1,look\\n"
        bad = {b"when,who,what\\nnever,v1,look\\n": "bad_timestamp"}

        @pytest.fixture
        def source_format(self):
            return MyFormat()
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ecom_analytics.config import Settings
from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.events import COLUMNS, EVENT_TYPES
from ecom_analytics.protocols import Layout, RawFile, SourceFormat
from ecom_analytics.reading.sample import as_sample
from ecom_analytics.source_formats.common import FIRST, LAST

BATCH = "b" * 64
_TYPES = {"text": "string", "decimal": "decimal(18, 4)", "timestamp": "timestamp(6)", "integer": "int64"}
_REQUIRED = {"event_ts", "event_type", "visitor_id"}
_ORIGIN = {"source", "batch_id", "source_line"}
_AMOUNTS = {column.name for column in COLUMNS if column.type == "decimal"}


class SourceFormatContract:
    """What every source format of events must do. Override ``source_format``, :attr:`good` and :attr:`bad`."""

    good: ClassVar[bytes]
    """A small file, every record of which is good."""

    bad: ClassVar[Mapping[bytes, str]]
    """Files with exactly one bad record each, and the rule that it breaks."""

    @pytest.fixture
    def source_format(self) -> SourceFormat:
        raise NotImplementedError("override the fixture 'source_format'")

    def layout(self, source_format: SourceFormat, data: bytes) -> Layout:
        """How the file is cut into records: what is seen in it, unless the format says otherwise."""
        sample = as_sample(data)
        decide = getattr(source_format, "layout", None)
        return decide(sample) if decide else sample.layout

    @pytest.fixture
    def events(self, source_format: SourceFormat, tmp_path: Path) -> Any:
        """Reads bytes through the format; its rows, as dicts, and how many records could not even be split."""

        def read(data: bytes) -> tuple[list[dict[str, Any]], list[str], Any]:
            path = tmp_path / "file"
            path.write_bytes(data)
            file = RawFile(BATCH, "shop", str(path), "file", self.layout(source_format, data))
            unsplit: list[str] = []
            with DuckDBEngine(Settings(home=tmp_path), tmp_path) as engine:
                engine.reading.on_bad = lambda _, record: unsplit.append(record.rule)
                table = source_format.to_events(source_format.read(engine, [file]))
                cursor = engine.execute(engine.backend.compile(table)).to_arrow_table()
                return cursor.to_pylist(), unsplit, table.schema()

        return read

    def test_keeps_the_protocol(self, source_format: SourceFormat) -> None:
        assert isinstance(source_format, SourceFormat)
        assert source_format.name == source_format.name.lower() != ""

    def test_capabilities_are_optional_columns_of_the_canonical_event(self, source_format: SourceFormat) -> None:
        assert source_format.capabilities <= {column.name for column in COLUMNS if not column.required}

    def test_knows_its_own_files_and_no_others(self, source_format: SourceFormat) -> None:
        sure = source_format.detect(self.good)
        assert 0 <= sure <= 1
        for other in (b"", b"\n", b"some words\n", b"a,b,c\n1,2,3\n", b"{}\n", b"\x00\xff\xfe" * 50):
            assert source_format.detect(other) == 0

    def test_a_good_record_has_all_that_is_required(self, source_format: SourceFormat, events: Any) -> None:
        rows, unsplit, _ = events(self.good)
        assert rows
        assert unsplit == []
        for row in rows:
            assert (row["reject_rule"], row["reject_message"]) == (None, None)
            assert all(row[name] is not None for name in _REQUIRED | _ORIGIN)
            assert row["event_type"] in EVENT_TYPES
            assert FIRST <= row["event_ts"].replace(tzinfo=UTC) < LAST
            assert all(row[name] is None or row[name] >= 0 for name in _AMOUNTS & row.keys())
            assert row.get("source_item") is None or row["source_item"] >= 1
            assert (row["source"], row["batch_id"]) == ("shop", BATCH)

    def test_gives_the_columns_that_it_says_in_their_types(self, source_format: SourceFormat, events: Any) -> None:
        _, _, schema = events(self.good)
        assert set(schema.names) == {*_REQUIRED, *_ORIGIN, *source_format.capabilities, "reject_rule", "reject_message"}
        kinds = {column.name: column.type for column in COLUMNS}
        for name in {*_REQUIRED, *source_format.capabilities}:
            assert str(schema[name].copy(nullable=True)) == _TYPES[kinds[name]], name

    def test_lines_are_those_of_the_file(self, source_format: SourceFormat, events: Any) -> None:
        rows, _, _ = events(self.good)
        lines = self.good.count(b"\n") + (not self.good.endswith(b"\n"))
        assert all(1 <= row["source_line"] <= lines for row in rows if not self.good.startswith(b"PAR1"))

    def test_a_bad_record_is_told_with_the_rule_that_it_breaks(self, source_format: SourceFormat, events: Any) -> None:
        for data, rule in self.bad.items():
            rows, unsplit, _ = events(data)
            broken = [row for row in rows if row["reject_rule"] is not None]
            assert [row["reject_rule"] for row in broken] + unsplit == [rule]
            assert all(row["reject_message"] for row in broken)

    def test_reads_several_files(self, source_format: SourceFormat, tmp_path: Path) -> None:
        files = []
        for number in (1, 2):
            path = tmp_path / f"file-{number}"
            path.write_bytes(self.good)
            layout = self.layout(source_format, self.good)
            files.append(RawFile(str(number) * 64, "shop", str(path), path.name, layout))
        with DuckDBEngine(Settings(home=tmp_path), tmp_path) as engine:
            table = source_format.to_events(source_format.read(engine, files))
            found = engine.execute(engine.backend.compile(table)).to_arrow_table().column("batch_id").to_pylist()
        assert found.count("1" * 64) == found.count("2" * 64) == len(found) // 2 > 0
