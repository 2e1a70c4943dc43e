"""BC5CDR and BioRED: what becomes of mentions, concepts and relations, the same in every form they come in."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated import Written, as_collection, as_json, as_pubtator, as_xml, bc5cdr, biored, pubtator_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.documents import Document, Label
from bench.data.formats import pair_lines
from bench.data.formats.chemdisgene import NO_CANDIDATE, NO_TRIPLES, REPEATED, TURNED
from bench.data.formats.concepts import HYPERNYM, IN_NO_ABSTRACT, OF_SEVERAL, UNKNOWN_CONCEPT, WITH_ITSELF
from bench.data.formats.corpora import Bc5cdrScanner, scan_biored
from bench.data.formats.detect import detect, scan
from bench.data.formats.scan import Note, Scan

PER_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCANNERS = {"bc5cdr": Bc5cdrScanner(), "biored": scan_biored}

CDR_TEXT = """\
1|t|Zorinol, norvane and palkitis
1|a|Zorinol caused ocular or renal palkitis, not grumbles.
1\t0\t7\tZorinol\tChemical\tD000001
1\t9\t16\tnorvane\tChemical\t-1
1\t21\t29\tpalkitis\tDisease\tD000004
1\t30\t37\tZorinol\tChemical\tD000001
1\t45\t69\tocular or renal palkitis\tDisease\tD000005|D000006\tocular palkitis|renal palkitis
1\t55\t69\trenal palkitis\tDisease\tD000006
1\tCID\tD000001\tD000005
"""
RED_TEXT = """\
2|t|ABCX and dellosis in mice
2|a|The c.1A>G of ABCX or DEFX raised dellosis; zorinol bound ABCX.
2\t0\t4\tABCX\tGeneOrGeneProduct\t11
2\t9\t17\tdellosis\tDiseaseOrPhenotypicFeature\tD4
2\t21\t25\tmice\tOrganismTaxon\t10090
2\t30\t36\tc.1A>G\tSequenceVariant\tc|SUB|A|1|G
2\t40\t52\tABCX or DEFX\tGeneOrGeneProduct\t11,10090
2\t60\t68\tdellosis\tDiseaseOrPhenotypicFeature\tD4
2\t70\t77\tzorinol\tChemicalEntity\tD1
2\tBind\t11\tD1\tNovel
2\tAssociation\tD4\tc|SUB|A|1|G\tNo
2\tAssociation\t10090\tD4\tNovel
2\tBind\t11\t11\tNovel
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def read(tmp_path: Path, text: str, form: str = "bc5cdr") -> Scan:
    return SCANNERS[form](written(tmp_path / "x", text), None, False)


def only(result: Scan) -> Document:
    assert not result.problems, result.report()
    (document,) = result.documents
    return document


def named(document: Document) -> list[list[str]]:
    return [[mention.name for mention in mentions] for mentions in document.entities]


def counts(result: Scan) -> Counter[Note]:
    return +result.notes + +result.changes


def renumbered(text: str, docid: str) -> str:
    return re.sub(r"^1(?=[|\t])", docid, text, flags=re.MULTILINE)


def test_the_pairs_of_bc5cdr_are_every_linked_chemical_with_every_linked_disease(tmp_path: Path) -> None:
    result = read(tmp_path, CDR_TEXT)
    document = only(result)
    assert named(document) == [
        ["Zorinol", "Zorinol"], ["palkitis"], ["ocular or renal palkitis"],
        ["ocular or renal palkitis", "renal palkitis"],
    ]  # fmt: skip
    assert document.candidates == ((0, 1), (0, 2), (0, 3))
    assert document.labels == (Label(0, 2, "CID"),)
    assert document.sentences[0][document.entities[3][1].start :][:2] == ("renal", "palkitis")
    assert counts(result) == {UNKNOWN_CONCEPT: 1, OF_SEVERAL: 1}


def test_the_pairs_of_biored_are_of_eight_pairs_of_types_each_once_first_in_the_text_as_head(tmp_path: Path) -> None:
    result = read(tmp_path, RED_TEXT, "biored")
    document = only(result)
    gene, disease, mouse, variant, other_gene, chemical = range(6)
    assert [document.entity_type(entity) for entity in range(6)] == [
        "GeneOrGeneProduct", "DiseaseOrPhenotypicFeature", "OrganismTaxon", "SequenceVariant", "GeneOrGeneProduct",
        "ChemicalEntity",
    ]  # fmt: skip
    assert set(document.candidates or ()) == {
        (gene, disease), (gene, other_gene), (gene, chemical), (disease, variant), (disease, other_gene),
        (disease, chemical), (variant, chemical), (other_gene, chemical),
    }  # fmt: skip
    labels = (Label(gene, chemical, "Bind"), Label(disease, variant, "Association"))
    # 10090 is the mouse, too: the relation is of the one that makes a candidate.
    assert document.labels[:3] == (*labels, Label(disease, other_gene, "Association"))
    assert document.novel == {labels[0], document.labels[2], document.labels[3]}
    assert mouse not in {entity for pair in document.candidates or () for entity in pair}
    assert counts(result)[WITH_ITSELF] == 1


