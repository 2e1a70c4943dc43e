from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from abstracts import files, pubtator_text, save_json, save_pubtator, small, table_text
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from bench.data.formats import chemdisgene, pubtator
from bench.data.formats.detect import FORMATS, scan

PER_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PER_EXAMPLE
@given(files())
def test_both_forms_of_the_same_documents_are_read_equal(tmp_path: Path, items: list[dict[str, Any]]) -> None:
    assume(any(item["relation"] for item in items))  # an empty table is refused: it may be one that was cut off
    as_json = chemdisgene.scan(save_json(tmp_path / "x.json", items))
    as_pubtator = pubtator.scan(save_pubtator(tmp_path, items))
    assert not as_pubtator.problems
    assert as_pubtator.documents == as_json.documents
    assert (as_pubtator.notes, as_pubtator.changes) == (as_json.notes, as_json.changes)


def test_the_real_split_is_read_equal_in_both_forms(shared_file: Callable[[str], Path]) -> None:
    result = pubtator.scan(shared_file("data/chemdisgene-small/ctd_dev_abstracts.txt.gz"))
    assert not result.problems
    assert (result.count, result.labels) == (1_521, 3_289)
    assert sum(len(document.candidates or ()) for document in result.documents) == 39_382
    in_json = {
        document.title: document
        for name in ("train.json", "valid.json")
        for document in chemdisgene.scan(shared_file(f"data/chemdisgene-small/{name}")).documents
    }
    both = [document for document in result.documents if document.title in in_json]
    assert len(both) == 1_521
    assert all(document == in_json[document.title] for document in both)


def test_files_need_not_be_gzipped_nor_end_with_an_empty_line(tmp_path: Path) -> None:
    items = [small(), {**small(), "docid": "78"}]
    path = tmp_path / "x_abstracts.txt"
    path.write_text(pubtator_text(items).rstrip().replace("\n", "\r\n"), encoding="utf-8", newline="")
    (tmp_path / "x_relationships.tsv").write_text(table_text(items), encoding="utf-8")
    result = pubtator.scan(path)
    assert not result.problems
    assert [document.title for document in result.documents] == ["77", "78"]
    assert result.labels == 6
    assert [source.path.name for source in result.sources] == ["x_abstracts.txt", "x_relationships.tsv"]


def test_the_curated_abstracts_have_the_triples_of_both_tables(tmp_path: Path) -> None:
    path = tmp_path / "abstracts.txt.gz"
    path.write_bytes(gzip.compress(pubtator_text([small()]).encode()))
    first, second = small(), small()
    first["relation"], second["relation"] = first["relation"][:1], second["relation"][1:]
    for name, item in (("approved_relns_ctd_v1.tsv.gz", first), ("approved_relns_new_v1.tsv", second)):
        content = table_text([item]).encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (tmp_path / "approved_relns_new_v0.tsv.gz").write_bytes(b"not read")
    assert pubtator.scan(path).documents == chemdisgene.scan(save_json(tmp_path / "x.json", [small()])).documents


def test_without_a_table_the_file_is_blind_and_says_what_it_looked_for(tmp_path: Path) -> None:
    path = save_pubtator(tmp_path, [small()])
    (tmp_path / "train_relationships.tsv.gz").unlink()
    result = pubtator.scan(path)
    assert not result.problems
    assert not result.labelled
    assert result.no_labels == f"no table of triples beside it, expected {tmp_path / 'train_relationships.tsv.gz'}"


def test_a_title_alone_may_have_mentions(tmp_path: Path) -> None:
    item = {**small(), "abstract": "", "entity": small()["entity"][:2]}
    result = pubtator.scan(save_pubtator(tmp_path, [item]))
    assert not result.problems
    assert [len(mentions) for mentions in result.documents[0].entities[:2]] == [1, 1]


LINES = pubtator_text([small()]).splitlines()
BROKEN: list[tuple[list[str], str]] = [
    (["what", *LINES], 'line 1 = "what": expected a title (PMID|t|title) at the beginning and'),
    ([*LINES[:2], "", *LINES[2:]], "line 4 = "),
    (
        [*LINES[:1], "78|a|x", *LINES[2:]],
        "document 0 '77': line 2 = \"78|a|x\": the abstract of another document than 77",
    ),
    ([*LINES[:3], LINES[1]], "line 4 = "),
    ([*LINES[:2], *LINES], "expected an empty line before the title of the next document"),
    ([*LINES[:2], "77\t1\t2\tx"], "expected 6 columns (docid, start, end, mention, type, id), found 4 columns"),
    ([*LINES[:2], "77\t0\t-7\tAspirin\tChemical\tMESH:D1"], "expected whole numbers as start and end"),
    ([*LINES[:2], "77\t0\t" + "9" * 5000 + "\tAspirin\tChemical\tMESH:D1"], "expected whole numbers as start and end"),
    ([*LINES[:2], "78\t0\t7\tAspirin\tChemical\tMESH:D1"], "a mention of another document than 77"),
    (
        [*LINES[:2], "77\t1\t8\tAspirin\tChemical\tMESH:D1"],
        "document 0 '77': line 3, mention = 'Aspirin': the text from 1 to",
    ),
    (["|t|x", ""], "document 0: docid = '': expected at least one character"),
]


