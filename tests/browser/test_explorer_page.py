"""The explorer in a browser: `make test-browser`."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from explored_runs import EMOJI, KNOWS, RIGHT_TO_LEFT, SCRIPT

pytestmark = pytest.mark.browser
SIGN_OF = {"found": "✓", "missed": "○", "wrong": "✗", "near": "·"}


@pytest.fixture
def explorer(pages, visit):
    """Opens the page at a part of its address."""
    return lambda fragment="", **how: visit(pages / "explorer.html", fragment, **how)


def at(title: str, **filters: str) -> str:
    """The address of a document with filters."""
    return "#" + "&".join(f"{name}={quote(value, safe='')}" for name, value in {"doc": title, **filters}.items())


def choose(seen, name: str, value: str) -> None:
    seen.page.select_option(f"#filters [name={name}]", value)


def titles(seen) -> list[str]:
    return seen.texts("#list .name")


def verdicts(seen) -> list[list[str]]:
    """The signs in each row of the table of triples, a column per run."""
    script = "rows => rows.map(row => [...row.querySelectorAll('.verdict .sign')].map(sign => sign.textContent))"
    return seen.page.locator("#rows tr[data-triple]").evaluate_all(script)


def test_scores_of_the_runs_are_those_of_their_records(explorer, pages):
    seen = explorer()
    records = [json.loads(path.read_text())["record"] for path in sorted(pages.parent.glob("out/runs/*/record.json"))]
    assert [f"{record['splits']['test']['scores']['f1']:.2f}" for record in records] == seen.texts(
        "#runs td:nth-child(2)"
    )
    assert len(titles(seen)) == 33


@pytest.mark.parametrize("title", [SCRIPT, RIGHT_TO_LEFT, EMOJI])
def test_a_hostile_document_is_text_and_its_mentions_are_in_their_places(explorer, title):
    seen = explorer(at(title))
    assert seen.page.inner_text("#title") == title
    name = title.replace(" ", "_") if title == SCRIPT else title
    own = "[...e.childNodes].filter(n => n.nodeName !== 'SUB').map(n => n.textContent).join('')"
    shown = f"elements => elements.map(e => {own})"
    mentions = seen.page.locator("#text .mention").evaluate_all(shown)
    assert mentions == [name, "New York2 City", "York", name]
    assert seen.page.evaluate("window.pwned") is None
    assert seen.page.locator("main img, main b").count() == 0
    assert seen.texts("#list a[aria-current] .name") == [title]


def test_a_relation_whose_name_looks_like_markup_is_text(explorer):
    seen = explorer(at("test 0"))
    assert f"▸ {KNOWS}" in [f"▸ {text}" for text in seen.texts("#rows .relation")]
    assert any(KNOWS in text for text in seen.texts("#filters [name=relation] option"))


@pytest.mark.parametrize("kind", ["found", "missed", "wrong"])
def test_a_kind_of_error_narrows_triples_documents_and_the_address(explorer, kind):
    seen = explorer()
    choose(seen, "kind", kind)
    assert (len(titles(seen)) < 33) == (kind != "found")  # every document has something that was found
    for place in range(1, 5):
        seen.page.click(f"#list li:nth-child({place}) a")
        assert verdicts(seen)
        assert all(SIGN_OF[kind] in row for row in verdicts(seen))
    assert f"kind={kind}" in seen.page.url


def test_a_kind_of_error_can_be_that_of_one_run(explorer):
    seen = explorer(at("test 0"))
    choose(seen, "kind", "missed")
    choose(seen, "run", "1")
    for _ in range(4):
        assert all(row[1] == "○" for row in verdicts(seen))
        seen.page.keyboard.press("j")
    listed = seen.page.inner_text("#list-count")
    missed = int(seen.texts("#runs tbody tr:nth-child(2) td:nth-child(6)")[0])
    assert f"{missed} triples" in listed


def test_where_runs_differ_no_row_has_one_verdict_for_both(explorer):
    seen = explorer()
    choose(seen, "kind", "differ")
    assert 0 < len(titles(seen)) < 33
    for _ in range(5):
        seen.page.keyboard.press("j")
        assert verdicts(seen)
        assert all(row[0] != row[1] for row in verdicts(seen))


def test_a_relation_and_a_distance_narrow_counts_and_triples(explorer):
    seen = explorer(at("test 1"))
    before = seen.texts("#runs td.number")
    choose(seen, "relation", "knows")
    assert set(seen.texts("#rows .relation")) == {KNOWS}
    assert seen.texts("#runs td.number") != before
    choose(seen, "distance", "inter")
    assert titles(seen) == []  # all who know each other do so within a sentence
    assert "No triple" in seen.page.inner_text("#rows")
    seen.page.click("#filters button[type=reset]")
    assert seen.texts("#runs td.number") == before
    assert "relation" not in seen.page.url


def test_rejected_triples_are_shown_when_asked_for_nearest_first(explorer):
    seen = explorer(at("test 0"))
    choose(seen, "kind", "near")
    assert verdicts(seen)
    assert {sign for row in verdicts(seen) for sign in row} == {"·"}
    seen.page.click("#rows thead button[data-column='run:0']")
    margins = [
        float(text.replace("−", "-")) for text in seen.texts("#rows td.verdict:nth-child(4) .number") if text != "–"
    ]
    assert margins == sorted(margins, reverse=True)
    assert margins[0] < 0


def test_columns_sort_both_ways_and_say_so(explorer):
    seen = explorer(at("test 1"))
    heading = "#rows th:has(button[data-column=relation])"
    for direction in ("ascending", "descending"):
        seen.page.click(f"{heading} button")
        shown = seen.texts("#rows .relation")
        assert shown == sorted(shown, reverse=direction == "descending")
        assert len(set(shown)) == 2
        assert seen.page.get_attribute(heading, "aria-sort") == direction
    assert seen.page.locator("#rows th[aria-sort=ascending], #rows th[aria-sort=descending]").count() == 1


def test_documents_sort_by_errors_and_by_title(explorer):
    seen = explorer()
    choose(seen, "sort", "errors")
    errors = [sum(map(int, re.findall(r"[○✗](\d+)", text))) for text in seen.texts("#list .counts")]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]
    choose(seen, "sort", "title")
    assert titles(seen).index("test 10") < titles(seen).index("test 9")


def test_titles_are_searched_without_regard_to_case_and_accents(explorer):
    seen = explorer()
    seen.page.keyboard.press("/")
    seen.page.keyboard.type("TÉST 2")
    assert titles(seen) == ["test 2", *(f"test {i}" for i in range(20, 30))]
    assert "11 of 33 documents" in seen.page.inner_text("#counted")
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("j")
    assert seen.page.inner_text("#title") == "test 2"


def test_a_document_is_picked_by_click_and_by_key_and_the_way_back_is_kept(explorer):
    seen = explorer(at("test 0"))
    seen.page.click("#list a:has-text('test 4')")
    assert seen.page.inner_text("#title") == "test 4"
    assert seen.page.url.endswith(at("test 4"))
    seen.page.keyboard.press("j")
    assert seen.page.inner_text("#title") == "test 5"
    seen.page.keyboard.press("k")
    seen.page.go_back()
    assert seen.page.inner_text("#title") == "test 5"
    assert seen.texts("#list a[aria-current] .name") == ["test 5"]


def test_an_address_brings_back_document_filters_and_triple(explorer):
    seen = explorer(at("test 1"))
    choose(seen, "kind", "error")
    choose(seen, "relation", "leads")
    seen.page.keyboard.press("n")
    assert "triple=" in seen.page.url
    again = explorer("#" + seen.page.url.partition("#")[2])
    for selector in ("#title", "#rows", "#list", "#runs", "#text"):
        assert again.page.inner_text(selector) == seen.page.inner_text(selector)
    assert again.page.locator("#rows tr.chosen").count() == 1


def test_the_document_that_is_open_is_in_sight_in_the_list(explorer):
    seen = explorer(at("test 29"))
    for key in ("k", "j"):
        listed, item = (seen.page.locator(s).bounding_box() for s in ("#list", "#list a[aria-current]"))
        assert listed["y"] <= item["y"]
        assert item["y"] + item["height"] <= listed["y"] + listed["height"]
        seen.page.keyboard.press(key)


@pytest.mark.parametrize("fragment", ["#test%207", "#test 7", "#doc=test+7&run=77&kind=nonsense&triple=x&entity=99"])
def test_a_bare_title_and_an_address_of_nonsense_open_what_they_can(explorer, fragment):
    seen = explorer(fragment)
    assert seen.page.inner_text("#title") == "test 7"
    assert len(titles(seen)) == 33


def test_a_chosen_triple_marks_its_ends_and_evidence_and_shows_logit_and_threshold(explorer):
    seen = explorer(at("test 0"))
    seen.page.click(f"#rows tr:has(.relation:text-is({json.dumps(KNOWS)}))")
    assert seen.page.get_attribute("#rows tr.chosen .relation", "aria-expanded") == "true"
    assert set(seen.texts("#text .as-head")) == {"Ada0"}
    assert set(seen.texts("#text .as-tail")) == {"Bert1"}
    assert seen.texts(".sentence.evidence .tags span")[0] == "evidence"
    assert "evidence of A, B" in seen.texts(".sentence.said .tags span")
    for line in seen.texts(".detail li"):
        logit, bar, margin = (float(x.replace("−", "-")) for x in re.findall(r"[+−-]?\d+\.\d\d", line))
        assert "the threshold class" in line
        assert logit - bar == pytest.approx(margin)
    seen.page.keyboard.press("Escape")
    assert seen.page.locator(".as-head, .as-tail, .evidence, .detail").count() == 0


def test_an_entity_leaves_its_triples_alone_in_the_table(explorer):
    seen = explorer(at("test 1"))
    seen.page.click("#entities button[data-entity='2']")
    chips = "rows => rows.map(row => [...row.querySelectorAll('.mention')].map(chip => chip.dataset.entity))"
    rows = seen.page.locator("#rows tr[data-triple]").evaluate_all(chips)
    assert rows
    assert all("2" in row for row in rows)
    assert seen.page.locator("#text .as-entity").count() == 2
    seen.page.click("#chosen-entity button")
    assert seen.page.locator("#rows tr[data-triple]").count() > len(rows)


def test_entities_are_told_apart_without_colour(explorer):
    seen = explorer(at("test 0"))
    labels = "marks => marks.map(mark => mark.dataset.entity === mark.querySelector(':scope > sub').textContent)"
    assert all(seen.page.locator("#text .mention").evaluate_all(labels))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_text_can_be_read_and_nothing_is_wider_than_the_window(explorer, width, scheme):
    seen = explorer(at("test 0"), width=width, scheme=scheme)
    seen.page.keyboard.press("n")
    assert seen.overflow <= 0
    pairs = ["body", ".quiet", "#text .mention", "td.verdict.found", "td.verdict.wrong", "#runs .rule", ".detail td"]
    for selector in pairs:
        assert contrast(seen, selector) >= 4.5, selector
    seen.page.keyboard.press("?")
    assert seen.page.locator("#help").is_visible()
    assert seen.overflow <= 0


def contrast(seen, selector: str) -> float:
    """Of an element's text with what is behind it (WCAG 2.1)."""
    colours = seen.page.locator(selector).first.evaluate(
        """element => {
          let behind = element;
          const of = e => getComputedStyle(e).backgroundColor;
          while (of(behind) === "rgba(0, 0, 0, 0)" && behind.parentElement) behind = behind.parentElement;
          return [getComputedStyle(element).color, of(behind)];
        }"""
    )
    one, other = (luminance([float(x) / 255 for x in re.findall(r"[\d.]+", colour)[:3]]) for colour in colours)
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def luminance(colour: list[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_on_paper_are_the_document_and_its_triples_alone(explorer):
    seen = explorer(at("test 0"))
    seen.page.emulate_media(media="print")
    assert not seen.page.locator("#filters").is_visible()
    assert not seen.page.locator("#list").is_visible()
    assert seen.page.locator("#text").is_visible()
    assert seen.page.locator("#rows").is_visible()
