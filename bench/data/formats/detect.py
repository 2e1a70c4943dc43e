"""The forms a file of documents may have: DocRED's JSON, ChemDisGene's JSON or PubTator files, BC5CDR's lines."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.data.documents import Document
from bench.data.formats import chemdisgene, docgnre, docred, hacred, linked_docred, pair_lines, pubtator
from bench.data.formats.chunks import Sound
from bench.data.formats.json_stream import first_keys
from bench.data.formats.scan import Scan, open_source
from bench.data.formats.sound import sound_document
from bench.errors import unknown

_BEGINNING = 1 << 16
"""Bytes of a file whose first lines tell its form, or that it is JSON."""
_JSON = ("[", "{")
"""With what a file of JSON begins that may hold documents."""

Scanner = Callable[[Path, Collection[str] | None, bool], Scan]


def _scan_chemdisgene(path: Path, relations: Collection[str] | None, repeated_titles: bool) -> Scan:
    module = chemdisgene if _beginning(path).lstrip()[:1] in (*_JSON, "") else pubtator
    return module.scan(path, relations, repeated_titles)


@dataclass(frozen=True)
class Format:
    """A form of files, and what its data sets have.

    relations: those of the benchmark, in order, where the form means one benchmark.   sentences: whether documents
    come in sentences.   ign_f1: whether Ign F1, which leaves out facts between names seen in training, is defined.
    sound: makes the document of one element of a file that was checked before; None where a file is no list of them.
    evaluated_as: the form in which dev and test files of such a data set are read, where it is another.
    pairs_rule: which pairs of entities are classified.   scored: what of a prediction counts, and how. Both go into the
    record of a run and stand under its table.
    """

    name: str
    scan: Scanner
    pairs_rule: str
    scored: str
    relations: tuple[str, ...] | None = None
    relation_names: Mapping[str, str] = field(default_factory=dict, hash=False)
    sentences: bool = True
    ign_f1: bool = False
    sound: Sound | None = None
    evaluated_as: str = ""

    def of_split(self, split: str) -> Format:
        """The form in which the file of a split is read."""
        return FORMATS[self.evaluated_as] if self.evaluated_as and split in ("dev", "test", "dev_ext") else self


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(
            "docred",
            docred.scan,
            pairs_rule="every ordered pair of different entities of a document",
            scored="head, tail and relation as labelled; Ign F1 leaves out what training has between the same names",
            ign_f1=True,
            sound=sound_document,
        ),
        Format(
            "docgnre",
            docgnre.scan,
            pairs_rule="every ordered pair of different entities of a document",
            scored="head, tail and relation as in labels (gpt_labels are trained on alone); Ign F1 as DocRED's",
            ign_f1=True,
            evaluated_as="docred",
        ),
        Format(
            "linked-docred",
            linked_docred.scan,
            pairs_rule="every ordered pair of different entities, of which those linked to one page are one",
            scored="head, tail and relation as labelled, of the entities given; Ign F1 as DocRED's",
            ign_f1=True,
            sound=linked_docred.sound_document,
        ),
        Format(
            "hacred",
            hacred.scan,
            pairs_rule="every ordered pair of different entities of a document",
            scored="head, tail and relation as labelled, of the entities given",
        ),
        Format(
            "chemdisgene",
            _scan_chemdisgene,
            pairs_rule="chemical to disease, chemical to gene and gene to disease, of different linked concepts",
            scored="head, tail and relation as labelled, of concepts; a label without a mention counts as missed",
            relations=chemdisgene.RELATIONS,
            sentences=False,
        ),
        Format(
            "cdr",
            partial(pair_lines.scan, corpus=pair_lines.CDR),
            pairs_rule="those that the file lists, chemical to disease, without not_include (hypernyms)",
            scored="chemical and disease as labelled CID, of concepts in a whole abstract",
            relations=("CID",),
            relation_names={"CID": "chemical-induced disease"},
        ),
        Format(
            "gda",
            partial(pair_lines.scan, corpus=pair_lines.GDA),
            pairs_rule="those that the file lists, gene to disease",
            scored="gene and disease as labelled GDA, of concepts in a whole abstract",
            relations=("GDA",),
            relation_names={"GDA": "gene-disease association"},
        ),
    )
}


def format_of(name: str) -> Format:
    """The form of that name. UsageError naming the choices if there is none."""
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return FORMATS[name]


def detect(path: Path) -> Format:
    """The form of a file, from how it begins; DocRED's where that tells nothing (its reader says what is wrong).

    What begins as JSON is JSON, and the keys of its first document tell its form: never its text.
    """
    text = _beginning(path).lstrip()
    if text.startswith(_JSON):
        return FORMATS[_named_by(_first_keys(path))]
    lines = text.split("\n", 3)[:3]
    if (corpus := pair_lines.corpus_in(lines)) is not None:
        return FORMATS[corpus.form]
    first = lines[0]
    # Also for a table of triples: the reader of abstracts is the one who can say that it is none.
    if first.partition("|")[2].startswith("t|") or first.count("\t") == 3:
        return FORMATS["chemdisgene"]
    return FORMATS["docred"]


def _named_by(keys: frozenset[str]) -> str:
    """The form of JSON whose first document has these keys."""
    if keys & {"sents", "vertexSet"}:
        if "gpt_labels" in keys:
            return "docgnre"
        return "linked-docred" if "entities" in keys and "vertexSet" not in keys else "docred"
    if keys & {"sents_char", "vertex_char"}:
        return "hacred"
    return "chemdisgene" if keys & {"docid", "abstract"} else "docred"


def _first_keys(path: Path) -> frozenset[str]:
    blocks = open_source(path)
    if isinstance(blocks, str):
        return frozenset()
    keys = first_keys(blocks)
    blocks.close()
    return keys


def scan(
    path: Path | str,
    form: Format | None = None,
    relations: Collection[str] | None = None,
    repeated_titles: bool = False,
) -> Scan:
    """Read and check a whole file, in the given form or the one it begins with.

    Never raises for what the file is or contains: every problem is in the result. `relations`: those a label may have
    (None: the form's own, or any). `repeated_titles`: whether documents may share a title (see `docred.scan`).
    """
    path = Path(path)
    return (form or detect(path)).scan(path, relations, repeated_titles)


def read_documents(path: Path | str) -> list[Document]:
    """The documents of a file in any form. Raises UsageError naming every problem (the first 50 in full)."""
    result = scan(path)
    result.refuse_problems()
    return list(result.documents)


def _beginning(path: Path) -> str:
    """The first characters of a file, unzipped; '' where it cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(_BEGINNING)
        if raw.startswith(b"\x1f\x8b"):
            raw = zlib.decompressobj(wbits=31).decompress(raw, _BEGINNING)
    except (OSError, ValueError, zlib.error):
        return ""
    return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