@pytest.mark.parametrize(("form", "strategy"), [("bc5cdr", bc5cdr()), ("biored", biored())], ids=["bc5cdr", "biored"])
def test_the_three_forms_of_the_same_documents_are_read_equal(tmp_path: Path, form: str, strategy: Any) -> None:
    @PER_EXAMPLE
    @given(strategy)
    def check(items: list[Written]) -> None:
        lines, in_json = read(tmp_path, as_pubtator(items), form), read(tmp_path, as_json(items), form)
        in_xml = read(tmp_path, as_xml(as_collection(items)), form)
        assert not lines.problems, lines.report()
        assert lines.documents == in_json.documents == in_xml.documents
        assert lines.notes == in_json.notes == in_xml.notes
        assert lines.changes == in_json.changes == in_xml.changes
        assert lines.labelled == in_json.labelled == any(item.relations for item in items)

    check()


@PER_EXAMPLE
@given(bc5cdr(), st.data())
def test_the_order_of_mentions_and_relations_in_a_file_means_nothing(
    tmp_path: Path, items: list[Written], data: st.DataObject
) -> None:
    shuffled = ""
    for head, rows in map(pubtator_lines, items):
        shuffled += "\n".join([*head, *data.draw(st.permutations(rows)), "", ""])
    one, other = read(tmp_path, as_pubtator(items)), read(tmp_path, shuffled)
    for before, after in zip(one.documents, other.documents, strict=True):
        assert (before.sentences, before.candidates) == (after.sentences, after.candidates)
        mentioned = len([mentions for mentions in before.entities if mentions])
        assert before.entities[:mentioned] == after.entities[:mentioned]
        among = set(before.candidates or ())
        assert {x for x in before.labels if x[:2] in among} == {x for x in after.labels if x[:2] in among}
        assert len(before.labels) == len(after.labels)


@PER_EXAMPLE
@given(biored())
def test_a_pair_of_biored_is_a_candidate_one_way_and_its_labels_are_on_it(tmp_path: Path, items: list[Written]) -> None:
    for document in read(tmp_path, as_pubtator(items), "biored").documents:
        pairs = set(document.candidates or ())
        assert len(pairs) == len(document.candidates or ())
        assert not {(tail, head) for head, tail in pairs} & pairs
        assert not {label[:2] for label in document.labels} & {(tail, head) for head, tail in pairs}


def test_a_relation_between_joined_concepts_is_one_between_each(tmp_path: Path) -> None:
    document = only(read(tmp_path, CDR_TEXT.replace("D000001\tD000005", "D000001\tD000005|D000006")))
    assert document.labels == (Label(0, 2, "CID"), Label(0, 3, "CID"))


def test_labels_of_biored_on_no_candidate_stand_in_the_order_of_the_text_too(tmp_path: Path) -> None:
    lines = ["2\tAssociation\tc|SUB|A|1|G\t11\tNovel", "2\tAssociation\t11\tc|SUB|A|1|G\tNovel"]
    (one, other) = (only(read(tmp_path, f"{RED_TEXT}{line}\n", "biored")) for line in lines)
    assert one == other
    assert one.labels[-1] == Label(0, 3, "Association")


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
@pytest.mark.parametrize("between", ["", "\n\n\n"], ids=["no empty line between documents", "three"])
def test_a_title_begins_a_document_whatever_stands_before_it(tmp_path: Path, between: str, ends: str) -> None:
    # bioc 2.1 makes one document of two that no empty line separates, under the second's id and text.
    text = CDR_TEXT + between + renumbered(CDR_TEXT, "3")
    result = read(tmp_path, text.replace("\n", ends))
    assert not result.problems, result.report()
    first, second = result.documents
    assert (first.title, second.title) == ("1", "3")
    assert (first.entities, first.labels) == (second.entities, second.labels)


def test_an_empty_line_within_a_document_does_not_end_it(tmp_path: Path) -> None:
    lines = CDR_TEXT.splitlines()
    assert only(read(tmp_path, "\n\n".join(lines))) == only(read(tmp_path, CDR_TEXT))


