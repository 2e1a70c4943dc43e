"""DWIE in its authors' form: invented articles."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.documents import Document, Label, Mention
from bench.data.formats import document_checks as checks
from bench.data.formats.detect import detect, scan
from bench.data.formats.dwie import RELATIONS, DwieChecker, type_of
from bench.metrics.official import gold_outside

CONTENT = "Palk City wins\nPalk's mayor, Ann Zorin, spoke."
ARTICLE: dict[str, Any] = {
    "id": "DW_7",
    "content": CONTENT,
    "tags": ["all", "train"],
    "mentions": [
        {"begin": 0, "end": 9, "text": "Palk City", "concept": 4, "candidates": [], "scores": []},
        {"begin": 15, "end": 19, "text": "Palk", "concept": 4},
        {"begin": 15, "end": 27, "text": "Palk's mayor", "concept": 9},
        {"begin": 29, "end": 38, "text": "Ann Zorin", "concept": 0},
    ],
    "concepts": [
        {"concept": 0, "text": "Ann Zorin", "tags": ["type::entity", "type::person", "type::politician"]},
        {"concept": 4, "text": "Palk City", "tags": ["slot::in", "type::entity", "type::gpe2", "type::location"]},
        {"concept": 9, "text": "Palk's mayor", "tags": ["type::role", "type::value"]},
        {"concept": 2, "keyword": True, "tags": []},
    ],
    "relations": [
        {"s": 0, "p": "mayor_of", "o": 4},
        {"s": 0, "p": "citizen_of", "o": 2},
        {"s": 4, "p": "vs", "o": 4},
        {"s": 0, "p": "mayor_of", "o": 4},
    ],
    "frames": [],
    "iptc": ["11000000"],
}


def saved(folder: Path, *items: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for number, item in enumerate(items):
        (folder / f"DW_{number}.json").write_text(json.dumps(item, indent=4, ensure_ascii=False), encoding="utf-8")
    return folder


def test_an_article_is_a_document_of_its_concepts(tmp_path: Path) -> None:
    folder = saved(tmp_path / "annos", ARTICLE, ARTICLE | {"id": "DW_8", "tags": ["all", "test"]})
    assert detect(folder).name == "dwie"
    result = scan(folder)
    assert not result.problems
    assert result.parts == {"DW_7": "train", "DW_8": "test"}
    words = ("Palk", "City", "wins", "Palk", "'", "s", "mayor", ",", "Ann", "Zorin", ",", "spoke", ".")
    assert result.documents[0] == Document(
        "DW_7",
        (words,),
        (
            (Mention(0, 8, 10, "Ann Zorin", "person"),),
            (Mention(0, 0, 2, "Palk City", "location"), Mention(0, 3, 4, "Palk", "location")),
            (Mention(0, 3, 7, "Palk's mayor", "role"),),
            (),
        ),
        (Label(0, 1, "mayor_of"), Label(0, 3, "citizen_of"), Label(1, 1, "vs"), Label(0, 1, "mayor_of")),
        ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)),
    )
    assert +result.notes == {
        checks.NO_MENTIONS: 2,
        checks.OF_NO_MENTIONS: 2,
        checks.OF_ITSELF: 2,
        checks.DUPLICATE_LABELS: 2,
    }
    assert gold_outside(result.documents) == 4


def test_an_article_alone_a_list_and_zipped_articles_are_read_the_same(tmp_path: Path) -> None:
    folder = saved(tmp_path / "annos", ARTICLE)
    (tmp_path / "list.json").write_text(json.dumps([ARTICLE]))
    zipped = tmp_path / "zipped"
    zipped.mkdir()
    (zipped / "DW_7.json.gz").write_bytes(gzip.compress(json.dumps(ARTICLE).encode()))
    documents = scan(folder).documents
    for path in (folder / "DW_0.json", tmp_path / "list.json", zipped):
        assert detect(path).name == "dwie"
        assert scan(path).documents == documents


@pytest.mark.parametrize(
    ("tags", "type_"),
    [
        ([], ""),
        (["slot::in", "topic::none"], ""),
        (["type::entity"], "entity"),
        (["type::entity", "type::film_title", "type::misc", "type::work_of_art"], "misc"),
        (["type::entity", "type::location", "type::organization"], "organization"),
        (["type::gpe0-x", "type::other"], "gpe0-x"),
        (["type::footer", "type::other"], "footer"),
        (["type::time", "type::value"], "time"),
    ],
)
def test_the_type_is_the_kind_right_below_entity_and_value(tags: list[str], type_: str) -> None:
    assert type_of(tags) == type_


def test_annotations_without_the_texts_are_told_as_such(tmp_path: Path) -> None:
    bare = {key: value for key, value in ARTICLE.items() if key != "content"}
    (problem,) = scan(saved(tmp_path / "annos", bare, bare | {"id": "DW_8"})).problems
    assert "no document has content; these are DWIE's annotations without the texts" in str(problem)
    assert "src/dwie_download.py" in str(problem)


def changed(place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    item = copy.deepcopy(ARTICLE)
    part: Any = item
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return item


MISTAKES: list[tuple[tuple[Any, ...], Any, str]] = [
    (("content",), " \n", "content = ' \\n': empty document, expected a text"),
    (("tags",), ["train", "test"], "expected train or test, found both"),
    (("tags",), "train", "tags = 'train': expected a list of strings"),
    (("mentions", 1), 3, "mentions[1] = 3: expected a mention (an object with begin, end, text, concept)"),
    (("mentions", 1, "end"), 99, "mentions[1].begin = 15, end = 99: expected begin < end inside of the text (46 char"),
    (("mentions", 1, "end"), 15, "mentions[1].begin = 15, end = 15: expected begin < end"),
    (("mentions", 1, "text"), "Talk", "mentions[1].text = 'Talk': the text from 15 to 19 is \"Palk\""),
    (("mentions", 1, "concept"), 3, "mentions[1].concept = 3: no concept of this article (4 concepts)"),
    (("concepts", 1, "concept"), 0, "concepts[1].concept = 0: the number of a concept before"),
    (("concepts", 1, "tags"), [3], "concepts[1].tags = [3]: expected a list of strings"),
    (("relations", 0, "o"), 5, "relations[0].o = 5: no concept of this article (4 concepts)"),
    (("relations", 0, "p"), "mayor", "relations[0].p = 'mayor': not a relation of this data set (65 known)"),
]


@pytest.mark.parametrize(("place", "value", "message"), MISTAKES, ids=[message for _, _, message in MISTAKES])
def test_a_mistake_is_named_with_article_field_and_what_was_expected(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    problems = [str(problem) for problem in scan(saved(tmp_path / "annos", ARTICLE, changed(place, value))).problems]
    assert any(message in problem for problem in problems), problems


def test_a_file_of_the_folder_that_is_no_json_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "annos", ARTICLE, ARTICLE)
    (folder / "DW_1.json").write_text("3")
    (problem,) = scan(folder).problems
    assert str(problem) == "DW_1.json: expected a JSON list of documents, found a number"
    (folder / "DW_1.json").write_text('{"id": ]')
    (folder / "notes.txt").write_text("not read")
    (problem,) = scan(folder).problems
    assert str(problem).startswith("DW_1.json, line 1, column 8: not JSON")
    (tmp_path / "empty").mkdir()
    (problem,) = scan(tmp_path / "empty").problems
    assert "a folder, expected a file" in str(problem)


def test_a_folder_is_known_by_the_first_article_that_is_whole(tmp_path: Path) -> None:
    folder = saved(tmp_path / "annos", ARTICLE, ARTICLE | {"id": "DW_8"})
    (folder / "DW_0.json").write_text("")
    (problem,) = scan(folder).problems
    assert str(problem).startswith("DW_0.json: empty file")


def test_spaces_that_the_download_changes_are_no_difference(tmp_path: Path) -> None:
    item = ARTICLE | {"content": CONTENT.replace("Ann Zorin", "Ann\u00a0Zorin")}
    assert not scan(saved(tmp_path / "annos", item)).problems


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


ODD = st.none() | st.booleans() | st.integers(-2, 50) | st.sampled_from(["", "x", "\ud800", [], [0], {}, 1.5, 10**400])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(places(ARTICLE)), ODD)
def test_an_article_with_anything_anywhere_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    checker = DwieChecker(frozenset(RELATIONS))
    document = checker.check(0, changed(place, value))
    assert (document is None) == bool(checker.problems)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.text("ab.,' \n甲é", min_size=1, max_size=40).filter(str.strip))
def test_mentions_are_the_words_at_their_offsets(data: st.DataObject, content: str) -> None:
    edges = st.lists(st.integers(0, len(content)), min_size=2, max_size=2, unique=True)
    spans = [(min(pair), max(pair)) for pair in data.draw(st.lists(edges, max_size=4))]
    mentions = [{"begin": a, "end": b, "text": content[a:b], "concept": at % 2} for at, (a, b) in enumerate(spans)]
    item = ARTICLE | {"content": content, "mentions": mentions, "relations": []}
    item["concepts"] = [{"concept": 0, "tags": []}, {"concept": 1, "tags": []}]
    document = DwieChecker(frozenset(RELATIONS)).check(0, item)
    assert document is not None
    (words,) = document.sentences
    found = [mention for at in range(2) for mention in document.entities[at]]
    named = [mention for at in range(2) for mention in mentions[at::2]]
    for mention, given_ in zip(found, named, strict=True):
        assert "".join(words[mention.start : mention.end]) == "".join(str(given_["text"]).split())
