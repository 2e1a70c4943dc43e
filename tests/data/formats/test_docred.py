from __future__ import annotations

import json
import string
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.catalog.relations import read_relations
from bench.data.documents import Document, Label, Mention, pairs_within_reach
from bench.data.formats import document_checks as checks
from bench.data.formats import scan as scanning
from bench.data.formats.docred import (
    document_as_json,
    find_problems,
    read_documents,
    read_facts,
    scan,
    write_documents,
)
from bench.data.formats.json_stream import RepeatedKey, elements
from bench.data.formats.sound import sound_document
from bench.errors import UsageError
from bench.metrics.official import gold_outside

PER_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def valid() -> dict[str, Any]:
    return {
        "title": "Loud Tour",
        "sents": [["Rihanna", "toured", "."], ["She", "sang", "in", "London", "."]],
        "vertexSet": [
            [
                {"name": "Rihanna", "sent_id": 0, "pos": [0, 1], "type": "PER"},
                {"name": "She", "sent_id": 1, "pos": [0, 1], "type": "PER"},
            ],
            [{"name": "London", "sent_id": 1, "pos": [3, 4], "type": "LOC"}],
        ],
        "labels": [{"h": 0, "t": 1, "r": "P1", "evidence": [1]}],
    }


def saved(folder: Path, value: object) -> Path:
    path = folder / "some file é.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def changed(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The valid document with `value` at `place` (no value: the key removed)."""
    document = valid()
    inner: Any = document
    for key in place[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return document


MISSING = object()
MENTION = ("vertexSet", 1, 0)

MISTAKES: list[tuple[tuple[Any, ...], Any, str]] = [
    (("title",), MISSING, "title: missing, expected a string"),
    (("sents",), MISSING, "sents: missing, expected a list of sentences, each a list of words"),
    (("vertexSet",), MISSING, "vertexSet: missing, expected a list of entities, each a list of mentions"),
    ((*MENTION, "pos"), MISSING, "vertexSet[1][0].pos: missing, expected two integers, [start, end)"),
    ((*MENTION, "name"), MISSING, "vertexSet[1][0].name: missing, expected a string"),
    ((*MENTION, "type"), MISSING, "vertexSet[1][0].type: missing, expected a string"),
    ((*MENTION, "sent_id"), MISSING, "vertexSet[1][0].sent_id: missing, expected a sentence number (an integer)"),
    (("labels", 0, "r"), MISSING, "labels[0].r: missing, expected a relation (a string)"),
    (("labels", 0, "h"), MISSING, "labels[0].h: missing, expected an entity number (an integer)"),
    (("title",), 7, "title = 7: expected a string"),
    (("title",), "", "title = '': expected at least one character"),
    (("title",), "\ud800", "title = '\\ud800': holds half a character (a lone surrogate)"),
    (("sents",), "text", "sents = 'text': expected a list of sentences, each a list of words"),
    (("sents",), [], "sents = []: empty document, expected at least one sentence"),
    (("sents", 0), [], "sents[0] = []: empty sentence, expected at least one word"),
    (("sents", 0), "Rihanna toured", "sents[0] = 'Rihanna toured': expected a list of words"),
    (("sents", 0, 1), None, "sents[0][1] = null: expected a word (a string)"),
    (("sents", 0, 1), "\udc00", "holds half a character (a lone surrogate)"),
    (("vertexSet", 0), {}, "vertexSet[0] = {}: expected a list of mentions"),
    (MENTION, 5, "vertexSet[1][0] = 5: expected a mention (an object with name, sent_id, pos, type)"),
    ((*MENTION, "sent_id"), True, "vertexSet[1][0].sent_id = true: expected a sentence number (an integer)"),
    ((*MENTION, "sent_id"), 2, "vertexSet[1][0].sent_id = 2: outside the document (2 sentences)"),
    ((*MENTION, "sent_id"), -1, "vertexSet[1][0].sent_id = -1: outside the document (2 sentences)"),
    ((*MENTION, "pos"), [3, 99], "vertexSet[1][0].pos = [3, 99]: ends after the sentence (5 words)"),
    ((*MENTION, "pos"), [-1, 2], "vertexSet[1][0].pos = [-1, 2]: starts before the sentence (5 words)"),
    ((*MENTION, "pos"), [3, 3], "vertexSet[1][0].pos = [3, 3]: empty span, expected start < end"),
    ((*MENTION, "pos"), [4, 3], "vertexSet[1][0].pos = [4, 3]: reversed span, expected start < end"),
    ((*MENTION, "pos"), [3], "vertexSet[1][0].pos = [3]: expected two integers, [start, end)"),
    ((*MENTION, "pos"), [3.0, 4], "vertexSet[1][0].pos = [3.0, 4]: expected two integers, [start, end)"),
    ((*MENTION, "pos"), [False, True], "vertexSet[1][0].pos = [false, true]: expected two integers, [start, end)"),
    (("labels",), {}, "labels = {}: expected a list of labels"),
    (("labels", 0), [0, 1, "P1"], 'labels[0] = [0, 1, "P1"]: expected a label (an object with h, t, r)'),
    (("labels", 0, "h"), True, "labels[0].h = true: expected an entity number (an integer)"),
    (("labels", 0, "t"), 2, "labels[0].t = 2: not an entity of this document (2 entities)"),
    (("labels", 0, "h"), -1, "labels[0].h = -1: not an entity of this document (2 entities)"),
    (("labels", 0, "r"), "P99", "labels[0].r = 'P99': not a relation of this data set (1 known)"),
    (("labels", 0, "evidence"), [2], "labels[0].evidence[0] = 2: outside the document (2 sentences)"),
    (("labels", 0, "evidence"), [True], "labels[0].evidence[0] = true: expected a sentence number (an integer)"),
    (("labels", 0, "evidence"), None, "labels[0].evidence = null: expected a list of sentence numbers"),
]


@pytest.mark.parametrize(("place", "value", "message"), MISTAKES, ids=[message for _, _, message in MISTAKES])
def test_one_mistake_is_one_line_that_names_document_field_and_what_was_expected(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    count, problems = find_problems(saved(tmp_path, [{**valid(), "title": "other"}, changed(place, value)]), {"P1"})
    assert count == 2
    assert len(problems) == 1
    assert problems[0].document == 1
    assert str(problems[0]).endswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file: expected a JSON list of documents"),
        (b" \n\n", "empty file: expected a JSON list of documents"),
        (b"[]", "expected at least one document, found an empty list"),
        (b'{"title": "x"}', "expected a JSON list of documents, found an object"),
        (b'{"title": "x"}\n{"title": "y"}', "one document per line? put them in one list"),
        (b"17", "expected a JSON list of documents, found a number"),
        (b'[\n{"title": "x\xff"}]', "line 2: not UTF-8 (byte 0xff)"),
        (b'[{"title": "x"},\n\n  {"title": }]', "line 3, column 13: not JSON: Expecting value"),
        (b'[{"title": "x"}', "line 1, column 16: not JSON"),
        (b'[{"title": "x"}]\n]', "line 2, column 1: not JSON: Extra data after the list"),
        (b"[" * 100_000, "line 1: not usable JSON: nested too deep"),
        (b"[\n" + b"9" * 5_000 + b"]", "line 2: not usable JSON: a number with too many digits"),
    ],
)
def test_a_file_that_is_no_list_of_documents_is_refused_with_the_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_documents(path)
    assert message in str(error.value)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_documents(path)