@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_recognised_by_their_content_gzipped_or_not(tmp_path: Path, zipped: bool) -> None:
    item = Written("1", "Zorinol", "did palkitis", ((0, 7, "Chemical", "D000001"),), (("CID", "D000001", "D000002"),))
    red = Written("1", "Zorinol", "did", ((0, 7, "ChemicalEntity", "D1"),), ())
    for form, one in (("bc5cdr", item), ("biored", red)):
        texts = [as_pubtator([one]), as_json([one]), as_xml(as_collection([one]))]
        texts += [as_pubtator([one._replace(relations=())]), as_xml(as_collection([one._replace(relations=())]))]
        for text in texts:
            path = tmp_path / "no suffix tells it"
            path.write_bytes(gzip.compress(text.encode()) if zipped else b"\xef\xbb\xbf" + text.encode())
            assert detect(path).name == form, text
            assert not scan(path).problems


def test_abstracts_that_say_there_is_none_are_none_and_mentions_of_their_words_go_with_them(tmp_path: Path) -> None:
    text = "1|t|Zorinol\n1|a|{}\n1\t0\t7\tZorinol\tChemical\tD000001\n1\t8\t10\t{}\tDisease\tD000002\n"
    for said in ("NO ABSTRACT", "[No abstract available.]", "- No text -"):
        result = read(tmp_path, text.format(said, said[:2]))
        document = only(result)
        assert document.sentences == (("Zorinol",),)
        assert named(document) == [["Zorinol"]]
        assert counts(result)[IN_NO_ABSTRACT] == 1
    result = read(tmp_path, text.format("No abstract thought.", "No"))
    assert named(only(result)) == [["Zorinol"], ["No"]]


def test_nested_overlapping_and_equal_spans_all_keep_their_words(tmp_path: Path) -> None:
    text = "1|t|ab cd ef\n" + "".join(
        f"1\t{start}\t{end}\t{'ab cd ef'[start:end]}\t{type_}\t{id_}\n"
        for start, end, type_, id_ in [
            (0, 8, "Disease", "D1"), (3, 5, "Chemical", "D2"), (1, 4, "Chemical", "D3"), (3, 5, "Disease", "D2"),
        ]
    )  # fmt: skip
    document = only(read(tmp_path, text))
    for mentions in document.entities:
        for mention in mentions:
            words = document.sentences[0][mention.start : mention.end]
            assert "".join(words) == mention.name.replace(" ", "")
    # One id under two types is two entities and one thing, which is in no pair with itself.
    assert {(named(document)[h][0], named(document)[t][0]) for h, t in document.candidates or ()} == {
        ("cd", "ab cd ef"),
        ("b c", "ab cd ef"),
        ("b c", "cd"),
    }


def test_a_relation_from_the_disease_to_the_chemical_is_turned_round(tmp_path: Path) -> None:
    result = read(tmp_path, CDR_TEXT.replace("CID\tD000001\tD000005", "CID\tD000005\tD000001"))
    assert only(result) == only(read(tmp_path, CDR_TEXT))
    assert counts(result)[TURNED] == 1


def test_a_relation_of_a_concept_that_is_not_mentioned_is_a_label_that_is_always_missed(tmp_path: Path) -> None:
    result = read(tmp_path, CDR_TEXT + "1\tCID\tD000001\tD000009\n1\tCID\tD000001\tD000005\n")
    document = only(result)
    assert document.labels == (Label(0, 2, "CID"), Label(0, 4, "CID"))
    assert document.entities[4] == ()
    assert counts(result)[NO_CANDIDATE] == 1
    assert counts(result)[REPEATED] == 1


def test_a_file_without_relations_is_blind_and_one_document_without_them_is_not(tmp_path: Path) -> None:
    blind = CDR_TEXT.partition("1\tCID")[0]
    assert not read(tmp_path, blind).labelled
    result = read(tmp_path, blind + renumbered(CDR_TEXT, "3"))
    assert result.labelled
    assert counts(result)[NO_TRIPLES] == 1


PROBLEMS = [
    ("1\t0\t7\tZorinol", "1\t0\t8\tZorinol", "line 3, mention = 'Zorinol': the text from 0 to 8 is \"Zorinol,\""),
    ("1\t0\t7\tZorinol", "1\t7\t0\tZorinol", "line 3, start and end = [7, 0]: expected start < end"),
    ("1\t0\t7", "1\t-1\t7", "expected whole numbers as start and end"),
    ("1\t55\t69", "1\t55\t690", "line 8, end = 690: outside the text (84 characters"),
    ("Zorinol\tChemical", "Zorinol\tGene", "line 3, type = 'Gene': expected one of Chemical, Disease"),
    ("1\t0\t7\tZorinol\tChemical\tD000001", "1\t0\t7\tZorinol\tChemical", "expected 6 columns"),
    ("1\t0\t7", "9\t0\t7", "a line of another document than 1"),
    ("1|a|", "9|a|", "the abstract of another document than 1"),
    ("ocular palkitis|renal palkitis", "palkitis", "expected an individual mention for each of 2 concepts, found 1"),
    ("1\tCID\tD000001", "1\tCIDs\tD000001", "line 9, relation = 'CIDs': not a relation of BC5CDR (CID)"),
    ("1\tCID\tD000001", "1\tCID\t-1", "line 9, id = '-1': expected the id of a concept"),
    ("1\tCID\tD000001", "1\tCID\tD000001|-1", "line 9, id = 'D000001|-1': expected the id of a concept"),
    ("D000001\tD000005", "D000001\tD000005\tNovel", "line 9, novelty = 'Novel': expected no such column"),
    ("1\tCID\tD000001\tD000005", "1\tCID\tD000001", "expected 4 columns"),
    ("1|a|", "1|t|", "line 2"),
    ("1|t|", "x", "expected a title (id|t|title) at the beginning"),
    ("1\tCID\tD000001\tD000005", "a line of no form", "expected an abstract (id|a|abstract), or a mention or relation"),
    ("1\tCID", CDR_TEXT + "1\tCID", "document 1 '1': id already used by document 0"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), PROBLEMS, ids=[message[:60] for _, _, message in PROBLEMS])
