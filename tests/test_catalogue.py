"""From files of events, item properties, categories and catalogues to marts: categories as of a time, by hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Ingestor, MartBuilder, Pipeline, Settings, Stager, Warehouse

pytest_plugins = ["s3_server"]


def millis(day: int, hour: int = 12) -> int:
    return int(datetime(2026, 3, day, hour, tzinfo=UTC).timestamp() * 1000)


ROCKET = {
    "events.csv": [
        "timestamp,visitorid,event,itemid,transactionid",
        f"{millis(1)},7,transaction,1,before",  # before anything is known of product 1
        f"{millis(2)},7,transaction,1,same",  # at the very time of its first category
        f"{millis(3)},7,transaction,1,between",
        f"{millis(5)},7,transaction,1,after",
        f"{millis(5)},7,view,2,",
        f"{millis(6)},7,view,3,",
    ],
    "item_properties_part1.csv": [
        "timestamp,itemid,property,value",
        f"{millis(2)},1,categoryid,11",
        f"{millis(2)},1,categoryid,11",  # said twice
        f"{millis(4)},1,available,0",
        f"{millis(3, 13)},1,790,n5.000",  # says nothing that the marts know
        f"{millis(7)},2,categoryid,11",  # after the last event
    ],
    "item_properties_part2.csv": [
        "timestamp,itemid,property,value",
        f"{millis(4)},1,categoryid,12",
        f"{millis(2)},1,available,1",
        f"{millis(6)},3,categoryid,99",  # of no tree
    ],
    "category_tree.csv": ["categoryid,parentid", "12,11", "11,10", "10,"],
}
SHOP = {
    "shop.csv": [
        "event_ts,event_type,visitor_id,product_id,transaction_id,quantity,unit_price,currency,category",
        "2026-03-03T12:00:00Z,purchase,v,1,own,2,9.99,EUR,Own",
        "2026-03-03T13:00:00Z,purchase,v,1,none,1,9.99,EUR,",
        "2026-03-03T14:00:00Z,view,v,2,,,,,",
    ],
    "catalogue.csv": [
        "product_id,name,category,brand,price,currency,available,valid_from",
        "1,Pan,Pans,Acme,12.50,EUR,yes,",
        "1,,Woks,,,,,2026-03-03T13:00:00Z",
        "2,Pot,Pots,,7,EUR,no,",
        "4,Lid,Lids,,1,EUR,yes,",  # of no event
    ],
}


def write(folder: Path, files: dict[str, list[str]], names: Iterable[str] | None = None) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names or files]
    for path in paths:
        path.write_text("\n".join(files[path.name]) + "\n")
    return paths


def mart(settings: Settings, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Warehouse(settings).sql(f'SELECT * FROM "{name}" ORDER BY ALL').to_pylist()
    return rows


@pytest.fixture(scope="module")
def two_sources(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """All files there are, RetailRocket's as a folder in one call."""
    home = tmp_path_factory.mktemp("two")
    settings = Settings(home=home / "home")
    Ingestor(settings).ingest(*write(home / "shop", SHOP), source="shop")
    write(home / "rocket", ROCKET)
    Pipeline(Settings(home=home / "home", source="rocket")).run(home / "rocket")
    return settings


def test_a_line_has_the_category_of_its_time(two_sources: Settings) -> None:
    lines = {
        (row["source"], row["transaction_id"]): (row["category"], row["brand"], row["available"])
        for row in mart(two_sources, "transaction_lines")
    }
    assert lines == {
        ("rocket", "before"): (None, None, None),
        ("rocket", "same"): ("11", None, True),
        ("rocket", "between"): ("11", None, True),
        ("rocket", "after"): ("12", None, False),
        ("shop", "own"): ("Own", "Acme", True),
        ("shop", "none"): ("Woks", "Acme", True),
    }


def test_a_product_is_described_as_of_the_last_event_of_its_source(two_sources: Settings) -> None:
    columns = ("name", "category", "category_path", "brand", "list_price", "list_currency", "available")
    products = {
        (row["source"], row["product_id"]): tuple(row[name] for name in columns)
        for row in mart(two_sources, "products")
    }
    assert products == {
        ("rocket", "1"): (None, "12", "10 > 11 > 12", None, None, None, False),
        ("rocket", "2"): (None, None, None, None, None, None, None),
        ("rocket", "3"): (None, "99", None, None, None, None, None),
        # what events say goes first
        ("shop", "1"): ("Pan", "Own", None, "Acme", Decimal("12.5"), "EUR", True),
        ("shop", "2"): ("Pot", "Pots", None, None, Decimal(7), "EUR", False),
    }