def test_every_problem_of_a_file_is_in_one_report(tmp_path: Path) -> None:
    bad = changed((*MENTION, "pos"), [3, 99])
    bad["labels"].append({"h": 0, "t": 1, "r": "P99999"})
    path = saved(tmp_path, [valid(), {**bad, "title": "Bantustan"}, valid()])
    with pytest.raises(UsageError) as error:
        read_documents(path, {"P1"})
    assert str(error.value).splitlines() == [
        f"{path}: 3 problems in 2 of 3 documents",
        "  document 1 'Bantustan': vertexSet[1][0].pos = [3, 99]: ends after the sentence (5 words)",
        "  document 1 'Bantustan': labels[1].r = 'P99999': not a relation of this data set (1 known)",
        "  document 2 'Loud Tour': title already used by document 0",
    ]


def test_an_error_shows_the_first_problems_and_counts_the_rest(tmp_path: Path) -> None:
    path = saved(tmp_path, [None] * 70)
    with pytest.raises(UsageError) as error:
        read_documents(path)
    assert str(error.value).endswith("and 20 more: `bench data validate` lists them all")
    assert len(find_problems(path)[1]) == 70


def test_problems_before_broken_json_are_reported_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"title": 1}, {"title" 2}]')
    messages = [str(problem) for problem in find_problems(path)[1]]
    assert any("title = 1" in message for message in messages)
    assert any("not JSON" in message for message in messages)


