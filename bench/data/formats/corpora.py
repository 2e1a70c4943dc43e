"""BC5CDR and BioRED in PubTator or BioC: what each has of relations, types, candidate pairs, and how ids are joined.

BC5CDR (Li et al., 2016): every chemical of an abstract with every disease, CID from the chemical to the disease.
BioRED (Luo et al., 2022): eight pairs of types, eight relations, which have no direction; species and cell lines are
mentioned, and in no pair.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.data.documents import Document
from bench.data.formats import bioc, pubtator_relations
from bench.data.formats.chemdisgene import several_concepts
from bench.data.formats.concepts import Abstract, ConceptChecker, Corpus
from bench.data.formats.hypernyms import read_mesh_tree
from bench.data.formats.json_stream import BrokenJson, decode
from bench.data.formats.scan import Problem, Scan, nothing_read, read_source

_GENE, _DISEASE, _CHEMICAL = "GeneOrGeneProduct", "DiseaseOrPhenotypicFeature", "ChemicalEntity"
_VARIANT = "SequenceVariant"
_PAIRED = (
    (_DISEASE, _GENE),
    (_CHEMICAL, _GENE),
    (_DISEASE, _VARIANT),
    (_GENE, _GENE),
    (_CHEMICAL, _DISEASE),
    (_CHEMICAL, _CHEMICAL),
    (_CHEMICAL, _VARIANT),
    (_VARIANT, _VARIANT),
)
"""The pairs of types between which BioRED has relations."""


def _of_bc5cdr(type_: str, ids: str) -> list[str]:
    return ids.split("|")


def _of_biored(type_: str, ids: str) -> list[str]:
    # Commas alone join: c|SUB|G|1234|A is one variant, and the relations of the few diseases of the form D1|D2 name
    # both in this way, as one concept.
    return ids.split(",") if type_ != _VARIANT and several_concepts(ids) else [ids]


BC5CDR = Corpus(
    "BC5CDR",
    relations=("CID",),
    types=("Chemical", "Disease"),
    pairs=frozenset({("Chemical", "Disease")}),
    directed=True,
    ends=("Chemical", "Disease"),
    concepts=_of_bc5cdr,
)
BIORED = Corpus(
    "BioRED",
    relations=(
        "Association",
        "Positive_Correlation",
        "Negative_Correlation",
        "Bind",
        "Cotreatment",
        "Comparison",
        "Drug_Interaction",
        "Conversion",
    ),
    types=(_GENE, _DISEASE, _CHEMICAL, _VARIANT, "OrganismTaxon", "CellLine"),
    pairs=frozenset(pair for one, other in _PAIRED for pair in ((one, other), (other, one))),
    directed=False,
    ends=("", ""),
    concepts=_of_biored,
    novelty=("Novel", "No"),
)

_OF_BIORED = re.compile(rf'[\t">]({"|".join(BIORED.types[:4])})[\t"<]')
_OF_BC5CDR = re.compile(
    r"\tCID\t|>CID<|\"CID\"|[\"']MESH[\"']|CompositeMention|\t(Chemical|Disease)\t(-1|[CD][0-9]{6,9})\b"
)
_IN_XML = "<"
_IN_JSON = ("{", "[")


def corpus_in(beginning: str) -> Corpus | None:
    """The corpus that a file in PubTator or BioC is of, from how it begins; None where neither shows."""
    if _OF_BIORED.search(beginning):
        return BIORED
    return BC5CDR if _OF_BC5CDR.search(beginning) else None


@dataclass(frozen=True)
class Bc5cdrScanner:
    """Reads and checks files of BC5CDR. Never raises for what a file is or contains: it is in the result.

    hypernyms: a file of MeSH's tree (`bench.data.formats.hypernyms`); a pair that is not labelled, and whose disease
    stands above one that the same chemical induces, is then no candidate. UsageError where that file is none.
    """

    hypernyms: Path | None = None

    def __call__(self, path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
        """Everything that one reading of a file tells."""
        tree = None if self.hypernyms is None else read_mesh_tree(self.hypernyms)
        return _scan(path, ConceptChecker(BC5CDR, relations, repeated_titles, tree))


def scan_biored(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a file of BioRED. Never raises for what the file is or contains: it is in the result."""
    return _scan(path, ConceptChecker(BIORED, relations, repeated_titles))


def _scan(path: Path, checker: ConceptChecker) -> Scan:
    content = read_source(path)
    if isinstance(content, str):
        return nothing_read(path, content)
    raw, source = content
    documents: list[Document] = []
    count = 0
    broken: list[Problem] = []
    for part in _parts(raw, checker):
        if isinstance(part, Abstract):
            document = checker.check(count, part)
            if document is not None:
                documents.append(document)
            count += 1
        elif isinstance(part, Problem):
            (broken if part.document is None else checker.problems).append(part)
        else:  # a document that is none, whose problems the checker has
            count += 1
    if not count and not broken:
        broken.append(Problem(None, "", "", "expected at least one document"))
    sound, problems = checker.finish(documents)
    return Scan(path, count, sound, (*broken, *problems), +checker.notes, checker.labelled, (source,), +checker.changes)


def _parts(raw: bytes, checker: ConceptChecker) -> Iterable[Abstract | Problem | None]:
    """The documents of a file in whichever form it begins, and what is wrong with it."""
    expected = f"{checker.corpus.name}'s abstracts in PubTator or BioC (XML, JSON)"
    beginning = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if beginning == _IN_XML.encode():
        return bioc.abstracts_of(bioc.from_xml(raw), checker)
    text = decode(raw, expected)
    if isinstance(text, BrokenJson):
        return [Problem(None, "", *text)]
    if text.lstrip().startswith(_IN_JSON):
        return bioc.abstracts_of(bioc.from_json(text), checker)
    return pubtator_relations.abstracts_of(text)
