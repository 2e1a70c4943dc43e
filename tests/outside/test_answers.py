from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_experiments import document

from bench.data.documents import Document, Mention
from bench.errors import UsageError
from bench.outside.answers import Reading, read_answers
from bench.outside.prompts import marked_text, prompts

NAMES = {"P1": "knows", "P2": "place of birth", "P3": "place of death", "P4": "leads"}


def read(tmp_path: Path, *lines: object, documents: list[Document] | None = None) -> Reading:
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return read_answers(path, documents or [document("a")], list(NAMES), NAMES)


@pytest.mark.parametrize(
    "triple",
    [
        {"head": 0, "relation": "P2", "tail": 1},
        [0, "P2", 1],
        {"head": "Ada", "relation": "place of birth", "tail": "BERT"},
        {"head": "0", "relation": "Place_of_Birth", "tail": "1", "why": "he said so"},
    ],
)
def test_entities_are_numbers_or_names_and_relations_ids_or_names(triple, tmp_path):
    reading = read(tmp_path, {"title": "a", "triples": [triple]})
    assert [p.triple for p in reading.predictions] == [("a", 0, 1, "P2")]
    assert not reading.refused
    assert not reading.taken


def test_a_name_of_digits_is_a_name_and_never_the_number_of_another_entity(tmp_path):
    entities = tuple((Mention(0, i, i + 1, name, "TIME"),) for i, name in enumerate(("2010", "1", "Ada")))
    of = Document("a", (("2010", "1", "Ada"),), entities)
    triples = [["Ada", "P1", "2010"], [2, "P1", "1"], ["0", "P1", "Ada"]]
    reading = read(tmp_path, {"title": "a", "triples": triples}, documents=[of])
    assert [(p.head, p.tail) for p in reading.predictions] == [(2, 0), (2, 1), (0, 2)]
    swapped = Document("a", (("1", "2010", "Ada"),), (entities[1], entities[0], entities[2]))
    reading = read(tmp_path, {"title": "a", "triples": [["Ada", "P1", "1"]]}, documents=[swapped])
    assert reading.refused == {"a name that is the number of another entity": 1}


def test_what_a_model_thinks_aloud_is_not_its_answer(tmp_path):
    reading = read(tmp_path, {"title": "a", "answer": '<think>[[0, "P1", 2]]?</think> [[0, "P1", 1]]'})
    assert [(p.head, p.tail) for p in reading.predictions] == [(0, 1)]


def test_what_is_nearly_one_name_is_taken_and_counted(tmp_path):
    reading = read(tmp_path, {"title": "a", "triples": [[0, "places of birth", 1]]})
    assert [p.relation for p in reading.predictions] == ["P2"]
    assert reading.taken == {"a relation by nearly its name": 1}


@pytest.mark.parametrize(
    ("triple", "reason"),
    [
        ([9, "P1", 1], "an entity number that the document lacks"),
        ([-1, "P1", 1], "an entity number that the document lacks"),
        (["Zoe", "P1", 1], "a name of no entity"),
        (["Twin", "P1", 1], "a name of several entities"),
        ([True, "P1", 1], "an entity that is neither number nor name"),
        ([0, "place of", 1], "a relation that there is not"),
        ([0, None, 1], "a relation that is no text"),
        ([0, "P1", 0], "a triple of an entity with itself"),
        ({"head": 0, "tail": 1}, "a triple that is not head, relation and tail"),
        ("Ada knows Bert", "a triple that is not head, relation and tail"),
    ],
)
def test_what_is_not_clear_is_not_guessed_but_counted_by_reason(triple, reason, tmp_path):
    twins = tuple((Mention(0, i, i + 1, "Twin", "PER"),) for i in range(2))
    of = Document("a", (("Twin", "Twin"),), twins) if "Twin" in str(triple) else document("a")
    reading = read(tmp_path, {"title": "a", "triples": [triple]}, documents=[of])
    assert reading.predictions == []
    assert reading.refused == {reason: 1}