def test_a_blind_file_is_read_without_labels_and_said_to_have_none(tmp_path: Path) -> None:
    result = scan(saved(tmp_path, [changed(("labels",), MISSING)]))
    assert not result.problems
    assert not result.labelled
    assert result.documents[0].labels == ()


def test_a_file_labelled_in_part_is_refused(tmp_path: Path) -> None:
    _, problems = find_problems(saved(tmp_path, [{**changed(("labels",), MISSING), "title": "other"}, valid()]))
    assert [str(p) for p in problems] == ["document 0 'other': labels: missing, though other documents have labels"]


def test_oddities_of_real_files_are_counted_and_kept(tmp_path: Path) -> None:
    document = valid()
    document["labels"] *= 2
    document["vertexSet"][0] *= 2
    document["vertexSet"][0][0]["type"] = "ORG"
    document["vertexSet"][1].append({"name": "Rihanna !", "sent_id": 0, "pos": [0, 1], "type": "LOC"})
    document["sents"][0][1] = "\xa0"
    result = scan(saved(tmp_path, [document, {**valid(), "title": "b", "labels": [], "vertexSet": []}]))
    assert not result.problems
    assert result.notes == {
        checks.DUPLICATE_LABELS: 1,
        checks.DUPLICATE_MENTIONS: 2,
        checks.MIXED_TYPES: 1,
        checks.SHARED_SPANS: 1,
        checks.NAME_DIFFERS: 1,
        checks.BLANK_WORDS: 1,
        checks.FEW_ENTITIES: 1,
        checks.EMPTY_LABELS: 1,
    }
    assert len(result.documents[0].labels) == 2
    assert len(result.documents[0].entities[0]) == 4


def test_labels_that_no_pair_can_reach_are_kept_and_counted(tmp_path: Path) -> None:
    document = valid()
    document["vertexSet"] += [[], [{"name": "toured", "sent_id": 0, "pos": [1, 2], "type": "MISC"}]]
    document["labels"] += [{"h": 0, "t": 2, "r": "P1"}, {"h": 2, "t": 2, "r": "P1"}, {"h": 3, "t": 3, "r": "P2"}]
    result = scan(saved(tmp_path, [document, {**valid(), "title": "b", "vertexSet": [[], valid()["vertexSet"][0]]}]))
    assert not result.problems
    assert result.notes == {
        checks.NO_MENTIONS: 2,
        checks.OF_NO_MENTIONS: 2,
        checks.OF_ITSELF: 2,
        checks.FEW_ENTITIES: 1,
    }
    first, second = result.documents
    assert first.candidates == ((0, 1), (0, 3), (1, 0), (1, 3), (3, 0), (3, 1))
    assert second.candidates == ()
    assert gold_outside(result.documents) == 4


@pytest.mark.parametrize(
    ("once", "twice", "place"),
    [
        ('"labels": [', '"labels": [], "labels": [', "labels"),
        ('"h": 0', '"h": 1, "h": 0', "labels[0].h"),
        ('"sent_id": 1, "pos": [3, 4]', '"sent_id": 0, "pos": [0, 1], "pos": [3, 4], "sent_id": 1', None),
        ('"title": "Loud', '"title": "x", "title": "y", "title": "Loud', "title"),
    ],
)
def test_a_key_given_twice_is_a_problem_of_its_document_with_its_place(
    tmp_path: Path, once: str, twice: str, place: str | None
) -> None:
    path = saved(tmp_path, [{**valid(), "title": "other"}, valid(), {**valid(), "title": "third"}])
    before, separator, after = path.read_text().partition('"Loud Tour"')
    text = f"{before}{separator}{after}"
    at = text.rindex(once, 0, text.index('"third"'))
    path.write_text(text[:at] + twice + text[at + len(once) :])
    result = scan(path)
    places = [place] if place else ["vertexSet[1][0].sent_id", "vertexSet[1][0].pos"]
    assert [str(problem) for problem in result.problems] == [
        f"document 1 'Loud Tour': {name}: given twice in one object, of which only the last would be read"
        for name in places
    ]
    assert [document.title for document in result.documents] == ["other", "third"]


