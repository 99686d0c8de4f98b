"""What the browser tests share: a Chromium, a page that records what goes wrong, and data that look like a shop's."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Response

    from ecom_analytics import Settings

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
FIRST, DAYS = date(2026, 7, 11), 70
VIOLATIONS = """async () => (await axe.run()).violations.map((v) =>
  `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 160)} ${n.failureSummary}`).join(" | ")}`)"""
SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def _missing(what: str) -> None:
    reason = f"the browser tests need {what}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium; without one, or without Playwright, the test skips (in CI it fails)."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        _missing("a chromium on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _missing("the package playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def axe_script() -> str:
    """The text of axe-core, as the package axe-playwright-python carries it."""
    try:
        import axe_playwright_python
    except ModuleNotFoundError:
        _missing("the package axe-playwright-python")
    (script,) = Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")
    return script.read_text(encoding="utf-8")


@dataclass
class Visit:
    """One page of one visitor, and whatever it said, asked for and got."""

    page: Page
    address: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    got: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", lambda response: self.got.append(response))

    def open(self, query: str = "") -> Visit:
        """Go to a page, with a query or without, and wait until its panels are settled."""
        self.page.goto(f"{self.address}/{query}")
        self.settle(1)
        return self

    @property
    def refreshes(self) -> int:
        return int(self.page.evaluate("() => document.documentElement.dataset.ready"))

    def settle(self, count: int) -> None:
        """Wait until the page has refreshed itself this many times."""
        self.page.wait_for_function("(count) => Number(document.documentElement.dataset.ready) >= count", arg=count)

    @contextmanager
    def refreshing(self) -> Iterator[None]:
        """What happens inside makes the page refresh itself; wait for it."""
        before = self.refreshes
        yield
        self.settle(before + 1)

    def query(self) -> str:
        """The query in the address bar."""
        return str(self.page.evaluate("() => location.search"))

    def figures(self) -> dict[str, float | None]:
        """The key figures as shown, exact."""
        shown: dict[str, str] = self.page.evaluate(
            "() => Object.fromEntries([...document.querySelectorAll('[data-kpi]')].map((cell) =>"
            " [cell.dataset.kpi, cell.querySelector('[data-value]')?.dataset.value ?? '']))"
        )
        return {name: float(value) if value else None for name, value in shown.items()}

    def api(self, route: str) -> Any:
        """The answer of the API to the same visitor."""
        response = self.page.request.get(f"{self.address}/api/v1/{route}")
        assert response.ok, response.text()
        return json.loads(response.text())

    def panel(self, name: str) -> Any:
        return self.page.locator(f'[data-panel="{name}"]')

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth"))


@contextmanager
def visiting(
    browser: Browser, address: str, *, width: int = 1440, height: int = 900, theme: str = "light", **more: Any
) -> Iterator[Visit]:
    """A visitor with a new browser profile, in English and far from the store's time zone."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        locale="en-GB",
        timezone_id="Pacific/Auckland",
        **more,
    )
    context.set_default_timeout(20_000)
    context.add_init_script(SHIFTS)
    try:
        yield Visit(context.new_page(), address.rstrip("/"))
    finally:
        context.close()


def build(folder: Path, like: str, **shape: Any) -> Settings:
    """A warehouse below ``folder``, from generated events."""
    from ecom_analytics import Settings
    from ecom_analytics.generate import generate
    from ecom_analytics.pipeline import Pipeline

    settings = Settings(home=folder / "home", port=0)
    generate(folder / "events.csv", like=like, **shape)
    Pipeline(settings).run(folder / "events.csv", export=False)
    return settings


def serve(settings: Settings) -> Any:
    """Serve it for as long as a block lasts."""
    from ecom_analytics.dashboard.serving import serving

    return serving(settings)