def test_a_line_that_is_not_as_expected_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CDR_TEXT
    result = read(tmp_path, CDR_TEXT.replace(old, new, 1))
    assert message in result.report()


def test_another_corpus_is_one_problem_with_its_types(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, RED_TEXT).problems
    assert str(problem).startswith("mentions of the types GeneOrGeneProduct, DiseaseOrPhenotypicFeature,")
    assert str(problem).endswith("expected those of BC5CDR: Chemical, Disease")


@PER_EXAMPLE
@given(st.data())
def test_lines_lost_swapped_or_garbled_are_read_or_refused_never_crashed_on(
    tmp_path: Path, data: st.DataObject
) -> None:
    form, text = data.draw(st.sampled_from([("bc5cdr", CDR_TEXT), ("biored", RED_TEXT)]))
    lines = data.draw(st.permutations(text.splitlines()))
    lines = [data.draw(st.sampled_from([line, line.replace("\t", "|"), line[:7], line + "\t"])) for line in lines]
    result = read(tmp_path, "\n".join(lines[: data.draw(st.integers(1, len(lines)))]), form)
    assert result.problems or result.documents


@PER_EXAMPLE
@given(st.binary(max_size=40), st.sampled_from([b"", b"<", b"{", b"1|t|"]), st.sampled_from(list(SCANNERS)))
def test_arbitrary_bytes_are_read_or_refused_never_crashed_on(
    tmp_path: Path, content: bytes, first: bytes, form: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(first + content)
    result = SCANNERS[form](path, None, False)
    assert result.problems or first == b"1|t|"


SPLITS = {"train": ("Training", 5_432, 192), "dev": ("Development", 5_261, 174), "test": ("Test", 5_405, 201)}
"""Name of the published file, pairs, and pairs that hypernyms leave out (MeSH of 2017)."""


@pytest.mark.parametrize("split", SPLITS)
def test_the_published_files_have_the_labels_of_the_17_columns_and_the_same_pairs(
    shared_file: Callable[[str], Path], split: str
) -> None:
    name, pairs, above = SPLITS[split]
    columns = pair_lines.scan(shared_file(f"data/cdr/{split}_filter.data"))
    path, mesh = shared_file(f"data/bc5cdr/CDR_{name}Set.PubTator.txt"), shared_file("data/bc5cdr/2017MeshTree.txt")
    lines, filtered = (scanner(path, None, False) for scanner in (Bc5cdrScanner(), Bc5cdrScanner(mesh)))
    assert not lines.problems
    assert scan(shared_file(f"data/bc5cdr/CDR_{name}Set.BioC.xml")).documents == lines.documents
    assert sum(len(document.candidates or ()) for document in lines.documents) == pairs
    assert filtered.changes[HYPERNYM] == columns.changes[pair_lines.NOT_INCLUDED] == above
    listed = {document.title: document for document in columns.documents}
    for document in filtered.documents:
        other = listed[document.title]
        assert len(document.labels) == len(other.labels)
        # Of one mention of the training set the 17 columns have the id D003000f, a chemical of its own: two pairs more.
        assert len(other.candidates or ()) - len(document.candidates or ()) == 2 * (document.title == "227508")


@pytest.mark.parametrize(("split", "relations"), [("Train", 4_178), ("Dev", 1_162), ("Test", 1_163)])
def test_the_published_files_of_biored_are_read_equal_in_both_forms(
    shared_file: Callable[[str], Path], split: str, relations: int
) -> None:
    lines, in_xml = (scan(shared_file(f"data/biored/{split}.{form}")) for form in ("PubTator", "BioC.XML"))
    assert not lines.problems
    assert lines.documents == in_xml.documents
    assert lines.labels == relations