@pytest.mark.parametrize(("lines", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_line_that_is_not_as_expected_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    path = save_pubtator(tmp_path, [small()])
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    result = pubtator.scan(path)
    assert message in result.report()
    assert not [document for document in result.documents if document.title != "77"]


RELATION_LINES = {
    "BC5CDR": "{}\tCID\tD000001\tD000002",
    "BioRED": "{}\tAssociation\tD000001\t1234\tNovel",
    "BioRED without novelty": "{}\tPositive_Correlation\tD000001\t1234",
}


@pytest.mark.parametrize("corpus", RELATION_LINES)
def test_relations_among_the_mentions_are_one_problem_to_who_says_chemdisgene(tmp_path: Path, corpus: str) -> None:
    documents = []
    for docid in range(1_000, 1_300):
        # What else such files have: mentions of several concepts with a column more.
        mentions = f"{docid}\t0\t7\tZorinol\tChemical\tD1|D2\tZor|inol"
        relation = RELATION_LINES[corpus].format(docid)
        documents.append(
            f"{docid}|t|Zorinol and palkitis.\n{docid}|a|It was seen.\n{mentions}\n{relation}\n{relation}\n"
        )
    path = tmp_path / "x.PubTator"
    path.write_text("\n".join(documents))
    result = scan(path, FORMATS["chemdisgene"])
    (problem,) = result.problems
    assert str(problem).startswith(f"line 4 = {json.dumps(RELATION_LINES[corpus].format(1_000))}: another corpus (600 ")
    assert "ChemDisGene's triples are in a table beside the abstracts" in str(problem)
    assert "--format bc5cdr or biored" in str(problem)
    assert (result.count, result.documents, sum(result.notes.values())) == (300, (), 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("77\tx\ty", "train_relationships.tsv.gz, line 2: expected 4 columns (docid, relation, subject id, object id)"),
        ("1\tchem_gene:affects^binding\tx\ty", 'train_relationships.tsv.gz, line 2: document "1" is not among the'),
        (
            "77\tchem_gene:affects\tx\ty",
            "train_relationships.tsv.gz, line 2, type = 'chem_gene:affects': not a relation",
        ),
        ("77\tchem_gene:affects^binding\t-\ty", "train_relationships.tsv.gz, line 2, subj = '-': expected the id"),
    ],
)
def test_a_triple_that_is_not_as_expected_is_named_with_its_file(tmp_path: Path, line: str, message: str) -> None:
    path = save_pubtator(tmp_path, [small()])
    table = tmp_path / "train_relationships.tsv.gz"
    first = table_text([small()]).partition("\n")[0]
    table.write_bytes(gzip.compress(f"{first}\n{line}\n".encode()))
    (problem,) = pubtator.scan(path).problems
    assert message in str(problem)


def test_a_table_of_which_one_byte_is_left_is_refused(tmp_path: Path) -> None:
    path = save_pubtator(tmp_path, [small()])
    (tmp_path / "train_relationships.tsv.gz").write_bytes(b"\x1f")
    assert "not a whole gzip file" in pubtator.scan(path).report()


@PER_EXAMPLE
@given(st.data())
def test_files_cut_off_anywhere_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = save_pubtator(tmp_path, [small()])
    victim = data.draw(st.sampled_from([path, tmp_path / "train_relationships.tsv.gz"]))
    whole = victim.read_bytes()
    victim.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    result = pubtator.scan(path)
    assert result.problems
    assert victim.name in result.report()


@PER_EXAMPLE
@given(st.data())
def test_lines_lost_swapped_or_garbled_are_read_or_refused_never_crashed_on(
    tmp_path: Path, data: st.DataObject
) -> None:
    lines = data.draw(st.permutations(LINES))[: data.draw(st.integers(1, len(LINES)))]
    lines = [data.draw(st.sampled_from([line, line.replace("\t", "|"), line[:7], line + "\t"])) for line in lines]
    path = save_pubtator(tmp_path, [small()])
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    result = pubtator.scan(path)
    assert result.problems or result.documents


@PER_EXAMPLE
@given(st.binary(max_size=40), st.booleans())
def test_arbitrary_bytes_are_refused_never_crashed_on(tmp_path: Path, content: bytes, zipped: bool) -> None:
    path = tmp_path / "x_abstracts.txt.gz"
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert pubtator.scan(path).problems


def test_a_damaged_gzip_file_is_refused_by_name(tmp_path: Path) -> None:
    path = save_pubtator(tmp_path, [small()])
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1  # its checksum
    path.write_bytes(raw)
    assert "damaged or cut off, not a whole gzip file (CRC check failed" in pubtator.scan(path).report()


def test_one_document_with_problems_leaves_the_others_readable(tmp_path: Path) -> None:
    items = [{**small(), "docid": str(number)} for number in range(3)]
    text = pubtator_text(items).replace("1\t0\t7\tAspirin", "1\t0\t8\tAspirin")
    path = save_pubtator(tmp_path, items)
    path.write_bytes(gzip.compress(text.encode()))
    result = pubtator.scan(path)
    assert [document.title for document in result.documents] == ["0", "2"]
    assert result.count == 3
    assert json.dumps(result.report()).count("document 1 '1'") == 1
