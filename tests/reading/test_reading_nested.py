"""Files of every layout give the same rows: delimited with JSON cells, JSON Lines, Parquet."""

import csv
import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecom_analytics.errors import ConfigError, InputError
from ecom_analytics.protocols import Layout, RawFile
from ecom_analytics.reading import ReadCounts, Request, raw_text, read_file
from ecom_analytics.reading.paths import Number, as_text, split_path, walk

FIELDS = {
    "at": "time",
    "page": "params[key=page].value.*",
    "sku": "items[].id",
    "price": "items[].price",
    "order": "order.id",
}
ORDERS = [
    {
        "time": 1433221332117,
        "params": [{"key": "page", "value": {"text": None, "number": 7}}],
        "items": [{"id": "a", "price": 1.5}, {"id": "9007199254740993", "price": None}],
        "order": {"id": "x1"},
    },
    {"time": 1433221332118, "params": [], "items": [], "order": None},
]
ROWS = [
    ("1433221332117", "7", "a", "1.5", "x1", 1),
    ("1433221332117", "7", "9007199254740993", None, "x1", 2),
    ("1433221332118", None, None, None, None, None),
]


def read(path, layout, fields=FIELDS, each="items", **options):
    bad, counts = [], ReadCounts()
    file = RawFile("b" * 64, "shop", str(path), path.name, layout)
    request = Request(fields, each, **options)
    batches = list(read_file(file, request, counts, max_record_lines=100, on_bad=bad.append))
    rows = [row for batch in batches for row in batch.to_pylist()]
    return rows, bad, counts, file


def values(rows, fields=FIELDS):
    return [tuple(row[name] for name in [*fields, "source_item"]) for row in rows]


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(order) + "\n" for order in ORDERS))
    rows, bad, counts, _ = read(path, Layout("json_lines"))
    assert values(rows) == ROWS
    assert [row["source_line"] for row in rows] == [1, 1, 2]
    assert (bad, counts.records, counts.blank) == ([], 3, 0)


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ORDERS), path)
    rows, bad, counts, file = read(path, Layout("parquet"))
    assert values(rows) == ROWS
    assert [row["source_line"] for row in rows] == [1, 1, 2]
    assert (bad, counts.records) == ([], 3)
    assert json.loads(raw_text(file, [2], max_record_lines=1)[2])["time"] == 1433221332118


def test_delimited_with_json_in_cells(tmp_path):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(ORDERS[0])
    writer.writerows([[json.dumps(value) for value in order.values()] for order in ORDERS])
    path = tmp_path / "a.csv"
    path.write_text(out.getvalue())
    rows, _, counts, _ = read(path, Layout())
    assert values(rows) == ROWS
    assert [row["source_line"] for row in rows] == [2, 2, 3]
    assert counts.records == 3


@pytest.mark.parametrize("kind", ["json_lines", "delimited"])
def test_a_column_that_goes_by_several_names(kind, tmp_path):
    item = '[{"id": "a", "price": 1.5}]'
    cells = [(item, ""), ("[]", item), ("", ""), ("[]", "")]
    path = tmp_path / "a"
    if kind == "json_lines":
        lines = [{"v1": json.loads(a or "null"), "v2": json.loads(b or "null")} for a, b in cells]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("v1", "v2"), *cells])
    fields = {"sku": "things[].id", "price": "things[0].price"}
    rows, bad, _, _ = read(path, Layout(kind), fields, each="things", names={"things": ("v0", "v1", "v2")})
    assert values(rows, fields) == [("a", "1.5", 1), ("a", "1.5", 1), (None, None, None), (None, None, None)]
    assert bad == []


def test_every_line_of_json_lines_has_an_answer(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        b'{"id": 1}',
        b"",
        b"{",
        b"[1]",
        b'{"id": "\xff"}',
        b" \t\r",
        b'{"id": NaN}',
        b'{"id": 2.0}\r',
        b"\x00",
        b'{"id":3}',
    ]
    path.write_bytes(b"\n".join(lines))
    rows, bad, counts, file = read(path, Layout("json_lines"), {"id": "id"}, None)
    assert [(row["id"], row["source_line"]) for row in rows] == [("1", 1), ("2.0", 8), ("3", 10)]
    assert [(b.line, b.rule) for b in bad] == [
        (3, "bad_json"), (4, "bad_json"), (5, "bad_encoding"), (7, "bad_json"), (9, "bad_json"),
    ]  # fmt: skip
    assert (counts.records, counts.bad, counts.blank) == (8, 5, 2)
    assert raw_text(file, [4, 8, 10], max_record_lines=1) == {4: b"[1]", 8: b'{"id": 2.0}', 10: b'{"id":3}'}


