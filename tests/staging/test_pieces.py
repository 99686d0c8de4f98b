"""A file cut into pieces, in any order, stages what the file does."""

from __future__ import annotations

import gzip
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.staging import rejected

HEADER = "event_ts,event_type,visitor_id,product_id,brand,unit_price\n"
RECORDS = [
    *(f'2024-03-{day:02}T0{hour}:{minute:02}:00Z,view,v{day % 3},p{minute},"Bra\nnd ""{hour}""",1.5\n'
      for day in (1, 2, 3) for hour in (0, 9) for minute in (0, 20)),
    "2024-03-01T00:00:00Z,view,v1,p0,x,1.5\n",
    "2024-03-01T00:00:00Z,view,v1,p0,x,1.5\n",
    "2024-03-01T00:10:00Z,purchase,v1,p0,x\n",
    "yesterday,view,v1,p0,x,1.5\n",
    "2024-03-02T00:10:00Z,view,v1,p0,é,1.5\n",
    "2024-03-02T00:10:00Z,view,v2,p0,Ж,many\n",
    "\n",
    '2024-03-02T00:10:00Z,view,v2,"p"0,Ж,1\n',
]  # fmt: skip


def staged(folder: Path, files: list[bytes]) -> dict[str, Any]:
    """Everything that staging says of the files, but for where it was read."""
    from deltalake import DeltaTable

    chosen = Settings(home=folder, threads=1)
    report = None
    for number, data in enumerate(files):
        path = folder.parent / f"{folder.name}-{number}.csv"
        path.write_bytes(data)
        Ingestor(chosen).ingest(path, source_format="canonical")
        if number % 2:
            report = Stager(chosen).stage()
    report = Stager(chosen).stage()
    events = DeltaTable(Path(chosen.lake) / "staged" / "events").to_pyarrow_table()
    rows = events.drop_columns(["batch_id", "source_line"]).to_pylist()
    _, rejects = rejected(chosen, limit=1000)
    return {
        "events": sorted(map(repr, rows)),
        "rejected": sorted((row["rule"], row["raw_text"], row["message"]) for row in rejects),
        "duplicates": report.duplicates,
        "blank": report.blank,
        "records": report.records,
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = staged(tmp_path_factory.mktemp("whole") / "home", [(HEADER + "".join(RECORDS)).encode()])
    assert (len(found["rejected"]), found["duplicates"], found["blank"]) == (4, 1, 1)
    return found


def packed(text: str, how: str) -> bytes:
    if how == "utf-16":
        return text.encode("utf-16")
    if how == "gzip":
        return gzip.compress(text.encode())
    if how == "zstd":
        return bytes(pa.compress(text.encode(), codec="zstd", asbytes=True))
    return text.replace("\n", "\r\n").encode() if how == "CRLF" else text.encode()


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.integers(1, len(RECORDS) - 1), min_size=1, max_size=4),
    st.lists(st.sampled_from(["", "utf-16", "gzip", "zstd"]), min_size=5, max_size=5),
    st.randoms(use_true_random=False),
)
def test_pieces_in_any_order_and_packing_stage_what_the_file_does(
    whole: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    cuts: set[int],
    packing: list[str],
    order: random.Random,
) -> None:
    bounds = [0, *sorted(cuts), len(RECORDS)]
    pieces = [HEADER + "".join(RECORDS[a:b]) for a, b in pairwise(bounds)]
    # A piece of nothing but the blank line is refused as empty: it goes with another.
    pieces = [piece for piece in pieces if piece.removeprefix(HEADER).strip()]
    order.shuffle(pieces)
    files = [packed(piece, how) for piece, how in zip(pieces, packing, strict=False)]
    found = staged(tmp_path_factory.mktemp("pieces") / "home", files)
    blank = sum(piece.removeprefix(HEADER).startswith("\n") or "\n\n" in piece for piece in pieces)
    assert {**found, "blank": 0, "records": 0} == {**whole, "blank": 0, "records": 0}
    assert (found["blank"], found["records"]) == (blank, whole["records"] - 1 + blank)
