"""Pairs of general diseases left out by MeSH's tree, and the files that hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.formats.concepts import HYPERNYM
from bench.data.formats.corpora import Bc5cdrScanner
from bench.data.formats.hypernyms import read_mesh_tree
from bench.errors import UsageError

TABLE = "Tree Number\tDesc Ui\tTerm\nC10\tD1\tA\nC10.228\tD2\tB\nC10.228.140\tD3\tC\nC23.888\tD3\tC\nC1\tD9\tno\n"
RECORDS = """\
*NEWRECORD
MH = B
MN = C10.228
UI = D2

*NEWRECORD
MH = C
MN = C10.228.140
MN = C23.888
UI = D3

*NEWRECORD
MH = A
MN = C10
UI = D1
"""


def save(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [TABLE, RECORDS], ids=["table", "NLM's records"])
def test_a_descriptor_stands_above_those_whose_number_goes_on_from_its_own(tmp_path: Path, text: str) -> None:
    tree = read_mesh_tree(save(tmp_path / "mesh", text))
    above = {(a, b) for a in ("D1", "D2", "D3", "D9", "C5") for b in ("D1", "D2", "D3", "C5") if tree.is_above(a, b)}
    assert above == {("D1", "D2"), ("D1", "D3"), ("D2", "D3")}


def test_a_file_that_is_no_tree_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no tree numbers of MeSH, expected NLM's descriptors in ASCII"):
        read_mesh_tree(save(tmp_path / "mesh", "Body Regions;A01\n"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_mesh_tree(tmp_path / "absent")


TEXT = """\
1|t|a b c d z
1|a|
1\t0\t1\ta\tChemical\tD11
1\t2\t3\tb\tDisease\tD1
1\t4\t5\tc\tDisease\tD2
1\t6\t7\td\tDisease\tD3
1\t8\t9\tz\tChemical\tD12
1\tCID\tD11\tD2
"""


def test_a_general_disease_is_no_candidate_with_a_chemical_that_induces_a_special_one(tmp_path: Path) -> None:
    path, mesh = save(tmp_path / "x", TEXT), save(tmp_path / "mesh", TABLE)
    (whole,), result = Bc5cdrScanner()(path).documents, Bc5cdrScanner(mesh)(path)
    (document,) = result.documents
    a, b, c, d, z = range(5)
    assert set(whole.candidates or ()) - set(document.candidates or ()) == {(a, b)}
    # The labelled pair stays, as do a special disease of a general one, and the pairs of other chemicals.
    assert {(a, c), (a, d), (z, b), (z, c), (z, d)} == set(document.candidates or ())
    assert result.changes[HYPERNYM] == 1


def test_a_labelled_pair_is_a_candidate_whatever_stands_below_its_disease(tmp_path: Path) -> None:
    path, mesh = save(tmp_path / "x", TEXT + "1\tCID\tD11\tD1\n"), save(tmp_path / "mesh", TABLE)
    result = Bc5cdrScanner(mesh)(path)
    assert not result.changes[HYPERNYM]
    assert {label[:2] for label in result.documents[0].labels} <= set(result.documents[0].candidates or ())
