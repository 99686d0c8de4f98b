"""Every page in a real browser: its CSV, its numbers, the drawer, filters, comparison, frames; and its picture."""

from __future__ import annotations

import csv
import io
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import VIOLATIONS, Visit, axe_script, serve, visiting

from ecom_analytics.panels.listing import PAGES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from ecom_analytics import Settings

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _address(page: str) -> str:
    return "" if page == "overview" else page


@pytest.mark.parametrize("page", PAGES)
def test_the_csv_of_each_panel_is_of_what_the_panel_asked(page: str, visit: Visit) -> None:
    visit.open(f"{_address(page)}?period=7d&compare=none")
    links = visit.page.locator("[data-panel] [data-csv]:visible")
    assert links.count() > 0
    asked = {url.removeprefix(_origin(visit.address)) for url in visit.asked if "/api/v1/" in url}
    for number in range(links.count()):
        href = links.nth(number).get_attribute("href")
        assert href is not None
        shown = href.replace(".csv", "", 1)
        assert shown in asked
        told = visit.page.request.get(_origin(visit.address) + href)
        assert told.headers["content-type"].startswith("text/csv"), href
        assert "attachment" in told.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(told.text())))
        answer = visit.page.request.get(_origin(visit.address) + shown).json()
        names = [column["name"] for column in answer["meta"]["columns"]]
        assert list(rows[0]) == names if rows else told.text().strip() == ",".join(names)
        if isinstance(answer["data"], list) and all(set(names) <= set(row) for row in answer["data"]):
            assert len(rows) == len(answer["data"])


def test_a_csv_is_downloaded_by_a_click(visit: Visit, tmp_path: Path) -> None:
    visit.open("products")
    with visit.page.expect_download() as told:
        visit.panel("product_table").locator("[data-csv]").click()
    told.value.save_as(tmp_path / "products.csv")
    text = (tmp_path / "products.csv").read_text(encoding="utf-8")
    shown = visit.panel("product_table").locator("tbody tr").all_inner_texts()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(shown)
    for row, line in zip(rows, shown, strict=True):
        assert row["name"] in line
        assert f"{int(row['views']):,}" in line


def test_the_table_of_products_shows_what_the_api_says_and_sorts(visit: Visit) -> None:
    visit.open("products")
    panel = visit.panel("product_table")

    def shown() -> list[str]:
        return [re.sub(r"\s+", " ", text) for text in panel.locator("tbody tr").all_inner_texts()]

    with visit.refreshing():
        panel.locator("thead button", has_text="Views").first.click()
    query = parse_qs(visit.query()[1:])
    [sort] = query["product_table.sort"]
    assert sort == "-views"
    wanted = visit.api("products?sort=-views&limit=20")["data"]
    texts = shown()
    assert texts
    for row, text in zip(wanted, texts, strict=False):
        assert (row["name"] or row["product_id"]) in text
        assert f"{row['views']:,}" in text


def _rows(visit: Visit, panel: str) -> list[str]:
    """The rows of a panel's table, each as one line."""
    found = visit.panel(panel).locator("tbody tr").all_inner_texts()
    return [re.sub(r"\s+", " ", text) for text in found]


def test_customers_funnel_retention_and_data_show_what_the_api_says(visit: Visit) -> None:
    visit.open("customers")
    segments = visit.api("rfm")["data"]["rows"]
    shown = _rows(visit, "segments")
    assert len(shown) == len(segments) > 0
    for row, text in zip(sorted(segments, key=lambda row: -row["customers"]), shown, strict=True):
        assert f" {row['customers']:,} " in text

    visit.open("funnel")
    text = visit.panel("funnel").inner_text()
    for step in visit.api("funnel")["data"]["steps"]:
        assert step["label"] in text
        assert f"{step['count']:,}" in text
    carts = {row["label"]: row["carts"] for row in visit.api("carts")["data"]["rows"]}
    for label, count in carts.items():
        assert any(label in row and f" {count:,} " in row for row in _rows(visit, "carts")), label

    visit.open("retention")
    cohorts = visit.api("cohorts")["data"]["cohorts"]
    shown = _rows(visit, "retention")
    assert 0 < len(cohorts) <= len(shown)
    for row, text in zip(cohorts, shown, strict=False):
        assert f" {row['users']:,} " in text
        for cell in row["cells"][1:]:
            if cell["value"] is not None:
                percent = cell["value"] * 100
                assert f" {percent:.{2 if percent < 10 else 1}f}%" in text

    visit.open("data")
    account = visit.api("meta")["data"]["input"]
    text = visit.panel("account").inner_text()
    for name in ("records", "staged", "duplicates", "rejected", "blank"):
        assert f"{account[name]:,}" in text, name


@pytest.mark.parametrize(
    ("what", "route", "facts"),
    [
        ("product", "products", ["views", "viewers", "purchases"]),
        ("user", "users", ["sessions", "transactions"]),
        ("transaction", "transactions", []),
    ],
)
def test_a_row_opens_its_drawer(what: str, route: str, facts: list[str], visit: Visit) -> None:
    first = visit.api(f"{route}?limit=1")["data"][0][f"{what}_id"]
    visit.open(f"sales?open={what}:{first}")
    drawer = visit.page.locator("#drawer")
    drawer.locator(".facts").first.wait_for()
    found = visit.api(f"{route}/{first}")["data"]
    text = drawer.inner_text()
    assert first in text
    for fact in facts:
        assert f"{found[what][fact]:,}" in text, fact
    if what == "transaction":
        for line in found["lines"]:
            assert f"{line['file']}:{line['source_line']}" in text
    visit.page.evaluate(axe_script())
    assert visit.page.evaluate(VIOLATIONS) == []
    assert visit.overflow() <= 0
    visit.page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    assert "open" not in visit.query()
    visit.page.go_back()
    drawer.locator(".facts").first.wait_for()
    assert visit.said == []


