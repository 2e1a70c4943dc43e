from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.documents import Document, Label, Mention
from bench.data.formats import document_checks as checks
from bench.data.formats import pair_lines
from bench.data.formats import scan as scanning
from bench.data.formats.detect import FORMATS, detect

PER_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ASPIRIN = ["D1", "Aspirin|It", "Chemical", "0:4", "1:5", "0:1"]
ASTHMA = ["D2", "asthma", "Disease", "2", "3", "0"]
PAIN = ["D3", "chest pain", "Disease", "6", "8", "1"]
TEXT = "Aspirin induces asthma .|It relieves chest pain ."


def line(*pairs: tuple[str, list[str], list[str]], pmid: str = "77", text: str = TEXT) -> str:
    columns = [pmid, text]
    for label, first, second in pairs:
        columns += [label, "L2R", "NON-CROSS", "0-1", "2-3", *first, *second]
    return "\t".join(columns)


SMALL = line(("1:CID:2", ASPIRIN, ASTHMA), ("1:NR:2", ASPIRIN, PAIN))


def scan(folder: Path, *lines: str) -> pair_lines.Scan:
    path = folder / "some file é.data"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return pair_lines.scan(path)


def test_a_line_is_a_document_with_the_pairs_it_lists(tmp_path: Path) -> None:
    result = scan(tmp_path, SMALL)
    assert not result.problems
    assert result.documents == (
        Document(
            "77",
            (("Aspirin", "induces", "asthma", "."), ("It", "relieves", "chest", "pain", ".")),
            (
                (Mention(0, 0, 1, "Aspirin", "Chemical"), Mention(1, 0, 1, "It", "Chemical")),
                (Mention(0, 2, 3, "asthma", "Disease"),),
                (Mention(1, 2, 4, "chest pain", "Disease"),),
            ),
            (Label(0, 1, "CID"),),
            ((0, 1), (0, 2)),
        ),
    )


def test_the_chemical_is_the_head_whichever_comes_first(tmp_path: Path) -> None:
    (document,) = scan(tmp_path, line(("1:CID:2", ASTHMA, ASPIRIN))).documents
    ((head, tail),) = document.candidates or ()
    assert (document.entity_type(head), document.entity_type(tail)) == ("Chemical", "Disease")
    assert document.labels == (Label(head, tail, "CID"),)


def test_a_pair_marked_not_include_is_no_candidate_but_its_entities_are_marked(tmp_path: Path) -> None:
    result = scan(tmp_path, line(("1:CID:2", ASPIRIN, ASTHMA), ("not_include", ASPIRIN, PAIN)))
    (document,) = result.documents
    assert document.candidates == ((0, 1),)
    assert len(document.entities) == 3
    assert result.changes == {pair_lines.NOT_INCLUDED: 1}


def test_a_document_without_pairs_has_no_candidates(tmp_path: Path) -> None:
    result = scan(tmp_path, line())
    assert result.documents[0].candidates == ()
    assert result.notes == {checks.EMPTY_LABELS: 1}


HEADERS = ["pmid\ttext", "PMID\ttext\tlabel\tdirection", "pmid", "# pmid\ttext\t" + "\t".join(["column"] * 17)]


@pytest.mark.parametrize("text", ['[{"title": "T"}]', '\n  {"title": "T"}\n{"title": "U"}'])
def test_json_is_named_where_lines_of_columns_were_expected(tmp_path: Path, text: str) -> None:
    (problem,) = scan(tmp_path, *text.split("\n")).problems
    assert "found JSON" in problem.expected
    assert not scan(tmp_path, *text.split("\n")).changes


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_line_is_no_document_and_is_told(tmp_path: Path, header: str) -> None:
    result = scan(tmp_path, header, SMALL)
    assert not result.problems
    assert (result.count, [document.title for document in result.documents]) == (1, ["77"])
    assert result.changes == {pair_lines.HEADER: 1}
    assert detect(result.path).name == "cdr"


@pytest.mark.parametrize("first", [line(pmid="PMC7"), line(("1:CID:2", ASPIRIN, ASTHMA), pmid="train")])
def test_a_document_is_no_header_whatever_its_id(tmp_path: Path, first: str) -> None:
    assert scan(tmp_path, first, line(pmid="PMC8")).count == 2
    assert scan(tmp_path, SMALL, "abstract\tlabel by label").count == 2  # no header above, and a text of several words


