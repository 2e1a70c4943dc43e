"""Forms of DocRED's kind, under other keys: Linked-DocRED, HacRED, DocGNRE. Invented documents."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.documents import Document, Label, Mention, text_of
from bench.data.formats import docgnre, hacred, linked_docred
from bench.data.formats import document_checks as checks
from bench.data.formats.detect import FORMATS, detect, scan
from bench.data.formats.docred import document_as_json
from bench.data.formats.document_checks import DocumentChecker
from bench.data.formats.sound import sound_columns

LINKED: dict[str, Any] = {
    "title": "Palk",
    "sents": [["Zorin", "met", "Palk", "."], ["She", "left", "."]],
    "entities": [
        {
            "id": 7,
            "type": "PER",
            "entity_linking": {"wikipedia_resource": "Zorin", "method": "manual", "confidence": "A"},
            "mentions": [
                {"name": "She", "sent_id": 1, "pos": [0, 1]},
                {"name": "Zorin", "sent_id": 0, "pos": [0, 1]},
            ],
        },
        {"id": 0, "type": "LOC", "entity_linking": {}, "mentions": [{"name": "Palk", "sent_id": 0, "pos": [2, 3]}]},
    ],
    "relations": [{"r": "P1", "h": 7, "t": 0, "evidence": [0]}, {"r": "P2", "h": 0, "t": 7}],
}
HACRED: dict[str, Any] = {
    "id": 6020,
    "text": "甲先生写乙。",
    "sents_char": [["甲", "先", "生", "写", "乙", "。"]],
    "vertex_char": [
        [{"name": "甲先生", "sent_id": 0, "type": "PER", "pos": [0, 3]}],
        [{"name": "乙", "sent_id": 0, "type": "WORK", "pos": [4, 5]}],
    ],
    "labels_char": [{"r": "作者", "h": 1, "t": 0}],
    "sents_word": [["甲先生", "写", "乙", "。"]],
    "vertex_word": [[{"name": "甲先生", "sent_id": 0, "type": "PER", "pos": [0, 1]}], []],
    "labels_word": [],
}
DOCGNRE: dict[str, Any] = {
    "title": "Palk",
    "sents": [["Zorin", "met", "Palk", "."]],
    "vertexSet": [
        [{"name": "Zorin", "sent_id": 0, "pos": [0, 1], "type": "PER", "global_pos": [0, 0], "index": "0_0"}],
        [{"name": "Palk", "sent_id": 0, "pos": [2, 3], "type": "PER", "global_pos": [2, 2], "index": "1_0"}],
    ],
    "labels": [{"h": 0, "t": 1, "r": "P1", "evidence": [0]}],
    "gpt_labels": [
        {"h": 0, "t": 1, "r": "P1", "score": 0.9},
        {"h": 1, "t": 0, "r": "P2", "score": 0.7},
        {"h": 0, "t": 1, "r": "P3", "score": -0.1},
    ],
    "nli_result2gpt_triple": {},
}


def saved(folder: Path, *items: Any, lines: bool = False) -> Path:
    path = folder / "some file é.json"
    rows = [json.dumps(item, ensure_ascii=False) for item in items]
    path.write_text("\n".join(rows) if lines else f"[{', '.join(rows)}]", encoding="utf-8")
    return path


def test_entities_of_linked_docred_are_named_by_id_and_typed_as_a_whole(tmp_path: Path) -> None:
    path = saved(tmp_path, LINKED)
    assert detect(path).name == "linked-docred"
    result = scan(path)
    assert not result.problems
    document = Document(
        "Palk",
        (("Zorin", "met", "Palk", "."), ("She", "left", ".")),
        ((Mention(1, 0, 1, "She", "PER"), Mention(0, 0, 1, "Zorin", "PER")), (Mention(0, 2, 3, "Palk", "LOC"),)),
        (Label(0, 1, "P1", (0,)), Label(1, 0, "P2")),
    )
    assert result.documents == (document,)
    assert linked_docred.sound_document(LINKED) == document


def test_a_test_file_of_linked_docred_is_blind_and_its_old_entities_are_not_read(tmp_path: Path) -> None:
    item = {key: value for key, value in LINKED.items() if key != "relations"} | {"old-entities": LINKED["entities"]}
    result = scan(saved(tmp_path, item))
    assert (result.labelled, result.problems, len(result.documents[0].entities)) == (False, (), 2)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def changed(item: dict[str, Any], place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    item = copy.deepcopy(item)
    part: Any = item
    for key in place[:-1]:
        part = part[key]
    if value is MISSING:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return item


MISSING = object()
FORMS: dict[str, tuple[DocumentChecker, dict[str, Any]]] = {
    "linked": (linked_docred.LinkedChecker(None), LINKED),
    "hacred": (hacred.HacredChecker(None), HACRED),
    "hacred, unsegmented": (hacred.HacredChecker(None), HACRED | {"sents_char": ["甲先生写乙。"]}),
    "docgnre": (docgnre.DocgnreChecker(None), DOCGNRE),
}
# What a form does not read may be anything.
READ = {
    which: [place for place in places(item) if not {"text", "sents_word", "entity_linking", "global_pos"} & {*place}]
    for which, (_, item) in FORMS.items()
}
ODD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 3, 7, 10**400, 0.0, 1.0, float("nan"), "", " ", "a", "甲", "\ud800"),
    *([], [0], [0, 1], [0, 1, 2], [True, 2], [[]], [""], ["a"], [["a"]], [None], [{}], {}, {"h": 0}, {"id": 1}),
    MISSING,
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([(which, place) for which, of in READ.items() for place in of]), st.sampled_from(ODD))
def test_an_element_is_sound_where_none_of_its_parts_has_a_problem(where: tuple[str, Any], value: Any) -> None:
    which, place = where
    if value is MISSING and not place:
        return
    checker, item = FORMS[which]
    checker = type(checker)(None)
    checker.begin(0)
    element = changed(item, place, value)
    sound = sound_columns(element, None, checker.columns_of)
    checker._name_problems(element)
    assert (sound is None) == bool(checker.problems)


MISTAKES: list[tuple[str, tuple[Any, ...], Any, str]] = [
    ("linked", ("entities", 1), 3, "entities[1] = 3: expected an entity (an object with id, type, mentions)"),
    ("linked", ("entities", 1, "id"), 7, "entities[1].id = 7: the id of an entity before"),
    ("linked", ("entities", 0, "type"), MISSING, "entities[0].type: missing, expected a string"),
    ("linked", ("entities", 0, "mentions", 1, "pos"), [3, 9], "entities[0].mentions[1].pos = [3, 9]: ends after"),
    ("linked", ("relations", 0, "t"), 1, "relations[0].t = 1: not an entity of this document (ids 7, 0)"),
    ("hacred", ("id",), MISSING, "id: missing, expected a number or a string"),
    ("hacred", ("vertex_char", 1, 0, "pos"), [4, 9], "vertex_char[1][0].pos = [4, 9]: ends after the sentence (6 char"),
    ("hacred", ("labels_char", 0, "h"), 2, "labels_char[0].h = 2: not an entity of this document (2 entities)"),
    ("hacred, unsegmented", ("sents_char", 0), " ", "sents_char[0] = ' ': empty sentence"),
    ("docgnre", ("gpt_labels", 1, "r"), 3, "gpt_labels[1].r = 3: expected a relation (a string)"),
    ("docgnre", ("gpt_labels", 1, "score"), MISSING, "gpt_labels[1].score = null: expected a number"),
    ("docgnre", ("labels",), MISSING, "labels: missing, though the document has gpt_labels"),
]


@pytest.mark.parametrize(("which", "place", "value", "message"), MISTAKES, ids=[m[-1] for m in MISTAKES])
def test_a_mistake_is_named_by_the_keys_of_its_form(
    tmp_path: Path, which: str, place: tuple[Any, ...], value: Any, message: str
) -> None:
    _, item = FORMS[which]
    form = FORMATS[{"linked": "linked-docred", "docgnre": "docgnre"}.get(which, "hacred")]
    path = saved(tmp_path, item, changed(item, place, value) | ({"title": "b"} if "title" in item else {}))
    problems = [str(problem) for problem in form.scan(path, None, True).problems]
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize("lines", [True, False])
def test_hacred_is_read_by_character_one_document_a_line_or_in_a_list(tmp_path: Path, lines: bool) -> None:
    path = saved(tmp_path, HACRED, HACRED | {"id": "6021"}, lines=lines)
    assert detect(path).name == "hacred"
    result = scan(path)
    assert not result.problems
    assert not result.notes  # a name is its characters, without spaces between them
    first, second = result.documents
    assert (first.title, second.title) == ("6020", "6021")
    assert first.sentences == (("甲", "先", "生", "写", "乙", "。"),)
    assert first.labels == (Label(1, 0, "作者"),)
    assert text_of(first.sentences[0]) == "甲先生写乙。"


def test_a_line_that_is_no_json_is_named_by_its_number(tmp_path: Path) -> None:
    path = saved(tmp_path, HACRED, HACRED | {"id": 2}, lines=True)
    path.write_text(path.read_text(encoding="utf-8") + "\n{'id': 3}", encoding="utf-8")
    (problem,) = scan(path).problems
    assert str(problem).startswith("line 3, column 2: not JSON")


def test_a_sentence_that_nobody_split_has_its_mentions_at_characters(tmp_path: Path) -> None:
    text = "甲先生2019年在Palk City写乙。"
    mentions = [("甲先生", "PER"), ("2019年", "TIME"), ("Palk City", "LOC"), ("乙", "WORK"), ("生2", "MISC")]
    entities = [
        [{"name": name, "sent_id": 0, "type": type_, "pos": [text.index(name), text.index(name) + len(name)]}]
        for name, type_ in mentions
    ]
    result = scan(saved(tmp_path, HACRED | {"sents_char": [text], "vertex_char": entities}, lines=True))
    assert not result.problems
    assert not +result.notes
    (document,) = result.documents
    (words,) = document.sentences
    assert words == (*"甲先生", "2", "019", *"年在", "Palk", "City", *"写乙。")
    spans = [words[m.start : m.end] for (m,) in document.entities]
    assert ["".join(span) for span in spans] == [name.replace(" ", "") for name, _ in mentions]


def test_labels_of_a_language_model_are_trained_on_and_not_evaluated_on(tmp_path: Path) -> None:
    path = saved(tmp_path, DOCGNRE)
    form = detect(path)
    assert (form.name, form.of_split("train").name, form.of_split("test").name) == ("docgnre", "docgnre", "docred")
    train, test = form.of_split("train").scan(path, None, False), form.of_split("test").scan(path, None, False)
    assert train.documents[0].labels == (Label(0, 1, "P1", (0,)), Label(1, 0, "P2"))
    assert train.changes == {docgnre.ADDED: 1}
    assert test.documents[0].labels == (Label(0, 1, "P1", (0,)),)
    assert test.changes == {checks.LEFT_ASIDE: 3}


def test_documents_without_labels_of_a_language_model_are_docreds(tmp_path: Path) -> None:
    plain = {key: value for key, value in DOCGNRE.items() if key != "gpt_labels"}
    path = saved(tmp_path, plain)
    assert detect(path).name == "docred"
    assert FORMATS["docgnre"].scan(path, None, False).documents == scan(path).documents
    assert document_as_json(scan(path).documents[0])["title"] == "Palk"
