"""The forms a file of documents may have, and from what of its content each is known."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bench.data.conventions import DOCRED
from bench.data.documents import Document
from bench.data.formats import (
    chemdisgene,
    corpora,
    docgnre,
    docred,
    docred_tables,
    dwie,
    hacred,
    linked_docred,
    pair_lines,
    pubtator,
)
from bench.data.formats.chunks import Sound
from bench.data.formats.folder import files_of, is_pattern
from bench.data.formats.json_stream import first_keys
from bench.data.formats.pair_order import ORDERS, Order, first_in_text
from bench.data.formats.scan import Scan, nothing_read, open_source
from bench.data.formats.sound import sound_document
from bench.errors import UsageError, unknown

_BEGINNING = 1 << 16
"""Bytes of a file whose first lines tell its form, or that it is JSON."""
_XML = "<"
_JSON = ("[", "{")
"""With what a file of JSON begins that may hold documents."""
_COMMENTS = re.compile(r"\A(#.*\n\s*)+")
"""Lines above a file of text, which no form has: the reader of the form says so, if it is one."""
_PMID = re.compile(r"(#\s*)?pmid\b", re.IGNORECASE)

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
    record of a run and stand under its table.   unordered: whether a predicted pair counts either way round.
    orders: what `with_order` may choose in place of the order in which the corpus has its pairs.
    with_hypernyms: makes the scanner that leaves out pairs by MeSH's tree, in a file; None for a form without.
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
    unordered: bool = False
    orders: tuple[Order, ...] = ()
    with_hypernyms: Callable[[Path], Scanner] | None = None
    evaluated_as: str = ""

    def of_split(self, split: str) -> Format:
        """The form in which the file of a split is read."""
        return FORMATS[self.evaluated_as] if self.evaluated_as and split in ("dev", "test", "dev_ext") else self


@dataclass(frozen=True)
class _FirstInText:
    """Reads as another scanner, and turns each pair so that what the text mentions first is the head."""

    scan: Scanner

    def __call__(self, path: Path, relations: Collection[str] | None, repeated_titles: bool) -> Scan:
        result = self.scan(path, relations, repeated_titles)
        return replace(result, documents=tuple(map(first_in_text, result.documents)))


_CID = {"CID": "chemical-induced disease"}

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(
            "docred",
            docred.scan,
            pairs_rule=DOCRED["pairs"],
            scored=DOCRED["scored"],
            ign_f1=True,
            sound=sound_document,
        ),
        Format(
            "docred-tables",
            docred_tables.scan,
            pairs_rule=DOCRED["pairs"],
            scored=DOCRED["scored"],
            ign_f1=True,
        ),
        Format(
            "docgnre",
            docgnre.scan,
            pairs_rule=DOCRED["pairs"],
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
            pairs_rule=DOCRED["pairs"],
            scored="head, tail and relation as labelled, of the entities given",
        ),
        Format(
            "dwie",
            dwie.scan,
            pairs_rule="every ordered pair of different concepts that the text mentions",
            scored="subject, object and relation as labelled, of the concepts given; a relation of a concept without "
            "mentions, or with itself, counts as missed; Ign F1 as DocRED's",
            relations=dwie.RELATIONS,
            sentences=False,
            ign_f1=True,
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
            relation_names=_CID,
            orders=ORDERS,
        ),
        Format(
            "bc5cdr",
            corpora.Bc5cdrScanner(),
            pairs_rule="every linked chemical with every linked disease, chemical to disease",
            scored="chemical and disease as labelled CID, of concepts in a whole abstract",
            relations=corpora.BC5CDR.relations,
            relation_names=_CID,
            sentences=False,
            orders=ORDERS,
            with_hypernyms=corpora.Bc5cdrScanner,
        ),
        Format(
            "biored",
            corpora.scan_biored,
            pairs_rule="linked concepts of BioRED's eight pairs of types, each pair once, first in the text as head",
            scored="the two concepts and the relation as labelled, either way round; novelty is not scored",
            relations=corpora.BIORED.relations,
            sentences=False,
            unordered=True,
        ),
        Format(
            "gda",
            partial(pair_lines.scan, corpus=pair_lines.GDA),
            pairs_rule="those that the file lists, gene to disease",
            scored="gene and disease as labelled GDA, of concepts in a whole abstract",
            relations=("GDA",),
            relation_names={"GDA": "gene-disease association"},
            orders=ORDERS,
        ),
    )
}


def format_of(name: str) -> Format:
    """The form of that name, in capitals or not. UsageError naming the choices if there is none."""
    if name.lower() not in FORMATS:
        raise unknown("format", name, FORMATS)
    return FORMATS[name.lower()]


def with_order(form: Format, order: Order | None) -> Format:
    """The form with its pairs in the given order, None for that of the corpus. UsageError where it cannot have it."""
    if order is None:
        return form
    if order not in form.orders:
        having = ", ".join(name for name, other in FORMATS.items() if order in other.orders)
        why = "has it already" if form.unordered else "has relations whose direction the types do not tell"
        raise UsageError(f"--pairs {order} is for {having}: {form.name} {why}")
    return replace(
        form,
        scan=_FirstInText(form.scan),
        pairs_rule=f"{form.pairs_rule}, turned so that the first in the text is the head ({order}, as ATLOP)",
        scored=f"{form.scored}, either way round",
        unordered=True,
    )


def without_hypernyms(form: Format, mesh: Path | None, sha256: str = "") -> Format:
    """The form without the pairs that MeSH's tree, in a file, rules out; None for all pairs. Raises UsageError.

    sha256: of the file, to be told with its name.
    """
    if mesh is None:
        return form
    if form.with_hypernyms is None:
        having = ", ".join(name for name, other in FORMATS.items() if other.with_hypernyms)
        why = "; its 17 columns mark them not_include already" if form.name == "cdr" else ""
        raise UsageError(f"--hypernyms {mesh} is for {having}, and these files are {form.name}{why}")
    named = f"{mesh.name}, sha256 {sha256[:8]}" if sha256 else mesh.name
    rule = f"{form.pairs_rule}, without unlabelled diseases above one that the chemical induces (MeSH: {named})"
    return replace(form, scan=form.with_hypernyms(mesh), pairs_rule=rule)


def detect(path: Path) -> Format:
    """The form of a file, from how it begins; DocRED's where that tells nothing (its reader says what is wrong).

    What begins as JSON is JSON, and the keys of its first document tell its form: never its text. Of BioC and PubTator
    the types, ids and relations in the first 64 KB tell the corpus.
    """
    if (files := _files_of(path)) != [path]:
        # The first files tell, of which some may be damaged: the forms that may be a folder have a document in each.
        told = (detect(file) for file in files[:10])
        return next((form for form in told if form.name != "docred"), FORMATS["docred"])
    if docred_tables.is_table(path):
        return FORMATS["docred-tables"]
    text = _beginning(path).lstrip()
    if text.startswith(_XML):
        return _form_of_corpus(text) or FORMATS["bc5cdr"]
    if text.startswith(_JSON):
        keys = _first_keys(path)
        if "documents" in keys:
            return _form_of_corpus(text) or FORMATS["bc5cdr"]
        return FORMATS[_named_by(keys)]
    lines = _COMMENTS.sub("", text).split("\n", 3)[:3]
    if (corpus := pair_lines.corpus_in(lines)) is not None:
        return FORMATS[corpus.form]
    first = lines[0]
    # Also for a table of triples: the reader of abstracts is the one who can say that it is none.
    if first.partition("|")[2].startswith("t|"):
        return _form_of_corpus(text) or FORMATS["chemdisgene"]
    if first.count("\t") == 3:
        return FORMATS["chemdisgene"]
    if _PMID.match(text):  # a header of 17 columns alone, as their reader says
        return FORMATS["cdr"]
    return FORMATS["docred"]


def _named_by(keys: frozenset[str]) -> str:
    """The form of JSON whose first document has these keys."""
    if keys & {"sents", "vertexSet"}:
        if "gpt_labels" in keys:
            return "docgnre"
        return "linked-docred" if "entities" in keys and "vertexSet" not in keys else "docred"
    if keys & {"sents_char", "vertex_char"}:
        return "hacred"
    if {"mentions", "concepts"} <= keys:
        return "dwie"
    return "chemdisgene" if keys & {"docid", "abstract"} else "docred"


def _form_of_corpus(beginning: str) -> Format | None:
    corpus = corpora.corpus_in(beginning)
    return None if corpus is None else FORMATS[corpus.name.lower()]


def _files_of(folder: Path) -> list[Path]:
    try:
        return files_of(folder)
    except OSError:
        return []


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
    if is_pattern(path) and not _files_of(path):
        return nothing_read(path, "a pattern that no file fits")
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