def test_the_first_list_in_a_models_words_is_its_answer(tmp_path):
    words = 'As [1] says, these hold:\n```json\n[{"head": 0, "relation": "knows", "tail": 1}]\n``` and [2].'
    reading = read(tmp_path, {"title": "a", "answer": words})
    assert [p.triple for p in reading.predictions] == [("a", 0, 1, "P1")]


def test_lines_and_documents_are_counted_too(tmp_path):
    lines = ["no JSON", {"title": "a", "answer": "I do not know."}, {"title": "a", "triples": []}, {"title": "z"}]
    reading = read(tmp_path, *lines, documents=[document("a"), document("b")])
    assert reading.refused == {
        "a line that is no JSON object": 1,
        "an answer without a list of triples": 1,
        "a second answer about a document": 1,
        "an answer about no document of the split": 1,
        "a document without an answer": 1,
    }


def test_a_key_given_twice_leaves_its_triple_or_its_line_unread(tmp_path):
    twice = '{"head": 0, "relation": "P1", "relation": "P2", "tail": 1}'
    reading = read(tmp_path, f'{{"title": "a", "triples": [{twice}, [0, "P2", 1]]}}')
    assert [p.triple for p in reading.predictions] == [("a", 0, 1, "P2")]
    assert reading.refused == {"a triple that gives a key twice": 1}
    said = read(tmp_path, {"title": "a", "answer": f"These: [{twice}]"})
    assert (said.predictions, said.refused) == ([], {"a triple that gives a key twice": 1})
    line = read(tmp_path, '{"title": "a", "triples": [], "triples": [[0, "P2", 1]]}')
    assert line.predictions == []
    assert line.refused == {"a line that gives a key twice": 1, "a document without an answer": 1}


def test_an_empty_list_is_an_answer(tmp_path):
    assert not read(tmp_path, {"title": "a", "answer": "[]"}).refused


def test_repeated_triples_are_told_and_evidence_and_scores_kept_where_they_can_be(tmp_path):
    said = {"head": 0, "relation": "P1", "tail": 1, "evidence": [2, 0], "score": 0.5}
    wrong = {"head": 1, "relation": "P1", "tail": 2, "evidence": [7], "score": "high"}
    reading = read(tmp_path, {"title": "a", "triples": [said, said, wrong]})
    assert [(p.evidence, p.score) for p in reading.predictions] == [((0, 2), 0.5), (None, None)]
    assert reading.refused == {"a triple that was there before": 1}
    assert len(reading.taken) == 2


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected a JSON object a line"):
        read(tmp_path, "title,head,tail", "a,0,1")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([0, 1, "P1", "Ada"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["head", "relation", "tail"]), inner),
    max_leaves=8,
)


@given(triples=st.lists(JSON, max_size=6))
def test_whatever_is_listed_each_triple_is_read_or_counted(triples, tmp_path_factory):
    reading = read(tmp_path_factory.mktemp("answers"), {"title": "a", "triples": triples})
    assert len(reading.predictions) + sum(reading.refused.values()) == len(triples)
    assert all(p.head != p.tail and max(p.head, p.tail) < 4 and p.relation in NAMES for p in reading.predictions)


def test_mentions_within_mentions_are_brackets_within_brackets():
    entities = (
        (Mention(0, 0, 3, "University of York", "ORG"),),
        (Mention(0, 2, 3, "York", "LOC"), Mention(1, 0, 1, "York", "LOC")),
    )
    sentences = (("University", "of", "York", "."), ("York", "is", "old"))
    assert marked_text(sentences, entities) == ["[University of [York|1]|0] .", "[York|1] is old"]


def test_a_prompt_has_no_labels_and_the_pairs_to_look_at():
    of = document("a")
    (prompt,) = prompts([of], [{"id": "P1", "name": "knows"}])
    assert set(prompt) == {"title", "sentences", "entities", "candidates", "relations"}
    assert prompt["candidates"] is None
    assert [entity["type"] for entity in prompt["entities"]] == ["PER"] * 4