@pytest.mark.parametrize("header", [HEADERS[0], HEADERS[1], HEADERS[3]])
def test_the_header_lines_of_files_put_together_are_no_documents(tmp_path: Path, header: str) -> None:
    second = line(("1:CID:2", ASPIRIN, ASTHMA), pmid="78")
    for lines in ([header, SMALL, header, second], [SMALL, header, second]):
        result = scan(tmp_path, *lines)
        assert not result.problems
        assert [document.title for document in result.documents] == ["77", "78"]
        assert result.changes == {pair_lines.HEADER: lines.count(header)}


def test_half_a_line_is_no_header_but_a_problem(tmp_path: Path) -> None:
    halves = SMALL.partition(" relieves")
    result = scan(tmp_path, halves[0], halves[2].lstrip(), line(pmid="78"))
    assert [problem.document for problem in result.problems] == [1]
    assert not result.changes


def test_a_header_line_alone_is_called_one(tmp_path: Path) -> None:
    for header in ("pmid\ttext", "# PMID\ttext\ttype"):
        path = scan(tmp_path, header).path
        (problem,) = detect(path).scan(path, None, False).problems
        assert "found a header line alone" in problem.expected


GENE = ["9001", "Aspirin|It", "Gene", "0:4", "1:5", "0:1"]
GDA = {
    "positive first": [("1:GDA:2", GENE, ASTHMA), ("1:NR:2", GENE, PAIN)],
    "negative first": [("1:NR:2", PAIN, GENE), ("1:GDA:2", GENE, ASTHMA)],
    "no positives": [("1:NR:2", GENE, ASTHMA), ("1:NR:2", GENE, PAIN)],
}


@pytest.mark.parametrize("which", GDA)
def test_gda_is_known_by_its_pairs_and_its_genes_are_the_heads(tmp_path: Path, which: str) -> None:
    path = scan(tmp_path, line(*GDA[which])).path
    form = detect(path)
    assert (form.name, form.relations) == ("gda", ("GDA",))
    result = form.scan(path, None, False)
    assert not result.problems
    (document,) = result.documents
    pairs = [tuple(map(document.entity_type, pair)) for pair in document.candidates or ()]
    assert pairs == [("Gene", "Disease")] * 2
    assert [label.relation for label in document.labels] == ["GDA"] * (which != "no positives")


OTHERS = {
    "GDA read as BC5CDR": ("cdr", GDA["negative first"], "GDA", "1 pair of Disease and Gene, 1 pair marked 1:GDA:2"),
    "BC5CDR read as GDA": ("gda", [("1:CID:2", ASPIRIN, ASTHMA)], "BC5CDR", "1 pair marked 1:CID:2"),
}


@pytest.mark.parametrize("which", OTHERS)
def test_another_corpus_than_was_said_is_one_problem_that_names_it(tmp_path: Path, which: str) -> None:
    form, pairs, name, found = OTHERS[which]
    (problem,) = FORMATS[form].scan(scan(tmp_path, line(*pairs)).path, None, False).problems
    assert str(problem).startswith(f"looks like {name}, in the same form of 17 columns ({found})")
    assert str(problem).endswith(f"`--format {'gda' if form == 'cdr' else 'cdr'}` reads it")


def test_a_corpus_nobody_knows_is_one_problem_that_says_what_is_read(tmp_path: Path) -> None:
    variant = changed(GENE, 2, "Variant")
    path = scan(tmp_path, line(("1:VDA:2", variant, ASTHMA), ("1:NR:2", variant, PAIN))).path
    assert detect(path).name == "cdr"
    (problem,) = pair_lines.scan(path).problems
    assert str(problem).startswith("looks like another corpus than BC5CDR, in the same form")
    assert "1 pair marked 1:VDA:2, 1 pair of Disease and Variant" in str(problem)
    assert "expected 1:CID:2 or 1:NR:2 between a Chemical and a Disease" in str(problem)
    assert str(problem).endswith("bring it into DocRED's JSON form")


def test_one_pair_of_another_corpus_in_a_file_of_bc5cdr_is_named_by_its_line(tmp_path: Path) -> None:
    (problem,) = scan(tmp_path, SMALL, line(("1:GDA:2", ASPIRIN, ASTHMA), pmid="78")).problems
    assert str(problem).startswith("document 1 '78': line 2, pair 1, column 1 = '1:GDA:2'")