def test_a_key_given_twice_is_noticed_wherever_the_file_is_cut_into_blocks(tmp_path: Path) -> None:
    text = json.dumps([valid(), {**valid(), "title": "other"}]).replace('"h": 0', '"h": 0, "h": 0').encode()
    for size in (1, 7, 300):
        repeated: list[RepeatedKey] = []
        blocks = [text[at : at + size] for at in range(0, len(text), size)]
        seen = []
        for item, _ in elements(blocks, repeated):
            seen.append(sum(any(r.object is label for label in item["labels"]) for r in repeated))
            repeated.clear()
        assert seen == [1, 1]


def test_a_relation_or_key_given_twice_in_a_whole_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rel2id.json"
    path.write_text('{"P1": 1, "P2": 2, "P1": 3}')
    with pytest.raises(UsageError, match=r"rel2id\.json: P1: given twice in one object"):
        read_relations([path])


def test_a_key_given_twice_is_named_however_deep_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("[" * 400 + '{"a": 1, "a": 2}' + "]" * 400)
    with pytest.raises(UsageError, match=r"\[0\]\.a: given twice in one object"):
        read_facts(path)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([valid()]).encode())
    assert len(read_documents(path)) == 1


# Strings of the form's own keys, so that generated JSON gets past the first check now and then.
KEYS = st.sampled_from(["title", "sents", "vertexSet", "labels", "name", "sent_id", "pos", "type", "h", "t", "r"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=6),
    max_leaves=25,
)


@PER_EXAMPLE
@given(JSON)
def test_arbitrary_json_is_read_or_refused_never_crashed_on(tmp_path: Path, value: object) -> None:
    path = saved(tmp_path, value)
    with suppress(UsageError):
        read_documents(path)


