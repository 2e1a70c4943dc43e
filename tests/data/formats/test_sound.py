"""What is seen at once to be sound is what has no problem when it is looked through part by part."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.documents import facts_of
from bench.data.formats.docred import document_as_json
from bench.data.formats.document_checks import DocumentChecker
from bench.data.formats.sound import sound_columns, sound_document

DOCUMENT: dict[str, Any] = {
    "title": "A",
    "sents": [["Anna", "met", "Bo"], ["She", "left"]],
    "vertexSet": [
        [
            {"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": "PER"},
            {"name": "She", "sent_id": 1, "pos": [0, 1], "type": "PER"},
        ],
        [{"name": "Bo", "sent_id": 0, "pos": [2, 3], "type": "PER"}],
    ],
    "labels": [{"h": 0, "t": 1, "r": "P1", "evidence": [0]}, {"h": 1, "t": 0, "r": "P2"}],
}
ODD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 3, 10**400, 0.0, 1.0, float("nan"), "", "a", "ab", "P1", "\ud800"),
    *([], [0], [0, 1], [0, 1, 2], [True, 2], [1.0, 2], [[]], [""], [["a"]], [None], [{}]),
    *({}, {"h": 0}, {"0": 1, "1": 2}, {"evidence": ""}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def changed(place: tuple[Any, ...], value: Any, absent: bool) -> Any:
    if not place:
        return value
    document = copy.deepcopy(DOCUMENT)
    part: Any = document
    for key in place[:-1]:
        part = part[key]
    if absent:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return document


def has_problems(item: Any, relations: frozenset[str] | None) -> bool:
    checker = DocumentChecker(relations)
    checker.begin(0)
    checker._name_problems(item)
    return bool(checker.problems)


@given(
    st.sampled_from(places(DOCUMENT)),
    st.sampled_from(ODD),
    st.booleans(),
    st.sampled_from([None, frozenset({"P1", "P2"})]),
)
def test_an_element_is_sound_where_nothing_is_wrong_with_any_of_its_parts(place, value, absent, relations):
    item = changed(place, value, absent)
    assert (sound_columns(item, relations) is None) == has_problems(item, relations)


@pytest.mark.parametrize("key", ["labels", "evidence", "sents", "vertexSet"])
@pytest.mark.parametrize("value", ["", {}, 0, None, False])
def test_nothing_of_another_kind_is_an_empty_list(key, value):
    item = changed(("labels", 0, key) if key == "evidence" else (key,), value, absent=False)
    assert sound_columns(item, None) is None


def test_columns_make_the_document_and_its_facts():
    columns = sound_columns(DOCUMENT, None)
    assert columns is not None
    document = columns.document()
    assert document == sound_document(json.loads(json.dumps(document_as_json(document))))
    assert document.entities[0][1] == (1, 0, 1, "She", "PER")
    assert document.labels == ((0, 1, "P1", (0,)), (1, 0, "P2", ()))
    assert frozenset(columns.facts()) == facts_of([document])
