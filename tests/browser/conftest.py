"""A real browser for the pages: Debian's chromium, driven by playwright. `make test-browser` installs both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import explored_runs
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The browser, without any window. Skips without one, unless BENCH_TEST_BROWSER says that there is one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if sync_playwright is None or found is None:
        missing = "playwright" if sync_playwright is None else "chromium"
        if os.environ.get("BENCH_TEST_BROWSER"):
            pytest.fail(f"BENCH_TEST_BROWSER is set, but there is no {missing}")
        pytest.skip(f"needs a browser: no {missing} (make test-browser)")
    # Chromium's sandbox refuses to run as root, which is who runs in a container.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


class Visit:
    """A page as somebody looks at it, with all that it should not do: errors, and requests of anything but itself."""

    def __init__(self, browser: Any, path: Path, fragment: str, width: int, scheme: str) -> None:
        self.troubles: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.context.route("**/*", self._route)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.own = path.as_uri()
        self.page.on("console", lambda message: self.troubles.append(f"console {message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.goto(self.own + fragment)

    def _route(self, route: Any) -> None:
        url = route.request.url
        if url.partition("#")[0] == self.own or url.startswith("data:"):
            route.continue_()
        else:
            self.troubles.append(f"request: {url}")
            route.abort()

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    @property
    def overflow(self) -> int:
        """How many pixels wider than the window the page is."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """A function that opens a file. At the end of the test nothing may have gone wrong on any page."""
    visits: list[Visit] = []

    def open_page(path: Path, fragment: str = "", width: int = 1280, scheme: str = "light") -> Visit:
        visits.append(Visit(browser, path, fragment, width, scheme))
        return visits[-1]

    yield open_page
    for made in visits:
        made.context.close()
    assert [trouble for made in visits for trouble in made.troubles] == []


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with explorer.html and report.html of two runs, as the commands write them."""
    from bench.cli.main import command_line

    folder = tmp_path_factory.mktemp("pages with a 'name' é")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder / "home"))
        dataset = explored_runs.register(folder / "data")
        explored_runs.write_run(folder / "out", dataset, "atlop", 3)
        explored_runs.write_run(folder / "out", dataset, "ssrpu", 4)
        to = folder / "pages"
        for command in (["explore", "--to", to / "explorer.html"], ["report", "--no-figures", "--to", to]):
            command_line()([*map(str, command), "--out", str(folder / "out")], standalone_mode=False)
    return to