@PER_EXAMPLE
@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_never_crashed_on(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_documents(path)


@PER_EXAMPLE
@given(place=st.sampled_from([place for place, _, _ in MISTAKES]), value=JSON)
def test_a_valid_document_with_anything_anywhere_is_read_or_refused(
    tmp_path: Path, place: tuple[Any, ...], value: object
) -> None:
    path = saved(tmp_path, [changed(place, value)])
    count, problems = find_problems(path)
    assert count == 1
    if not problems:
        assert len(read_documents(path)) == 1


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
    found = []
    for title in draw(st.lists(text, unique=True, min_size=1, max_size=3)):
        sentences = tuple(map(tuple, draw(st.lists(st.lists(text, min_size=1, max_size=5), min_size=1, max_size=3))))
        entities = []
        for _ in range(draw(st.integers(0, 3))):
            mentions = []
            for _ in range(draw(st.integers(0, 2))):
                sentence = draw(st.integers(0, len(sentences) - 1))
                start = draw(st.integers(0, len(sentences[sentence]) - 1))
                end = draw(st.integers(start + 1, len(sentences[sentence])))
                mentions.append(Mention(sentence, start, end, draw(text), draw(st.sampled_from(["PER", "LOC"]))))
            entities.append(tuple(mentions))
        labels = []
        if entities:
            for _ in range(draw(st.integers(0, 3))):
                head, tail = (draw(st.integers(0, len(entities) - 1)) for _ in "ht")
                evidence = tuple(draw(st.lists(st.integers(0, len(sentences) - 1), max_size=2)))
                labels.append(Label(head, tail, draw(st.sampled_from(list(string.ascii_letters))), evidence))
        pairs = pairs_within_reach(list(map(len, entities)), [label[:2] for label in labels])
        found.append(Document(title, sentences, tuple(entities), tuple(labels), pairs))
    return found


def documents_as_json() -> st.SearchStrategy[Any]:
    return documents().map(lambda some: document_as_json(some[0]))


@PER_EXAMPLE
@given(documents())
def test_what_is_written_is_read_back_equal(tmp_path: Path, some: list[Document]) -> None:
    path = tmp_path / "some folder ü" / "x.json"
    write_documents(path, some)
    assert read_documents(path) == some
    assert [sound_document(item) for item in json.loads(path.read_text(encoding="utf-8"))] == some


@pytest.mark.parametrize("text", ["[null, 0.0", "[12.5e+3, 4]", "[-1e5}", "[0.0e", "[10.25 7]", "[1.5"])
@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_a_number_is_read_whole_wherever_a_block_ends(tmp_path: Path, text: str, block: int, monkeypatch) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    whole = scan(path)
    monkeypatch.setattr(scanning, "BLOCK", block)
    assert scan(path) == whole


@PER_EXAMPLE
@given(JSON | st.lists(documents_as_json()), st.data())
def test_a_file_is_read_and_refused_the_same_whatever_the_size_of_its_blocks(
    tmp_path: Path, value: object, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    text = text[: data.draw(st.integers(0, len(text)))] + data.draw(st.sampled_from(["", "]", "1", "x"]))
    path = tmp_path / "x.json"
    path.write_bytes(data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode("utf-8", "replace"))
    whole = scan(path, repeated_titles=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "BLOCK", data.draw(st.integers(1, 40)))
        assert scan(path, repeated_titles=True) == whole


def test_of_a_large_file_little_more_than_a_block_and_a_document_is_in_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scanning, "BLOCK", 1 << 16)
    path = saved(tmp_path, [{**valid(), "title": f"title {i}", "note": "x" * 1000} for i in range(3000)])
    blocks = scanning.SourceReader(path)
    tracemalloc.start()
    count = sum(1 for _ in elements(blocks))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = blocks.finish().size
    assert (count, size) == (3000, path.stat().st_size)
    assert peak < 0.2 * size


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_a_mistake_after_many_lines_is_told_by_its_line_and_column(tmp_path: Path, block: int, monkeypatch) -> None:
    monkeypatch.setattr(scanning, "BLOCK", block)
    path = saved(tmp_path, [])
    path.write_text("[" + ",\n".join([json.dumps(valid())] * 5) + ",\n  {'a': 1}]")
    (problem,) = scan(path, repeated_titles=True).problems
    assert str(problem).startswith("line 6, column 4: not JSON")


def test_documents_written_without_labels_are_a_blind_file(tmp_path: Path) -> None:
    some = read_documents(saved(tmp_path, [valid()]))
    write_documents(tmp_path / "blind.json", some, labelled=False)
    assert not scan(tmp_path / "blind.json").labelled


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, [valid()])
    before = path.read_bytes()

    def fail(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_documents(path, read_documents(path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_facts_are_triples_of_strings_and_others_are_named(tmp_path: Path) -> None:
    assert read_facts(saved(tmp_path, [["a", "b", "P1"]])) == {("a", "b", "P1")}
    with pytest.raises(UsageError, match=r"fact 1 = \[\"a\", \"b\"\]: expected \[head name, tail name, relation\]"):
        read_facts(saved(tmp_path, [["a", "b", "P1"], ["a", "b"]]))
    with pytest.raises(UsageError, match="expected a list"):
        read_facts(saved(tmp_path, {"a": 1}))


REAL = {
    "redocred-small/train.json": (400, 14_049),
    "redocred-small/dev.json": (100, 3_235),
    "redocred-small/test.json": (500, 17_448),
    "redocred-small/train_ext.json": (398, 2_159),
    "redocred-small/dev_ext.json": (100, 526),
    "redocred-small/train_distant.json": (999, 32_079),
    "official/dev_ext.json": (998, 5_256),
    "official/docred_train_200.json": (200, 2_539),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_whole(shared_file: Callable[[str], Path], name: str) -> None:
    relations = set(json.loads(shared_file("data/official/rel_info.json").read_text()))
    path = shared_file(f"data/{name}")
    result = scan(path, relations)
    raw = json.loads(path.read_text())
    assert not result.problems
    assert (result.count, result.labels) == REAL[name]
    assert [d.title for d in result.documents] == [d["title"] for d in raw]
    assert sum(len(m) for d in result.documents for m in d.entities) == sum(len(m) for d in raw for m in d["vertexSet"])


def test_real_facts_agree_with_those_computed_from_the_documents(shared_file: Callable[[str], Path]) -> None:
    from bench.data.documents import facts_of

    facts = read_facts(shared_file("data/official/train_annotated.fact"))
    assert len(facts) == 52_293
    assert facts_of(read_documents(shared_file("data/official/docred_train_200.json"))) <= facts


def test_the_document_that_the_page_of_your_data_shows_is_read_as_it_says(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "your-data.md").read_text(encoding="utf-8")
    path = tmp_path / "train.json"
    path.write_text(page.partition("```json\n")[2].partition("```")[0], encoding="utf-8")
    (document,) = read_documents(path)
    spans = [" ".join(document.sentences[m.sentence][m.start : m.end]) for (m, *_) in document.entities]
    assert spans == ["Lake Orla", "Veria", "Tam"]
    assert [(spans[x.head], x.relation, spans[x.tail]) for x in document.labels] == [
        ("Lake Orla", "country", "Veria"),
        ("Tam", "source", "Lake Orla"),
    ]
