"""Files about products and categories: which are recognised, and each of their rules by the row that breaks it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ecom_analytics import Ingestor, Settings, Stager
from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.errors import UnknownFormatError
from ecom_analytics.staging import rejected, snapshot

ITEMS = "timestamp,itemid,property,value"
TREE = "categoryid,parentid"
SHOP = "product_id,name,category,brand,price,currency,available,valid_from"


def ingest(settings: Settings, *lines: str, name: str = "file.csv", **options: Any) -> str:
    """The format that the file was taken for."""
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    (batch,) = Ingestor(settings).ingest(path, **options).batches
    return batch.source_format


def staged(settings: Settings, table: str) -> list[dict[str, Any]]:
    rows = [row for file in snapshot(settings).catalogue[table] for row in pq.read_table(file).to_pylist()]
    return sorted(rows, key=lambda row: (row["batch_id"], row["source_line"]))


def stage(settings: Settings, table: str, *lines: str) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
    """The staged rows, and (line, rule, raw text) of the rejected ones."""
    ingest(settings, *lines)
    report = Stager(settings).stage()
    bad = [(row["source_line"], row["rule"], row["raw_text"]) for row in rejected(settings)[1]]
    rows = staged(settings, table)
    assert report.records == len(rows) + len(bad) == report.staged + report.rejected
    return rows, bad


@pytest.mark.parametrize(
    ("header", "row", "source_format"),
    [
        (ITEMS, "1435460400000,192251,categoryid,386", "retailrocket_items"),
        ("value,property,itemid,timestamp", "386,categoryid,192251,1435460400000", "retailrocket_items"),
        ("1435460400000,192251,categoryid,386", "1435460400000,192251,364,386", "retailrocket_items"),
        (TREE, "1016,213", "retailrocket_categories"),
        ("timestamp,visitorid,event,itemid,transactionid", "1435460400000,7,view,1,", "retailrocket"),
        (SHOP, "p,n,c,b,1,EUR,yes,", "catalogue"),
        ("product,name,category,brand,price", "p,n,c,b,1", "catalogue"),
        ("sku,brand", "p,b", "catalogue"),
        ("id;title;price;availability", "p;t;1 EUR;in stock", "catalogue"),
    ],
)
def test_each_file_is_recognised(header: str, row: str, source_format: str, settings: Settings) -> None:
    assert ingest(settings, header, row) == source_format


@pytest.mark.parametrize(
    "header",
    [
        "id,name",
        "product,price",
        "product_id,stock",
        "name,brand,price",
        "event_date,product_id,brand,price",
        "product_id,category,user_id",
        "order_id,product_id,price",
        "visitorid,itemid,category",
    ],
)
def test_what_may_be_events_or_anything_is_no_catalogue(header: str, settings: Settings) -> None:
    with pytest.raises(UnknownFormatError):
        ingest(settings, header, ",".join("1" for _ in header.split(",")))


def test_a_folder_as_retailrocket_published_it_is_taken_whole(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "retailrocket"
    folder.mkdir()
    (folder / "events.csv").write_text("timestamp,visitorid,event,itemid,transactionid\n1435460400000,7,view,1,\n")
    (folder / "item_properties_part1.csv").write_text(f"{ITEMS}\n1435460400000,1,categoryid,5\n")
    (folder / "item_properties_part2.csv").write_text(f"{ITEMS}\n1435460400000,1,available,1\n")
    (folder / "category_tree.csv").write_text(f"{TREE}\n5,4\n4,\n")
    report = Ingestor(settings).ingest(folder, daily=True)
    assert {batch.name: batch.source_format for batch in report.batches} == {
        "events-2015-06-28.csv": "retailrocket",
        "item_properties_part1.csv": "retailrocket_items",
        "item_properties_part2.csv": "retailrocket_items",
        "category_tree.csv": "retailrocket_categories",
    }
    assert Stager(settings).stage().staged == 5


def test_item_properties_are_kept_as_they_are(settings: Settings) -> None:
    rows, bad = stage(
        settings,
        "products",
        ITEMS,
        "1435460400000,192251,categoryid,386",
        "1435460400000.0,192251.0,available,1",
        "1435460400000,192251,available,0",
        "1439694000000,218183,671,n0.000 n72.000 807959",
        "1439694000000,218183,671,",
        "1439694000000,218183,671,",
    )
    assert bad == []
    facts = [tuple(row[name] for name in ("product_id", "category", "available", "property", "value")) for row in rows]
    assert facts == [
        ("192251", "386", None, None, None),
        ("192251", None, True, None, None),
        ("192251", None, False, None, None),
        ("218183", None, None, "671", "n0.000 n72.000 807959"),
        ("218183", None, None, "671", None),
        ("218183", None, None, "671", None),
    ]
    assert rows[1]["valid_from"] == datetime(2015, 6, 28, 3, tzinfo=UTC)
    assert [row["source_line"] for row in rows] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("soon,1,categoryid,5", "bad_timestamp"),
        ("1435460400,1,categoryid,5", "timestamp_out_of_range"),  # seconds: 1970
        ("1435460400000,,categoryid,5", "missing_product_id"),
        ("1435460400000,1,,5", "missing_property"),
        ("1435460400000,1,categoryid,", "missing_category"),
        ("1435460400000,1,available,", "bad_availability"),
        ("1435460400000,1,available,2", "bad_availability"),
        ("1435460400000,1,available", "too_few_fields"),
    ],
)
def test_an_item_property_that_breaks_a_rule_is_rejected(row: str, rule: str, settings: Settings) -> None:
    rows, bad = stage(settings, "products", ITEMS, "1435460400000,1,categoryid,5", row)
    assert bad == [(3, rule, row)]
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("row", "rule"), [(",3", "missing_category_id"), ("3,3", "category_below_itself"), ("3", "too_few_fields")]
)
def test_a_category_that_breaks_a_rule_is_rejected(row: str, rule: str, settings: Settings) -> None:
    rows, bad = stage(settings, "categories", TREE, "5,4", "4,", row)
    assert bad == [(4, rule, row)]
    assert [(row["category_id"], row["parent_id"]) for row in rows] == [("5", "4"), ("4", None)]


def test_a_catalogue_is_typed(settings: Settings) -> None:
    rows, bad = stage(
        settings,
        "products",
        SHOP,
        "p1,Pan,Kitchen,Acme,15.00,EUR,yes,2026-03-01",
        "p2,,,,15.5 USD,,out of stock,2026-03-01T00:00:00+02:00",
        "p3,,,,,,,",
    )
    assert bad == []
    wanted = ("name", "category", "brand", "price", "currency", "available", "valid_from")
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert [tuple(row[name] for name in wanted) for row in rows] == [
        ("Pan", "Kitchen", "Acme", Decimal(15), "EUR", True, march),
        (None, None, None, Decimal("15.5"), "USD", False, march.replace(month=2, day=28, hour=22)),
        (None,) * 7,
    ]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (",n,c,b,1,EUR,yes,", "missing_product_id"),
        ("p,n,c,b,-1,EUR,yes,", "bad_number"),
        ('p,n,c,b,"1,50",EUR,yes,', "bad_number"),
        ("p,n,c,b,1,EUR,perhaps,", "bad_availability"),
        ("p,n,c,b,1,EUR,yes,soon", "bad_timestamp"),
        ("p,n,c,b,1,EUR,yes,2026-02-30", "bad_timestamp"),
    ],
)
def test_a_row_of_a_catalogue_that_breaks_a_rule_is_rejected(row: str, rule: str, settings: Settings) -> None:
    rows, bad = stage(settings, "products", SHOP, "p,n,c,b,1,EUR,yes,", row)
    assert bad == [(3, rule, row)]
    assert len(rows) == 1


def test_other_names_and_a_tab_between_fields_will_do(settings: Settings) -> None:
    rows, _ = stage(settings, "products", "sku\ttitle\tvendor\tproduct_type", "a1\tPan\tAcme\tHome > Pans")
    assert [rows[0][name] for name in ("product_id", "name", "brand", "category")] == [
        "a1",
        "Pan",
        "Acme",
        "Home > Pans",
    ]


def test_a_file_is_explained_by_its_own_columns(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_text(f"{SHOP}\np1,Pan,,,15.00,EUR,yes,2026-03-01\np2,Pot,,,much,,,\n")
    (seen,) = Ingestor(settings).explain(path)
    assert (seen.source_format, seen.problem) == ("catalogue", "")
    assert [dict(row) for row in seen.to_dict()["events"]] == [
        {
            "source_line": 2,
            "product_id": "p1",
            "valid_from": "2026-03-01T00:00:00",
            "name": "Pan",
            "price": 15.0,
            "currency": "EUR",
            "available": True,
        }
    ]
    assert [(reject.line, reject.rule) for reject in seen.rejected] == [(3, "bad_number")]


def test_the_real_sample_is_staged_whole(settings: Settings, shared_data: Path) -> None:
    sample = shared_data / "retailrocket_real_sample" / "item_properties.csv"
    tree = shared_data / "retailrocket_category_tree" / "category_tree.csv"
    Ingestor(settings).ingest(sample, tree)
    report = Stager(settings).stage()
    assert (report.records, report.staged, report.rejected) == (53 + 1669, 53 + 1669, 0)
    products, categories = staged(settings, "products"), staged(settings, "categories")
    assert sum(row["category"] is not None for row in products) == 3
    assert sum(row["available"] is not None for row in products) == 4
    assert sum(row["property"] is not None for row in products) == 46
    parents = {row["parent_id"] for row in categories}
    assert sum(row["parent_id"] is None for row in categories) == 25
    assert sum(row["category_id"] not in parents for row in categories) == 1307
    for table, rows in (("products", products), ("categories", categories)):
        assert all(row.keys() == {column.name for column in CATALOGUE[table]} for row in rows)
