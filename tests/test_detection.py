"""What ``ingest`` takes files for, how it tells of differences, and what of that reaches staging."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecom_analytics import Ingestor, Settings, Stager, plugins
from ecom_analytics.errors import ConfigError, EmptyFileError, InputError, UnknownFormatError
from ecom_analytics.ingest import judge
from ecom_analytics.lake import batches
from ecom_analytics.protocols import Layout
from ecom_analytics.staging import rejected
from ecom_analytics.storages import open_storage

pytest_plugins = ["s3_server"]

HEADER = ["timestamp", "visitorid", "event", "itemid", "transactionid"]
ROWS = [
    ["1433221332117", "7", "view", "355908", ""],
    ["1433221332119", "8", "addtocart", "355908", ""],
    ["1433307732117", "7", "transaction", "355908", "12"],
]


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", threads=1)


def text(rows: list[list[str]], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


def drop(folder: Path, data: bytes, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def details(settings: Settings) -> list[dict[str, Any]]:
    return [batch.details for batch in batches(open_storage(settings.lake, settings))]


def staged(settings: Settings) -> list[tuple[Any, ...]]:
    """The staged events, without what tells where they were read."""
    from deltalake import DeltaTable

    Stager(settings).stage()
    table = DeltaTable(Path(settings.lake) / "staged" / "events").to_pyarrow_table()
    names = ["event_ts", "event_type", "visitor_id", "product_id", "transaction_id"]
    return sorted(zip(*(map(str, table[name].to_pylist()) for name in names), strict=True))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    folder = tmp_path_factory.mktemp("plain")
    settings = Settings(home=folder / "home", threads=1)
    Ingestor(settings).ingest(drop(folder, text([HEADER, *ROWS]).encode()))
    rows = staged(settings)
    assert len(rows) == 3
    return rows


def parquet(folder: Path) -> bytes:
    columns = {name: [row[at] or None for row in ROWS] for at, name in enumerate(HEADER)}
    pq.write_table(pa.table(columns), folder / "x.parquet")
    return (folder / "x.parquet").read_bytes()


VARIANTS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "semicolon": (text([HEADER, *ROWS], ";").encode(), {"delimiter": ";"}),
    "tab, CRLF": (text([HEADER, *ROWS], "\t", "\r\n").encode(), {"delimiter": "\t"}),
    "mark": (b"\xef\xbb\xbf" + text([HEADER, *ROWS]).encode(), {}),
    "UTF-16": (text([HEADER, *ROWS], "|").encode("utf-16"), {"delimiter": "|", "encoding": "utf-16-le"}),
    "UTF-16 BE without mark": (text([HEADER, *ROWS]).encode("utf-16-be"), {"encoding": "utf-16-be"}),
    "no header": (text(ROWS).encode(), {"columns": HEADER}),
    "no header, tab": (text(ROWS, "\t").encode(), {"columns": HEADER, "delimiter": "\t"}),
    "columns in another order": (text([[*row[::-1], "new"] for row in [HEADER, *ROWS]]).encode(), {}),
    "gzip": (gzip.compress(text([HEADER, *ROWS], ";").encode()), {"delimiter": ";"}),
    "zstd": (pa.compress(text([HEADER, *ROWS]).encode("utf-16"), codec="zstd", asbytes=True),
             {"encoding": "utf-16-le"}),
    "JSON Lines": ("".join(json.dumps(dict(zip(HEADER, row, strict=True))) + "\n" for row in ROWS).encode(),
                   {"kind": "json_lines"}),
}  # fmt: skip


@pytest.mark.parametrize("name", [*VARIANTS, "Parquet"])
def test_one_event_is_the_same_in_every_layout(home: Settings, tmp_path: Path, name: str, expected: Any) -> None:
    data, layout = VARIANTS[name] if name in VARIANTS else (parquet(tmp_path), {"kind": "parquet"})
    path = drop(tmp_path, data, "events.bin")
    seen = Ingestor(home).explain(path)[0]
    Ingestor(home).ingest(path)
    assert details(home) == ([{"layout": layout}] if layout else [{}])
    assert staged(home) == expected
    assert (seen.source_format, seen.problem, seen.records, len(seen.events)) == ("retailrocket", "", 3, 3)
    assert seen.new_columns == (("new",) if "order" in name else ())
    assert [event["product_id"] for event in seen.events] == ["355908"] * 3


def test_latin_1_by_choice(home: Settings, tmp_path: Path) -> None:
    header = "event_ts,event_type,visitor_id,brand\n"
    path = drop(tmp_path, (header + "2024-01-01T00:00:00Z,view,7,Märklin\n").encode("latin-1"))
    seen = Ingestor(home).explain(path)[0]
    assert [reject.rule for reject in seen.rejected] == ["bad_encoding"]
    assert "choose the encoding" in seen.notes[0]
    chosen = Settings(**{**home.model_dump(), "encoding": "latin-1"})
    assert Ingestor(chosen).explain(path)[0].events[0]["brand"] == "Märklin"
    report = Ingestor(chosen).ingest(path)
    assert report.batches[0].notes == ()
    assert Stager(home).stage().staged == 1  # the batch's record knows the encoding, not the settings
    assert details(home) == [{"layout": {"encoding": "iso8859-1"}}]


def test_the_first_record_of_the_same_bytes_stays(home: Settings, tmp_path: Path) -> None:
    path = drop(tmp_path, text([HEADER, *ROWS]).encode())
    Ingestor(home).ingest(path)
    report = Ingestor(Settings(**{**home.model_dump(), "encoding": "latin-1"})).ingest(path)
    assert (report.new, details(home)) == (0, [{}])


@pytest.mark.parametrize("header", ["yes", "no"])
def test_the_header_by_choice(home: Settings, tmp_path: Path, header: str) -> None:
    path = drop(tmp_path, text(ROWS).encode())
    chosen = Settings(**{**home.model_dump(), "header": header, "source_format": "retailrocket"})
    if header == "no":
        assert Ingestor(chosen).ingest(path).new == 1
        assert Stager(home).stage().staged == 3
    else:
        with pytest.raises(InputError, match=r"there is no column 'timestamp'"):
            Ingestor(chosen).ingest(path)


def test_a_format_without_an_order_of_columns_needs_a_header(home: Settings, tmp_path: Path) -> None:
    chosen = Settings(**{**home.model_dump(), "header": "no", "source_format": "canonical"})
    with pytest.raises(ConfigError, match="does not say which columns"):
        Ingestor(chosen).ingest(drop(tmp_path, b"2024-01-01T00:00:00Z,view,7\n"))


def test_a_required_column_that_is_missing_refuses_the_file_by_name(home: Settings, tmp_path: Path) -> None:
    path = drop(tmp_path, text([row[:4] for row in [HEADER, *ROWS]]).encode())
    with pytest.raises(InputError, match=r"events\.csv' is not of the format retailrocket: .* 'transactionid'"):
        Ingestor(home).ingest(path, source_format="retailrocket")
    with pytest.raises(UnknownFormatError, match="of retailrocket it lacks the column transactionid"):
        Ingestor(home).ingest(path)
    lines = drop(tmp_path, b'{"timestamp": 1}\n', "events.jsonl")
    with pytest.raises(InputError, match="no object among the first has the key 'visitorid'"):
        Ingestor(home).ingest(lines, source_format="retailrocket")
    assert details(home) == []


def test_a_known_column_that_is_there_twice_refuses_the_file(home: Settings, tmp_path: Path) -> None:
    path = drop(tmp_path, text([[*row, row[0]] for row in [HEADER, *ROWS]]).encode())
    with pytest.raises(InputError, match=r"events\.csv' has the column 'timestamp' more than once"):
        Ingestor(home).ingest(path)


@pytest.mark.parametrize("damage", [b"\xff", b"\0"])
def test_a_header_that_cannot_be_read_refuses_the_file(home: Settings, tmp_path: Path, damage: bytes) -> None:
    data = text([HEADER]).encode().rstrip() + b",x" + damage + b"\n" + text([[*row, ""] for row in ROWS]).encode()
    with pytest.raises(InputError, match=r"the header of .*events\.csv' cannot be read"):
        Ingestor(home).ingest(drop(tmp_path, data))


class Expecting:
    """A format with an expected and an optional column."""

    name = "expecting"
    capabilities = frozenset({"price"})
    required = ("id",)
    expected = ("price", "brand")
    optional = ("colour",)

    def detect(self, sample: bytes) -> float:
        return 0.9 * (sample.splitlines()[0].split(b",")[0] == b"id")


@pytest.fixture
def expecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda kind: ["expecting"])
    monkeypatch.setattr(plugins, "load", lambda kind, name, load=plugins.load: Expecting
                        if kind == "source_formats" else load(kind, name))  # fmt: skip


@pytest.mark.usefixtures("expecting")
@pytest.mark.parametrize(
    ("header", "new", "missing"),
    [
        ("id,price,brand", (), ()),
        ("brand,price,id,colour", (), ()),
        ("id,brand,size,shape", ("size", "shape"), ("price",)),
        ("id,brand,size,size", ("size",), ("price",)),
    ],
)
def test_drift_is_told(home: Settings, tmp_path: Path, header: str, new: tuple[str, ...], missing: Any) -> None:
    path = drop(tmp_path, f"{header}\n1,2,3,4\n".encode())
    batch = Ingestor(home).ingest(path, source_format="expecting").batches[0]
    assert (batch.new_columns, batch.missing_columns) == (new, missing)


class Twin(Expecting):
    name = "twin"


def test_ambiguity_lists_the_candidates(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"expecting": Expecting, "twin": Twin}
    monkeypatch.setattr(plugins, "names", lambda kind: list(found))
    monkeypatch.setattr(plugins, "load", lambda kind, name: found[name])
    path = drop(tmp_path, b"id,x\n1,2\n")
    with pytest.raises(UnknownFormatError, match="may be of the formats expecting and twin") as caught:
        Ingestor(home).ingest(path)
    assert caught.value.facts["confidence"] == {"expecting": 0.9, "twin": 0.9}
    assert "0.9 each" in caught.value.message
    seen = Ingestor(home).explain(path)[0]
    assert seen.confidence == {"expecting": 0.9, "twin": 0.9}
    assert "may be of the formats" in seen.problem


def test_plug_ins_that_know_only_bytes_are_asked_with_utf_8(home: Settings, tmp_path: Path) -> None:
    seen: list[bytes] = []

    class Plain:
        name, capabilities = "plain", frozenset[str]()

        def detect(self, sample: bytes) -> float:
            seen.append(bytes(sample))
            return 1.0

    sample = judge.Sample(b"")
    assert judge.layout_of(sample, Plain()) == Layout()
    from ecom_analytics.ingest.look import look

    path = drop(tmp_path, gzip.compress("a;b\n1;é\n".encode("utf-16")))
    Plain().detect(look(path))
    assert seen == ["a;b\n1;é\n".encode()]


@pytest.mark.parametrize("data", [b'[{"timestamp": 1}]', b'{\n "timestamp": 1\n}\n'])
def test_other_json_is_refused_by_name_and_left_out_of_a_folder(home: Settings, tmp_path: Path, data: bytes) -> None:
    path = drop(tmp_path, data, "events.json")
    with pytest.raises(InputError, match=r"events\.json': it is .* not JSON Lines"):
        Ingestor(home).ingest(path)
    drop(tmp_path, text([HEADER, *ROWS]).encode())
    assert Ingestor(home).ingest(tmp_path).files == 1


def test_a_parquet_file_without_rows_is_empty_and_a_compressed_one_is_refused(home: Settings, tmp_path: Path) -> None:
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in HEADER}), tmp_path / "a.parquet")
    with pytest.raises(EmptyFileError):
        Ingestor(home).ingest(tmp_path / "a.parquet")
    path = drop(tmp_path, gzip.compress(parquet(tmp_path)), "b.parquet")
    with pytest.raises(InputError, match="Parquet file within gzip data"):
        Ingestor(home).ingest(path)
    path = drop(tmp_path, parquet(tmp_path)[:-20], "c.parquet")
    with pytest.raises(InputError, match=r"Parquet file cannot be read"):
        Ingestor(home).ingest(path)


@pytest.mark.parametrize("rows", [3, 20_000])
def test_a_truncated_file_is_told_at_ingest_and_staged_as_far_as_it_goes(
    home: Settings, tmp_path: Path, rows: int
) -> None:
    many = [[str(1433221332117 + n), str(n), "view", str(n * 7919 % 10_007), ""] for n in range(rows)]
    path = drop(tmp_path, gzip.compress(text([HEADER, *many]).encode())[:-20])
    report = Ingestor(home).ingest(path)
    assert "is cut short after" in report.batches[0].notes[0]
    stage = Stager(home).stage()
    assert stage.rejected_by_rule == {"truncated": 1}
    assert stage.records == stage.staged + 1
    assert 0 < stage.staged < rows
    found = rejected(home)[1][0]
    assert found["source_line"] == stage.staged + 2
    assert text(many).splitlines()[stage.staged].startswith(found["raw_text"])


@pytest.mark.parametrize("variant", ["semicolon", "tab, CRLF", "mark", "no header", "JSON Lines", "gzip"])
def test_days_of_any_layout(home: Settings, tmp_path: Path, variant: str, expected: Any) -> None:
    report = Ingestor(home).ingest(drop(tmp_path, VARIANTS[variant][0]), daily=True)
    assert [batch.name for batch in report.batches] == ["events-2015-06-02.csv", "events-2015-06-03.csv"]
    assert all(detail.get("layout", {}) == VARIANTS[variant][1] for detail in details(home))
    assert staged(home) == expected


@pytest.mark.parametrize("variant", ["UTF-16", "zstd", "Parquet"])
def test_what_cannot_be_cut_into_days_says_so(home: Settings, tmp_path: Path, variant: str) -> None:
    data = VARIANTS[variant][0] if variant in VARIANTS else parquet(tmp_path)
    with pytest.raises(InputError, match="cannot be cut into days"):
        Ingestor(home).ingest(drop(tmp_path, data), daily=True)
    assert details(home) == []


def test_explaining_writes_nothing_and_refuses_nothing(home: Settings, tmp_path: Path) -> None:
    bad = text([HEADER, ["x", "7", "view", "1", ""], *ROWS, ["1", "2"]]).encode()
    folder = tmp_path / "drops"
    folder.mkdir()
    drop(folder, bad, "a.csv")
    drop(folder, b"", "b.csv")
    drop(folder, b"nothing,known\n1,2\n", "c.csv")
    first, second, third = Ingestor(home).explain(folder, events=2)
    assert [(reject.line, reject.rule, reject.raw_text) for reject in first.rejected] == [
        (2, "bad_timestamp", "x,7,view,1,"),
        (6, "too_few_fields", "1,2"),
    ]
    assert (first.records, len(first.events), first.events[0]["source_line"]) == (5, 2, 3)
    assert "is empty" in second.problem
    assert third.confidence is not None
    assert set(third.confidence.values()) == {0.0}
    assert third.columns == ("nothing", "known")
    assert not home.home.exists()


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
@pytest.mark.parametrize("name", ["zstd", "JSON Lines", "Parquet"])
def test_objects_in_s3_are_looked_at_as_files_are(
    s3_endpoint: str, s3_bucket: str, tmp_path: Path, name: str, expected: Any
) -> None:
    import boto3

    data, layout = VARIANTS[name] if name in VARIANTS else (parquet(tmp_path), {"kind": "parquet"})
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    client.put_object(Bucket=s3_bucket, Key="drops/events", Body=data)
    chosen = Settings(home=tmp_path / "home", threads=1, s3_endpoint_url=s3_endpoint)
    seen = Ingestor(chosen).explain(f"s3://{s3_bucket}/drops/events")[0]
    assert (seen.problem, seen.records, len(seen.events)) == ("", 3, 3)
    Ingestor(chosen).ingest(f"s3://{s3_bucket}/drops/")
    assert details(chosen) == ([{"layout": layout}] if layout else [{}])
    assert staged(chosen) == expected