def test_a_price_of_the_catalogue_makes_no_revenue(two_sources: Settings) -> None:
    revenue = {row["source"]: row["net_value"] for row in mart(two_sources, "users")}
    assert revenue == {"rocket": None, "shop": Decimal("29.97")}
    assert {row["unit_price"] for row in mart(two_sources, "transaction_lines")} == {None, Decimal("9.99")}


def test_what_the_catalogue_knows_is_a_capability(two_sources: Settings) -> None:
    known = {
        (row["source"], row["capability"])
        for row in mart(two_sources, "capabilities")
        if row["available"] and row["capability"] in ("category", "brand", "unit_price")
    }
    assert known == {("rocket", "category"), ("shop", "category"), ("shop", "brand"), ("shop", "unit_price")}


def test_properties_that_come_late_change_earlier_lines_as_if_they_had_been_there(tmp_path: Path) -> None:
    late = Settings(home=tmp_path / "late")
    files = {path.name: path for path in write(tmp_path / "files", ROCKET)}
    Pipeline(late).run(files["events.csv"], files["item_properties_part2.csv"])
    before = {row["transaction_id"]: row["category"] for row in mart(late, "transaction_lines")}
    assert before == {"before": None, "same": None, "between": None, "after": "12"}
    Pipeline(late).run(files["category_tree.csv"], files["item_properties_part1.csv"])
    at_once = Settings(home=tmp_path / "at_once")
    Ingestor(at_once).ingest(*reversed(files.values()))
    Stager(at_once).stage()
    MartBuilder(at_once).build()
    for name in set(Warehouse(late).public_marts()) - {"runs", "checks"}:
        assert mart(late, name) == mart(at_once, name)


def test_a_catalogue_in_a_lake_on_s3_is_fetched_for_the_build(tmp_path: Path, s3_bucket: str, s3_endpoint: str) -> None:
    settings = Settings(home=tmp_path / "home", lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint)
    write(tmp_path / "files", ROCKET)
    Ingestor(settings).ingest(tmp_path / "files")
    Stager(settings).stage()
    shutil.rmtree(settings.cache)  # as another machine would find things
    MartBuilder(settings).build()
    lines = {row["transaction_id"]: row["category"] for row in mart(settings, "transaction_lines")}
    assert lines == {"before": None, "same": "11", "between": "11", "after": "12"}
    assert {row["product_id"]: row["category_path"] for row in mart(settings, "products")}["1"] == "10 > 11 > 12"


def test_a_circle_of_categories_is_a_warning_and_not_the_end(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    circle = {
        "events.csv": ROCKET["events.csv"],
        "items.csv": ["timestamp,itemid,property,value", f"{millis(1)},1,categoryid,2"],
        "category_tree.csv": ["categoryid,parentid", "2,3", "3,2", "4,"],
    }
    report = Pipeline(settings).run(*write(tmp_path / "files", circle))
    (warning,) = report.build.warnings
    assert (warning.model, warning.failures) == ("int_category_paths", 2)
    (product,) = [row for row in mart(settings, "products") if row["product_id"] == "1"]
    assert (product["category"], product["category_path"]) == ("2", None)


def test_the_real_tree_has_a_path_to_every_category(tmp_path: Path, shared_data: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    sample = shared_data / "retailrocket_real_sample"
    tree = shared_data / "retailrocket_category_tree" / "category_tree.csv"
    report = Pipeline(settings).run(sample / "events.csv", sample / "item_properties.csv", tree)
    assert report.stage.records == report.stage.staged == 549 + 53 + 1669
    assert report.build.warnings == ()
    found = {row["product_id"]: row for row in mart(settings, "products") if row["category"] or row["available"]}
    assert {key: (row["category"], row["category_path"], row["available"]) for key, row in found.items()} == {
        "355605": ("967", "378 > 967", None),
        "272455": (None, None, True),
    }