def test_an_element_that_is_no_object_is_a_row_too(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "items": [{"sku": "a"}, null, 7]}\n{"id": 2, "items": [7]}\n')
    rows, _, counts, _ = read(path, Layout("json_lines"), {"id": "id", "sku": "items[].sku"}, "items")
    assert [(row["id"], row["sku"], row["source_item"]) for row in rows] == [
        ("1", "a", 1), ("1", None, 2), ("1", None, 3), ("2", None, None),
    ]  # fmt: skip
    assert counts.records == 4


@pytest.mark.parametrize("block_bytes", [1, 7, 64])
def test_blocks_do_not_show(block_bytes):
    from ecom_analytics.reading import JsonLinesReader

    text = b"".join(b'{"n": %d}\n' % n if n % 5 else b"\n" for n in range(1, 40))
    reader = JsonLinesReader(io.BytesIO(text), block_bytes=block_bytes)
    found = [(line, record["n"]) for line, record in reader]
    assert found == [(n, str(n)) for n in range(1, 40) if n % 5]
    assert reader.blank == 7


def test_flat_columns_of_parquet_are_text_as_a_csv_would_have_it(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {
        "id": pa.array([9007199254740993, None], pa.int64()),
        "as_float": pa.array([14418.0, 0.25]),
        "price": pa.array([Decimal("1.50"), Decimal("2.00")]),
        "at": pa.array([1433221332117000000, 0], pa.timestamp("ns", "UTC")),
        "name": pa.array(["", "b"]),
        "flag": pa.array([True, False]),
        "kind": pa.array(["x", None]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), path)
    for flat in (True, False):
        rows, _, counts, _ = read(
            path, Layout("parquet"), {name: name for name in [*columns, "absent"]}, None, flat=flat
        )
        first, second = rows
        assert (first["id"], second["id"]) == ("9007199254740993", None)
        assert (first["as_float"], second["as_float"]) == ("14418", "0.25")
        assert (first["price"], first["name"], first["flag"], first["kind"]) == ("1.50", None, "true", "x")
        assert first["at"].startswith("2015-06-02")
        assert first["absent"] is None
        assert counts.records == 2


def test_no_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,x\n2,y\n")
    rows, *_ = read(path, Layout(columns=("id", "name")), {"name": "name"}, None, flat=True)
    assert rows == [{"name": "x", "source_line": 1}, {"name": "y", "source_line": 2}]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_required_column_that_is_missing_names_the_file(tmp_path, name):
    path = tmp_path / name
    if name == "a.csv":
        path.write_text("b\n1\n")
    else:
        pq.write_table(pa.table({"b": [1]}), path)
    with pytest.raises(InputError, match=f"{name}: no column 'a'"):
        read(path, Layout("parquet" if name.endswith("parquet") else "delimited"), {"x": "a"}, None, required=["a"])


def test_a_file_that_is_no_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match=r"a\.parquet: the Parquet file cannot be read"):
        read(path, Layout("parquet"), {"x": "a"}, None)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("a.b", {"a": {"b": Number("1.0")}}, "1.0"),
        ("a.b", {"a": None}, None),
        ("a.b", {"a": [1]}, None),
        ("a[1]", {"a": ["x", "y"]}, "y"),
        ("a[2]", {"a": ["x", "y"]}, None),
        ("a[k=x y].v", {"a": [{"k": "z"}, {"k": "x y", "v": True}]}, "true"),
        ('a[k="]"].v', {"a": [{"k": "]", "v": "1"}]}, "1"),
        ('"a.b"."c"', {"a.b": {"c": "d"}}, "d"),
        ("a.*", {"a": {"s": None, "i": Number("5"), "d": Number("6")}}, "5"),
        ("a", {"a": {"b": [Number("1.10")]}}, '{"b": [1.10]}'),
        ("a.b", {"a": '{"b": 12345678901234567890}'}, "12345678901234567890"),
        ("a.b", {"a": "no json"}, None),
        ("a", {"a": ""}, None),
    ],
)  # fmt: skip
def test_paths(path, value, text):
    top, steps = split_path(path)
    assert as_text(walk(value.get(top), steps)) == text


@pytest.mark.parametrize("path", ["", ".a", "a..b", "a[", "a[x]", "[0]", "a b]", "a.", "*"])
def test_bad_paths(path):
    with pytest.raises(ConfigError):
        split_path(path)
