"""The block reader on files that others collected because they hurt."""

from __future__ import annotations

import json
from pathlib import Path

import delimited_oracle as oracle
import pytest
from comparing import assert_as_the_oracle_says, read_all

from ecom_analytics.reading import DelimitedReader, open_decompressed

FOLDERS = ["csv_spectrum", "nasty_agate", "nasty_csvkit", "nasty_frictionless", "snowplow_ecommerce", "snowplow_web"]
SPECTRUM = [
    "comma_in_quotes",
    "empty",
    "empty_crlf",
    "escaped_quotes",
    "json",
    "location_coordinates",
    "newlines",
    "newlines_crlf",
    "quotes_and_newlines",
    "simple",
    "simple_crlf",
    "utf8",
]


@pytest.mark.parametrize("name", SPECTRUM)
@pytest.mark.parametrize("block_bytes", [1, 8 << 20])
def test_csv_spectrum_has_the_right_answers(shared_data: Path, name: str, block_bytes: int) -> None:
    data = (shared_data / "csv_spectrum" / "csvs" / f"{name}.csv").read_bytes()
    answer = json.loads((shared_data / "csv_spectrum" / "json" / f"{name}.json").read_text())
    reader, rows = read_all(data, block_bytes=block_bytes)
    got = [dict(zip(reader.header, [value or "" for value in fields], strict=True)) for _, fields in rows]
    if name == "location_coordinates":  # the answer has another number than the file, and is no list
        answer = [{**answer, "Contact Phone Number": "2095257564"}]
    assert got == answer
    assert not reader.bad


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("block_bytes", [1000, 8 << 20])
def test_every_file_reads_as_the_oracle_says(shared_data: Path, folder: str, block_bytes: int) -> None:
    paths = sorted((shared_data / folder).rglob("*.[ct]sv"))
    assert paths
    for path in paths:
        data = path.read_bytes()[:20_000]
        assert_as_the_oracle_says(data, block_bytes=block_bytes, delimiter="\t" if path.suffix == ".tsv" else ",")


@pytest.mark.parametrize(
    "name", ["retailrocket_real_sample/events.csv", "retailrocket_category_tree/category_tree.csv"]
)
def test_real_files_are_read_whole(shared_data: Path, name: str) -> None:
    with open_decompressed(shared_data / name) as stream:
        reader = DelimitedReader(stream, [])
        rows = sum(batch.num_rows for batch in reader)
    lines = oracle.physical_lines((shared_data / name).read_bytes())
    assert (rows, reader.rejected, reader.blank) == (len(lines) - 1, 0, 0)
