"""The site of the pages in a browser, opened from the disk: `make test-browser`, which builds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.browser

SITE = Path(__file__).resolve().parents[2] / "build" / "site"


@pytest.fixture(scope="module")
def site() -> Path:
    """The folder of the site. Skips without one, unless BENCH_TEST_BROWSER says that there is one."""
    if not (SITE / "index.html").is_file():
        if os.environ.get("BENCH_TEST_BROWSER"):
            pytest.fail(f"BENCH_TEST_BROWSER is set, but there is no site in {SITE}")
        pytest.skip("needs the site (make docs)")
    return SITE


class Reader:
    """Somebody who walks through pages; what goes wrong on the way, and what is asked of another machine, is kept."""

    def __init__(self, browser: Any, width: int) -> None:
        self.troubles: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.on("console", lambda message: self.told(f"console: {message.text}", message.type == "error"))
        self.page.on("pageerror", lambda error: self.told(f"error: {error}"))
        self.page.on("request", lambda request: self.told(request.url, not request.url.startswith(("file:", "data:"))))

    def told(self, trouble: str, is_one: bool = True) -> None:
        if is_one:
            self.troubles.append(trouble)

    def open(self, page: Path) -> None:
        self.page.goto(page.as_uri())


@pytest.fixture(params=[1280, 400])
def reader(browser: Any, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A reader with a wide window, and one with a narrow one. At the end nothing may have gone wrong."""
    made = Reader(browser, request.param)
    yield made
    made.page.close()
    assert made.troubles == []


def test_every_page_fits_its_window_and_leads_somewhere(site, reader):
    dead, wide = [], []
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":
            continue  # of a server, whose addresses begin at its root
        reader.open(page)
        links = reader.page.evaluate("[...document.querySelectorAll('a[href]')].map(link => link.href)")
        targets = {unquote(urlsplit(link).path) for link in links if link.startswith("file://")}
        dead += [f"{page.name}: {target}" for target in targets if not Path(target).exists()]
        if reader.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(page.name)
    assert dead == []
    assert wide == []


def test_the_search_finds_what_a_page_has_and_leads_there(site, reader):
    reader.open(site / "index.html")
    reader.page.keyboard.press("/")
    field = reader.page.get_by_role("combobox", name="Search")
    field.fill("min F'")
    found = reader.page.get_by_text("Seeds and tests", exact=True).last
    found.wait_for()
    assert field.input_value() == "min F'"
    found.click()
    reader.page.wait_for_url("**/how-numbers-are-made.html**")


def test_an_equation_is_drawn_as_one(site, reader):
    reader.open(site / "how-numbers-are-made.html")
    assert reader.page.locator("math mfrac").count() > 5
    assert "$" not in reader.page.locator("article").inner_text()
    first = reader.page.locator("math mfrac").first.bounding_box()
    assert first is not None
    assert first["height"] > 20
