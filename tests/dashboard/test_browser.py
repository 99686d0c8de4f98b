"""The dashboard in a real browser: what it shows, where it keeps its state, what it asks of the network."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import FIRST, VIOLATIONS, Visit, axe_script, build, serve, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser


pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
PANELS = ("kpis", "timeseries", "mini_funnel", "top_products", "top_users", "weekdays", "notices")
CHARTS = ("timeseries", "top_users", "weekdays")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_says_nothing_on_the_console_and_asks_nobody_else(browser: Browser, shop: str, theme: str) -> None:
    with visiting(browser, shop, theme=theme) as visit:
        visit.open()
        for chart in CHARTS:
            visit.panel(chart).locator("[data-table-toggle]").click()
        visit.page.keyboard.press("t")
        assert visit.said == []
        assert {urlsplit(url).netloc for url in visit.asked} == {urlsplit(shop).netloc}
        assert {response.status for response in visit.got} == {200}


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(browser: Browser, shop: str, theme: str, width: int) -> None:
    with visiting(browser, shop, theme=theme, width=width) as visit:
        visit.open()
        visit.page.evaluate(axe_script())
        assert visit.page.evaluate(VIOLATIONS) == []
        for chart in CHARTS:
            visit.panel(chart).locator("[data-table-toggle]").click()
        assert visit.page.evaluate(VIOLATIONS) == []
        visit.page.keyboard.press("?")
        assert visit.page.evaluate(VIOLATIONS) == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
@pytest.mark.parametrize("page", ["sales", "products", "customers", "funnel", "retention", "data"])
def test_each_page_is_quiet_and_accessible(browser: Browser, shop: str, page: str, theme: str, width: int) -> None:
    with visiting(browser, shop, theme=theme, width=width) as visit:
        visit.open(page)
        assert visit.page.locator("[data-panel] [role=alert]").count() == 0
        assert visit.page.locator(".skeleton").count() == 0
        assert visit.overflow() <= 0
        assert visit.page.evaluate("() => window.shifted") < 0.05
        visit.page.evaluate(axe_script())
        assert visit.page.evaluate(VIOLATIONS) == []
        assert visit.said == []
        assert {urlsplit(url).netloc for url in visit.asked} == {urlsplit(shop).netloc}
        assert {response.status for response in visit.got} == {200}


def test_a_click_filters_the_page_and_escape_clears(browser: Browser, shop: str) -> None:
    with visiting(browser, shop) as visit:
        visit.open("sales")
        whole = visit.figures()
        with visit.refreshing():
            visit.page.locator('[data-panel="heat"] .heat-cell').nth(20).click()
        asked = parse_qs(visit.query()[1:])
        assert set(asked) == {"weekday", "hour"}
        assert visit.figures()["transactions"] < whole["transactions"]
        assert visit.figures() == pytest.approx(
            {figure["name"]: figure["value"] for figure in visit.api(f"kpis{visit.query()}")["data"]}
        )
        assert visit.page.locator("#chips .chip").count() == 2
        visit.page.mouse.move(0, 0)  # away from the cell: Escape closes its tooltip first
        with visit.refreshing():
            visit.page.keyboard.press("Escape")
        assert (visit.query(), visit.figures()) == ("", whole)


def test_axe_finds_what_is_wrong(visit: Visit) -> None:
    visit.open()
    visit.page.evaluate(axe_script())
    visit.page.evaluate("() => document.body.append(document.createElement('button'))")
    assert "button-name" in visit.page.evaluate(VIOLATIONS)[0]


def test_the_first_load_stays_small(visit: Visit) -> None:
    visit.open()
    sizes = {}
    for response in visit.got:
        if "/api/" in response.url:
            continue
        if "/static/" in response.url:
            assert response.headers.get("content-encoding") == "gzip", response.url
        sizes[response.url] = response.request.sizes()["responseBodySize"]
    assert any("chart" in url for url in sizes)
    assert min(sizes.values()) > 0
    assert sum(sizes.values()) <= 112_000, sizes
    print(f"first load without data: {sum(sizes.values()):,} bytes gzipped in {len(sizes)} files")


@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_jumps_while_it_loads(browser: Browser, shop: str, width: int) -> None:
    with visiting(browser, shop, width=width) as visit:
        visit.open()
        with visit.refreshing():
            visit.page.keyboard.press("1")
        assert visit.page.evaluate("() => window.shifted") < 0.05


def test_the_figures_are_those_of_the_api(visit: Visit) -> None:
    visit.open()
    told = {figure["name"]: figure["value"] for figure in visit.api("kpis")["data"]}
    assert visit.figures() == pytest.approx(told)
    assert told["transactions"] > 0
    transactions = visit.panel("kpis").locator('[data-kpi="transactions"] .kpi-value')
    assert transactions.inner_text() == f"{told['transactions']:,}"


def test_the_state_is_in_the_address_and_back_works(visit: Visit) -> None:
    page = visit.open().page
    assert visit.query() == ""
    month = visit.figures()
    with visit.refreshing():
        page.locator("#period").select_option("7d")
    assert visit.query() == "?period=7d"
    week = visit.figures()
    assert week["sessions"] < month["sessions"]
    assert page.locator("#period").input_value() == "7d"
    with visit.refreshing():
        page.get_by_label("Compare with").select_option("none")
    assert parse_qs(visit.query()[1:]) == {"period": ["7d"], "compare": ["none"]}
    assert page.locator(".delta").count() == 0
    with visit.refreshing():
        page.go_back()
    assert visit.query() == "?period=7d"
    assert page.locator(".delta").count() > 0
    with visit.refreshing():
        page.go_back()
    assert (visit.query(), visit.figures()) == ("", month)
    with visit.refreshing():
        page.go_forward()
    assert visit.figures() == week


def test_a_copied_link_shows_the_same(browser: Browser, shop: str, visit: Visit) -> None:
    page = visit.open().page
    with visit.refreshing():
        page.get_by_label("From", exact=True).fill("2026-08-01")
    with visit.refreshing():
        page.get_by_label("To", exact=True).fill("2026-08-10")
    assert parse_qs(visit.query()[1:]) == {"from": ["2026-08-01"], "to": ["2026-08-10"]}
    assert "10 Aug 2026" in page.locator("#range-text").inner_text()
    with visiting(browser, shop) as other:
        other.open(visit.query())
        assert other.figures() == visit.figures()
        assert other.page.get_by_label("To", exact=True).input_value() == "2026-08-10"


def test_a_range_that_ends_before_it_begins_is_refused(visit: Visit) -> None:
    page = visit.open().page
    page.get_by_label("From", exact=True).fill("2026-12-31")
    assert page.get_by_role("alert").inner_text() == "The first day is after the last day."
    assert visit.query() == ""


def test_the_keyboard_does_what_the_help_says(visit: Visit) -> None:
    page = visit.open().page
    with visit.refreshing():
        page.keyboard.press("1")
    assert visit.query() == "?period=7d"
    with visit.refreshing():
        page.keyboard.press("ArrowLeft")
    moved = parse_qs(visit.query()[1:])
    bounds = visit.api("meta")["data"]
    last = date.fromisoformat(bounds["last_date"])
    assert (last - date.fromisoformat(moved["to"][0])).days == 7
    assert (last - date.fromisoformat(moved["from"][0])).days == 13
    with visit.refreshing():
        page.keyboard.press("ArrowRight")
    assert visit.query() == "?period=7d"
    page.keyboard.press("ArrowRight")
    assert visit.query() == "?period=7d"
    with visit.refreshing():
        page.keyboard.press("c")
    assert parse_qs(visit.query()[1:])["compare"] == ["none"]
    page.keyboard.press("?")
    help_dialog = page.get_by_role("dialog", name="Keyboard and reading help")
    assert help_dialog.is_visible()
    page.keyboard.press("Escape")
    assert help_dialog.is_hidden()


def test_keys_typed_into_a_field_are_for_the_field(visit: Visit) -> None:
    page = visit.open().page
    page.get_by_label("From", exact=True).focus()
    page.keyboard.press("t")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("() => document.documentElement.dataset.themeChoice") == "system"
    assert visit.query() == ""


def test_the_first_tab_leads_to_the_figures(visit: Visit) -> None:
    page = visit.open().page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"


def test_the_theme_is_kept_and_is_there_before_the_first_paint(visit: Visit) -> None:
    page = visit.open().page
    colour = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Theme").click()
    page.keyboard.press("t")
    assert page.evaluate("() => document.documentElement.dataset.themeChoice") == "dark"
    dark = page.evaluate(colour)
    assert dark != light
    page.reload(wait_until="commit")
    page.wait_for_function("() => document.body")
    assert page.evaluate(colour) == dark
    visit.settle(1)
    page.keyboard.press("t")
    assert page.evaluate(colour) == light


def test_a_chart_becomes_a_table_and_back(visit: Visit) -> None:
    visit.open()
    panel = visit.panel("timeseries")
    height = panel.bounding_box()["height"]
    toggle = panel.locator("[data-table-toggle]")
    assert toggle.get_attribute("aria-expanded") == "false"
    toggle.click()
    assert toggle.get_attribute("aria-expanded") == "true"
    rows = panel.locator("tbody tr")
    points = visit.api("timeseries?metric=transactions")["data"]["points"]
    assert rows.count() == len(points) == 28
    assert [int(text.replace(",", "")) for text in panel.locator("tbody td:nth-child(2)").all_inner_texts()] == [
        point["value"] for point in points
    ]
    assert panel.bounding_box()["height"] == height
    toggle.click()
    assert panel.locator("canvas").is_visible()


def test_a_table_stays_a_table_when_the_range_changes(visit: Visit) -> None:
    visit.open()
    visit.panel("timeseries").locator("[data-table-toggle]").click()
    with visit.refreshing():
        visit.page.keyboard.press("1")
    assert visit.panel("timeseries").locator("tbody tr").count() == 7


def test_a_chart_says_what_it_shows_and_arrow_keys_read_it(visit: Visit) -> None:
    visit.open()
    rows = visit.api("breakdown/weekday?metric=transactions")["data"]["rows"]
    best = max(rows, key=lambda row: row["value"])
    canvas = visit.panel("weekdays").locator("canvas")
    assert f"most on {best['label']} with {best['value']:,}" in canvas.get_attribute("aria-label")
    canvas.focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowRight")
    assert visit.page.locator("#announcer").inner_text() == f"Tuesday: {rows[1]['value']:,}"
    assert visit.query() == ""


def test_the_charts_draw_the_numbers_of_the_api(visit: Visit) -> None:
    visit.open()
    drawn = "(name) => Chart.getChart(document.querySelector(`[data-panel=${name}] canvas`)).data.datasets[0].data"
    users = visit.api("users?sort=-transactions&limit=10")["data"]
    assert visit.page.evaluate(drawn, "top_users") == [user["transactions"] for user in users if user["transactions"]]
    rows = visit.api("breakdown/weekday?metric=transactions")["data"]["rows"]
    assert visit.page.evaluate(drawn, "weekdays") == [row["value"] for row in rows]


def test_a_definition_shows_on_focus_and_closes_with_escape(visit: Visit) -> None:
    page = visit.open().page
    definition = next(f["definition"] for f in visit.api("kpis")["data"] if f["name"] == "sessions")
    term = visit.panel("kpis").get_by_role("button", name="Sessions", exact=True)
    term.focus()
    tooltip = page.locator(".tooltip")
    assert tooltip.inner_text() == definition
    assert page.evaluate("(id) => document.getElementById(id).textContent", term.get_attribute("aria-describedby")) == (
        definition
    )
    page.keyboard.press("Escape")
    assert tooltip.is_hidden()
    term.blur()
    term.hover()
    assert tooltip.is_visible()


def test_a_delta_names_both_ranges(visit: Visit) -> None:
    visit.open()
    meta = visit.api("kpis")["meta"]
    visit.panel("kpis").locator('[data-kpi="sessions"] .delta').hover()
    text = visit.page.locator(".tooltip").inner_text()
    for days in (meta["range"], meta["compare_range"]):
        for day in (days["from"], days["to"]):
            assert str(date.fromisoformat(day).day) in text
    assert len(text.split("\n\n")) == 2


def test_the_funnel_is_an_ordered_list_with_meters(visit: Visit) -> None:
    visit.open()
    steps = visit.api("funnel")["data"]["steps"]
    items = visit.panel("mini_funnel").locator("ol > li")
    assert items.count() == len(steps) == 3
    assert [float(m.get_attribute("value")) for m in items.locator("meter").all()] == pytest.approx(
        [step["rate_from_start"] for step in steps]
    )
    assert items.nth(2).locator(".funnel-count").inner_text() == f"{steps[2]['count']:,}"


def test_top_products_are_a_table(visit: Visit) -> None:
    visit.open()
    products = visit.api("products?sort=-purchases&limit=10")["data"]
    table = visit.panel("top_products").get_by_role("table")
    assert table.locator("tbody th .row-name").all_inner_texts() == [str(p["product_id"]) for p in products]


def test_each_panel_links_to_the_csv_of_what_it_shows(visit: Visit) -> None:
    page = visit.open("?period=7d").page
    for name in PANELS:
        link = visit.panel(name).locator("[data-csv]").get_attribute("href")
        response = page.request.get(f"{visit.address.removesuffix(urlsplit(visit.address).path)}{link}")
        assert response.status == 200, (name, response.text())
        assert response.headers["content-type"].startswith("text/csv"), name
    assert "period=7d" in visit.panel("timeseries").locator("[data-csv]").get_attribute("href")


def test_the_data_say_how_they_were_read(visit: Visit) -> None:
    visit.open()
    about = visit.api("meta")["data"]
    text = visit.panel("notices").inner_text()
    for name in ("records", "staged", "duplicates", "rejected"):
        assert f"{about['input'][name]:,}" in text
    notices = visit.api("notices")["data"]
    assert visit.panel("notices").locator(".notice").count() == len(notices)
    assert "conflicts" in {notice["kind"] for notice in notices}
    freshness = visit.page.locator("#freshness").inner_text()
    assert about["build_id"] in freshness
    assert about["timezone"] in freshness


@pytest.mark.parametrize("width", [390, 320])
def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser, shop: str, width: int) -> None:
    with visiting(browser, shop, width=width, height=844, has_touch=True, is_mobile=True) as visit:
        visit.open()
        assert visit.overflow() <= 0
        for chart in CHARTS:
            visit.panel(chart).locator("[data-table-toggle]").click()
        assert visit.overflow() <= 0


def test_embedded_it_has_no_chrome(visit: Visit) -> None:
    visit.open("?embed=1")
    assert visit.page.locator(".chrome:visible").count() == 0
    assert visit.panel("timeseries").is_visible()
    with visit.refreshing():
        visit.page.keyboard.press("1")
    assert parse_qs(visit.query()[1:]) == {"embed": ["1"], "period": ["7d"]}


def test_printed_it_is_light_and_has_no_controls(browser: Browser, shop: str) -> None:
    with visiting(browser, shop, theme="dark") as visit:
        visit.open().page.emulate_media(media="print")
        visit.page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
        assert visit.page.locator("#controls").is_hidden()
        assert visit.page.evaluate("() => document.documentElement.dataset.theme") == "light"
        visit.page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
        assert visit.page.evaluate("() => document.documentElement.dataset.theme") == "dark"


def test_a_panel_that_fails_says_so_and_can_be_tried_again(visit: Visit) -> None:
    def fail(route: Any) -> None:
        route.fulfill(
            status=503, content_type="application/problem+json", body='{"title": "Busy", "detail": "Too busy."}'
        )

    visit.page.route("**/api/v1/funnel*", fail)
    visit.open()
    panel = visit.panel("mini_funnel")
    assert "Too busy." in panel.get_by_role("alert").inner_text()
    assert visit.panel("weekdays").locator("canvas").is_visible()
    visit.page.unroute("**/api/v1/funnel*")
    with visit.refreshing():
        panel.get_by_role("button", name="Try again").click()
    assert panel.locator("ol > li").count() == 3


def test_a_parameter_that_is_wrong_is_named(visit: Visit) -> None:
    visit.open("?period=1y")
    assert "1y" in visit.panel("kpis").get_by_role("alert").inner_text()
    with visit.refreshing():
        visit.page.get_by_role("button", name="Show the last 28 days").click()
    assert visit.query() == ""
    assert visit.panel("timeseries").locator("canvas").is_visible()


def test_an_empty_range_says_why_and_leads_out(visit: Visit) -> None:
    def without_sales(route: Any) -> None:
        answer = route.fetch().json()
        for row in answer["data"].get("points", answer["data"].get("rows", [])):
            row["value"] = 0
        route.fulfill(json=answer)

    visit.page.route("**/api/v1/timeseries*", without_sales)
    visit.open("?period=7d")
    panel = visit.panel("timeseries")
    assert "No transactions in" in panel.inner_text()
    assert panel.locator("canvas").count() == 0
    visit.page.unroute("**/api/v1/timeseries*")
    with visit.refreshing():
        panel.get_by_role("button", name="Show all dates").click()
    assert visit.query() == "?period=all"
    assert panel.locator("canvas").is_visible()


def test_what_the_source_cannot_give_is_not_zero(browser: Browser, priceless: str) -> None:
    with visiting(browser, priceless) as visit:
        visit.open()
        told = {figure["name"]: figure for figure in visit.api("kpis")["data"]}
        assert not told["net_value"]["available"]
        for name in ("net_value", "aov"):
            cell = visit.panel("kpis").locator(f'[data-kpi="{name}"]')
            text = cell.inner_text()
            assert "Not in this data" in text
            assert told[name]["reason"].lower() in text.lower()
            assert cell.locator("svg").count() == 0
        assert "Revenue: not in this data" in visit.panel("top_products").inner_text()
        assert visit.figures()["transactions"] > 0
        assert visit.said == []


def test_a_new_build_is_picked_up_without_a_reload(browser: Browser, tmp_path: Path) -> None:
    from ecom_analytics.generate import generate
    from ecom_analytics.pipeline import Pipeline

    settings = build(tmp_path, "shop", events=5_000, days=10, start=FIRST)
    with serve(settings) as address, visiting(browser, address) as visit:
        visit.page.clock.install()
        visit.open("?period=all")
        before = visit.figures()
        visit.page.evaluate("() => { window.stillHere = true; }")
        generate(tmp_path / "more.csv", like="shop", events=5_000, days=10, seed=1, start=FIRST)
        built = Pipeline(settings).run(tmp_path / "more.csv", export=False).build
        with visit.refreshing():
            visit.page.clock.run_for(31_000)
        assert visit.figures()["sessions"] > before["sessions"]
        assert built.build_id in visit.page.locator("#freshness").inner_text()
        assert visit.page.evaluate("() => window.stillHere")
        assert visit.query() == "?period=all"
        assert visit.said == []


def test_before_the_first_build_it_says_so_and_then_recovers(browser: Browser, tmp_path: Path) -> None:
    from ecom_analytics import Settings

    with serve(Settings(home=tmp_path / "home", port=0)) as address, visiting(browser, address) as visit:
        visit.page.clock.install()
        visit.open()
        page = visit.page
        assert page.get_by_role("heading", name="No data yet").is_visible()
        assert page.get_by_role("alert").count() == 0
        assert page.locator("[data-panel]:visible, #controls:visible").count() == 0
        assert "No data yet" in page.get_by_role("status").first.inner_text()
        page.evaluate(axe_script())
        assert page.evaluate(VIOLATIONS) == []
        with visit.refreshing():
            page.get_by_role("button", name="Look again").click()
        assert page.get_by_role("heading", name="No data yet").is_visible()
        build(tmp_path, "shop", events=5_000, days=10, start=FIRST)
        with visit.refreshing():
            visit.page.clock.run_for(31_000)
        assert visit.figures()["sessions"] > 0
        assert page.get_by_role("heading", name="No data yet").is_hidden()
        for chart in CHARTS:
            box = visit.panel(chart).locator("canvas").bounding_box()
            assert box["width"] > 200
            assert box["height"] > 100


def test_an_unreachable_server_is_told_and_the_figures_stay(visit: Visit) -> None:
    visit.page.clock.install()
    visit.open()
    figures = visit.figures()
    visit.page.context.set_offline(True)
    visit.page.clock.run_for(31_000)
    visit.page.locator(".stale").wait_for()
    assert visit.figures() == figures
    visit.page.context.set_offline(False)
    visit.page.clock.run_for(31_000)
    visit.page.locator(".stale").wait_for(state="detached")