def test_a_drawer_of_nothing_says_so(visit: Visit) -> None:
    visit.open("?open=product:no-such-product")
    alert = visit.page.locator("#drawer [role=alert]")
    alert.wait_for()
    assert "no-such-product" in alert.inner_text()


def test_a_filter_is_chosen_in_the_dialog(visit: Visit) -> None:
    visit.open()
    whole = visit.figures()
    visit.page.keyboard.press("f")
    dialog = visit.page.locator("dialog.filters")
    dialog.locator("#filter-dimension").select_option("country")
    box = dialog.locator(".facets input").first
    box.wait_for()
    value = box.get_attribute("value")
    with visit.refreshing():
        box.check()
    visit.page.evaluate(axe_script())
    assert visit.page.evaluate(VIOLATIONS) == []
    dialog.locator("text=Done").click()
    assert parse_qs(visit.query()[1:]) == {"country": [value]}
    assert visit.figures()["sessions"] < whole["sessions"]
    chip = visit.page.locator("#chips .chip")
    assert chip.count() == 1
    with visit.refreshing():
        chip.locator("button").first.click() if chip.locator("button").count() else chip.click()
    assert (visit.query(), visit.figures()) == ("", whole)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("retention", "data")])
def test_comparison_changes_what_is_asked_and_is_named(page: str, visit: Visit) -> None:
    visit.open(_address(page))
    with visit.refreshing():
        visit.page.locator("#compare").select_option("none")
    assert parse_qs(visit.query()[1:]) == {"compare": ["none"]}
    assert "compared" not in visit.page.locator("#range-text").inner_text().lower()
    with visit.refreshing():
        visit.page.locator("#compare").select_option("prev+weekday")
    assert parse_qs(visit.query()[1:]) == {"match_weekday": ["true"]}
    compared = visit.api("kpis?match_weekday=true")["meta"]["compare_range"]
    assert str(int(compared["from"][-2:])) in visit.page.locator("#range-text").inner_text()


def test_old_data_are_called_stale(browser: Browser, shop_settings: Settings) -> None:
    with serve(shop_settings.model_copy(update={"stale_hours": 0.001})) as address, visiting(browser, address) as visit:
        visit.open()
        assert visit.page.locator("#freshness .badge", has_text="Stale").is_visible()
        visit.page.evaluate(axe_script())
        assert visit.page.evaluate(VIOLATIONS) == []
    with serve(shop_settings) as address, visiting(browser, address) as visit:
        assert visit.open().page.locator("#freshness .badge").count() == 0


@contextmanager
def _framing(inner: str) -> Iterator[str]:
    """A page of another origin that shows an address in a frame."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f'<!doctype html><title>shop</title><iframe src="{inner}" width="900" height="700"></iframe>'
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *told: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("allowed", [True, False])
def test_a_page_of_another_origin_may_frame_it_only_where_the_settings_say_so(
    allowed: bool, browser: Browser, shop_settings: Settings
) -> None:
    ancestors = ("http://127.0.0.1:*",) if allowed else ()
    settings = shop_settings.model_copy(update={"frame_ancestors": ancestors})
    with (
        serve(settings) as address,
        _framing(f"{address}?embed=1") as outer,
        visiting(browser, outer) as visit,
    ):
        visit.page.goto(outer)
        frame = visit.page.frames[1]
        if allowed:
            frame.wait_for_function("() => Number(document.documentElement.dataset.ready) >= 1")
            assert frame.locator('[data-panel="kpis"] [data-value]').first.is_visible()
            assert frame.locator(".chrome:visible").count() == 0
            assert visit.said == []
        else:
            assert frame.locator("[data-panel]").count() == 0
            assert any("frame" in said.lower() for said in visit.said)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_painted_within_a_second_and_prints_without_controls(page: str, visit: Visit) -> None:
    visit.open(_address(page))
    [painted] = visit.page.evaluate(
        "() => performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)"
    )
    assert painted < 1_000
    visit.page.emulate_media(media="print")
    assert visit.page.locator(".chrome:visible").count() == 0
    assert visit.page.locator("[data-panel]:visible").count() > 0
    assert visit.overflow() <= 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_a_picture_of_each_page(page: str, theme: str, browser: Browser, shop: str, tmp_path: Path) -> None:
    """With ``ECOM_UPDATE_SCREENSHOTS=1`` the light ones become those of the documentation."""
    with visiting(browser, shop, width=1280, height=1040, theme=theme) as visit:
        visit.open(_address(page))
        picture = visit.page.screenshot(path=tmp_path / f"{page}.png")
        drawn = "(canvas) => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
        for canvas in visit.page.locator("canvas").all():
            assert canvas.evaluate(drawn) > 10
        assert 20_000 < len(picture) < 300_000
        if theme == "light" and os.environ.get("ECOM_UPDATE_SCREENSHOTS") == "1":
            name = "dashboard" if page == "overview" else page
            (ROOT / "docs" / "images" / f"{name}.png").write_bytes(picture)