def changed(entity: list[str], at: int, value: str) -> list[str]:
    return [*entity[:at], value, *entity[at + 1 :]]


def with_pain(at: int, value: str) -> str:
    return line(("1:NR:2", ASPIRIN, changed(PAIN, at, value)))


BROKEN: list[tuple[str, str]] = [
    ("77", "line 2: expected PMID, text and 17 columns for each pair, found 1 column"),
    (SMALL + "\tx", "line 2: expected PMID, text and 17 columns for each pair, found 37 columns"),
    (line(pmid=""), "line 2, PMID = '': expected at least one character"),
    (line(pmid="1"), "document 1 '1': line 2, PMID already used by document 0"),
    (line(text="a  b"), "line 2, text: expected sentences joined by '|', words by one space, none of them empty"),
    (line(("CID", ASPIRIN, PAIN)), "pair 1, column 1 = 'CID': expected one of 1:CID:2, 1:NR:2, not_include"),
    (line(("1:NR:2", ASPIRIN, ASPIRIN)), "pair 1, columns 8 and 14 = Chemical, Chemical: expected a Chemical and a"),
    (line(*[("1:NR:2", ASPIRIN, PAIN)] * 2), "document 1 '77': line 2, pair 2: D1 and D3 are listed before"),
    (with_pain(0, ""), "pair 1, column 12 (id) = '': expected the id of a concept"),
    (with_pain(0, "D1"), "pair 1, column 12 = 'D1': differs from how an earlier pair has it"),
    (with_pain(1, "chest|pain"), "pair 1, column 13 (names) = 'chest|pain': as many names, first words, words past"),
    (with_pain(3, "six"), "pair 1, column 15 (first words) = 'six': expected whole numbers joined by ':'"),
    (with_pain(3, "9" * 5000), "pair 1, column 15 (first words) = "),
    (with_pain(3, "8"), "words 8 to 8, expected start < end inside of sentence 1 (words 4 to 9)"),
    (with_pain(3, "3"), "words 3 to 8, expected start < end inside of sentence 1 (words 4 to 9)"),
    (with_pain(4, "10"), "words 6 to 10, expected start < end inside of sentence 1 (words 4 to 9)"),
    (with_pain(5, "2"), "pair 1, column 17 (sentences) = '2': 2 is outside the document (2 sentences)"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_one_mistake_is_one_line_that_names_line_column_and_what_was_expected(
    tmp_path: Path, broken: str, message: str
) -> None:
    result = scan(tmp_path, SMALL.replace("77", "1", 1), broken)
    assert result.count == 2
    assert len(result.problems) == 1
    assert message in str(result.problems[0])
    assert [document.title for document in result.documents] == ["1"]


def test_every_problem_of_a_file_is_in_one_report(tmp_path: Path) -> None:
    bad = line(("x", ASPIRIN, changed(PAIN, 5, "2")), ("1:NR:2", changed(ASPIRIN, 3, "x"), ASTHMA))
    assert len(scan(tmp_path, "77", bad).problems) == 4


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.data"
    path.write_bytes(b"77\t\xff")
    assert "line 1: not UTF-8 (byte 0xff)" in pair_lines.scan(path).report()
    path.write_bytes(b"\n\n")
    assert "empty file" in pair_lines.scan(path).report()
    assert "cannot be read" in pair_lines.scan(tmp_path / "absent").report()


@PER_EXAMPLE
@given(
    st.lists(st.tuples(st.integers(0, len(SMALL)), st.sampled_from("\t:|x1 \n\x00é")), max_size=4), st.integers(1, 500)
)
def test_a_garbled_or_cut_line_is_read_or_refused_never_crashed_on(
    tmp_path: Path, garbling: list[tuple[int, str]], length: int
) -> None:
    text = SMALL
    for at, character in garbling:
        text = text[:at] + character + text[at + 1 :]
    result = scan(tmp_path, text[:length])
    assert result.problems or result.documents


@st.composite
def documents(draw: st.DrawFn) -> Document:
    words = st.text("abcé-", min_size=1, max_size=4)
    sentences = draw(st.lists(st.lists(words, min_size=1, max_size=5), min_size=1, max_size=3))
    entities = []
    for type_ in ("Chemical", "Chemical", "Disease", "Disease"):
        mentions = []
        for _ in range(draw(st.integers(1, 2))):
            sentence = draw(st.integers(0, len(sentences) - 1))
            start = draw(st.integers(0, len(sentences[sentence]) - 1))
            end = draw(st.integers(start + 1, len(sentences[sentence])))
            mentions.append(Mention(sentence, start, end, draw(words), type_))
        entities.append(tuple(mentions))
    # Entities in the order in which the pairs name them, as the reader numbers them.
    entities = [entities[0], entities[2], entities[1], entities[3]]
    pairs = ((0, 1), (2, 1), (0, 3), (2, 3))
    labels = tuple(Label(*pair, "CID") for pair in pairs if draw(st.booleans()))
    return Document("77", tuple(map(tuple, sentences)), tuple(entities), labels, pairs)


@PER_EXAMPLE
@given(documents())
def test_what_is_written_is_read_back_equal(tmp_path: Path, document: Document) -> None:
    before = [0]
    for words in document.sentences:
        before.append(before[-1] + len(words))

    def columns(entity: int) -> list[str]:
        mentions = document.entities[entity]
        return [
            f"D{entity}",
            "|".join(m.name for m in mentions),
            mentions[0].type,
            ":".join(str(before[m.sentence] + m.start) for m in mentions),
            ":".join(str(before[m.sentence] + m.end) for m in mentions),
            ":".join(str(m.sentence) for m in mentions),
        ]

    labelled = {label[:2] for label in document.labels}
    written = line(
        *(
            ("1:CID:2" if pair in labelled else "1:NR:2", columns(pair[0]), columns(pair[1]))
            for pair in document.candidates or ()
        ),
        text="|".join(map(" ".join, document.sentences)),
    )
    assert scan(tmp_path, written).documents == (document,)


REAL = {  # documents, CID, candidate pairs, pairs marked not_include
    "train": (500, 1_038, 5_242, 192),
    "dev": (500, 1_012, 5_087, 174),
    "test": (500, 1_066, 5_204, 201),
}


@pytest.mark.parametrize("split", REAL)
def test_real_files_are_read_whole(shared_file: Callable[[str], Path], split: str) -> None:
    result = pair_lines.scan(shared_file(f"data/cdr/{split}_filter.data"))
    assert not result.problems
    pairs = sum(len(document.candidates or ()) for document in result.documents)
    assert (result.count, result.labels, pairs, result.changes[pair_lines.NOT_INCLUDED]) == REAL[split]
    assert all(label[:2] in (document.candidates or ()) for document in result.documents for label in document.labels)


def test_a_concept_of_several_ids_is_one_entity_and_nested_mentions_keep_their_places(tmp_path: Path) -> None:
    several = ["9001|9002", "Aspirin|Aspirin induces", "Gene", "0:0", "1:2", "0:0"]
    result = scan_as_gda(tmp_path, line(("1:GDA:2", several, ASTHMA), ("1:NR:2", GENE, ASTHMA)))
    (document,) = result.documents
    assert [len(mentions) for mentions in document.entities] == [2, 1, 2]
    assert document.candidates == ((0, 1), (2, 1))
    assert result.notes == {checks.SHARED_SPANS: 1}


def test_a_pmid_that_comes_again_is_refused_since_predictions_name_documents_by_it(tmp_path: Path) -> None:
    again = line(("1:NR:2", GENE, ASTHMA))
    (problem,) = scan_as_gda(tmp_path, again, again).problems
    assert str(problem) == "document 1 '77': line 2, PMID already used by document 0"


def scan_as_gda(folder: Path, *lines: str) -> pair_lines.Scan:
    return FORMATS["gda"].scan(scan(folder, *lines).path, None, False)


def test_lines_are_read_the_same_wherever_a_block_of_the_file_ends(tmp_path: Path, monkeypatch) -> None:
    lines = [line(("1:GDA:2", GENE, ASTHMA), pmid=f"{number}é") for number in range(5)]
    whole = scan_as_gda(tmp_path, *lines)
    assert (whole.count, whole.problems) == (5, ())
    for block in (1, 7, 64):
        monkeypatch.setattr(scanning, "BLOCK", block)
        assert scan_as_gda(tmp_path, *lines) == whole
