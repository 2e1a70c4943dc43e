"""The report in a browser: `make test-browser`."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

FINDINGS = "audit-published"


@pytest.fixture
def report(pages, visit):
    return lambda **how: visit(pages / "report.html", **how)


def test_columns_sort_both_ways_and_say_so(report):
    seen = report()
    heading = seen.page.locator(f"table#{FINDINGS} thead tr:last-child th[aria-sort]").first
    rows = f"table#{FINDINGS} tbody tr:not(.section, .under)"
    seen.page.locator(f"table#{FINDINGS}").evaluate("t => t.closest('details')?.setAttribute('open', '')")
    column = heading.evaluate("th => th.cellIndex")
    orders = {}
    for _ in range(3):
        heading.locator("button").click()
        state = heading.get_attribute("aria-sort")
        orders[state] = seen.page.locator(rows).evaluate_all(f"rows => rows.map(r => r.cells[{column}].textContent)")
    assert {"ascending", "descending"} <= orders.keys()
    assert sorted(orders["ascending"]) == sorted(orders["descending"])
    assert orders["ascending"] != orders["descending"]


def test_a_filter_leaves_the_rows_that_have_all_its_words_and_counts_them(report):
    seen = report()
    seen.page.locator(f"table#{FINDINGS}").evaluate("t => t.closest('details')?.setAttribute('open', '')")
    rows = seen.page.locator(f"table#{FINDINGS} tbody tr:not(.section, .under)")
    total = rows.count()
    seen.page.fill(f"#{FINDINGS}-filter", "ign f1")
    shown = [row for row in rows.all() if row.is_visible()]
    assert 0 < len(shown) < total
    for row in shown:
        text = row.text_content().lower()
        assert "ign" in text
        assert "f1" in text
    assert seen.page.inner_text(f"#{FINDINGS}-filter-count") == f"{len(shown)} of {total}"


def test_it_leads_to_the_explorer_beside_it_and_to_its_sections(report, pages):
    seen = report()
    assert seen.page.get_attribute("nav a.page", "href") == "explorer.html"
    for link in seen.page.locator("nav a[href^='#']").all():
        assert seen.page.locator(link.get_attribute("href")).count() == 1


@pytest.mark.parametrize("width", [400, 1000])
def test_a_link_shows_the_heading_of_its_section(report, width):
    sections = [link.get_attribute("href") for link in report().page.locator("nav a[href^='#']").all()]
    for section in sections:
        seen = report(width=width)
        seen.page.click(f"nav a[href='{section}']")
        # What comes into sight is laid out for the next frame, and moves what is below it.
        nav, heading, below = seen.page.evaluate(
            """section => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done([
                document.querySelector("nav").getBoundingClientRect().bottom,
                document.querySelector(section + " h2").getBoundingClientRect().top,
                document.documentElement.scrollHeight - window.innerHeight - window.scrollY,
            ]))))""",
            section,
        )
        assert nav <= heading
        assert heading < nav + 100 or (below < 2 and heading < 900)


def test_all_sections_are_in_sight_in_the_navigation_of_a_wide_window(report):
    links = report(width=1000).page.locator("nav ul")
    links.evaluate("list => list.append(...[...list.children].map(item => item.cloneNode(true)))")
    assert links.evaluate("list => list.scrollWidth - list.clientWidth") <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(report, width, scheme):
    seen = report(width=width, scheme=scheme)
    assert seen.page.locator("section").count() > 3
    assert seen.overflow <= 0


def test_dark_is_dark(report):
    backgrounds = []
    for scheme in ("light", "dark"):
        seen = report(scheme=scheme)
        script = "getComputedStyle(document.documentElement).backgroundColor + getComputedStyle(document.body).color"
        backgrounds.append(seen.page.evaluate(script))
    assert backgrounds[0] != backgrounds[1]
