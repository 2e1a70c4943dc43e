"""Generated abstracts with mentions of concepts and relations, and the PubTator and BioC that hold them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from hypothesis import strategies as st

from bench.data.formats.corpora import BIORED


class Written(NamedTuple):
    """A document as whoever annotates has it. mentions: (start, end, type, ids).   relations: (name, id, id)."""

    docid: str
    title: str
    abstract: str
    mentions: tuple[tuple[int, int, str, str], ...]
    relations: tuple[tuple[str, str, str], ...]

    @property
    def text(self) -> str:
        return f"{self.title} {self.abstract}"


LETTERS = st.sampled_from("abcXYZ019 -(),.;%αβ±é<&'\"")
IDS = {
    "Chemical": ("D1", "D2", "C000003", "-1", "D1|D2"),
    "Disease": ("D4", "D5", "-1", "D5|D6|D4"),
    "ChemicalEntity": ("D1", "D2", "-", "D1,D2"),
    "DiseaseOrPhenotypicFeature": ("D4", "D5", "D4,D5", "D5|D6"),
    "GeneOrGeneProduct": ("10090", "22", "22,10090"),
    "SequenceVariant": ("c|SUB|G|1234|A", "rs1", "p|K1E,N"),
    "OrganismTaxon": ("10090",),
    "CellLine": ("CVCL_1",),
}
CHEMICALS, DISEASES = ("D1", "D2", "C000003"), ("D4", "D5", "D6")
"""Concepts that relations of BC5CDR name, be they mentioned or not."""


@st.composite
def _mentions(draw: st.DrawFn, text: str, types: Sequence[str]) -> tuple[tuple[int, int, str, str], ...]:
    mentions = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, min(len(text), start + 8)))
        type_ = draw(st.sampled_from(types))
        mentions.append((start, end, type_, draw(st.sampled_from(IDS[type_]))))
    return tuple(mentions)


@st.composite
def documents(draw: st.DrawFn, types: Sequence[str], relations: Sequence[str]) -> list[Written]:
    """One to three documents with mentions of these types; relations only where they are BC5CDR's or among mentions."""
    written = []
    for index in range(draw(st.integers(1, 3))):
        title = draw(st.text(LETTERS, min_size=1, max_size=20).filter(str.strip))
        abstract = draw(st.text(LETTERS, max_size=40))
        mentions = draw(_mentions(f"{title} {abstract}", types))
        if "CID" in relations:
            ends = st.tuples(st.just("CID"), st.sampled_from(CHEMICALS), st.sampled_from(DISEASES))
        else:
            ids = sorted({id_ for _, _, _, id_ in mentions if id_ != "-"}) or ["22"]
            ends = st.tuples(st.sampled_from(relations), st.sampled_from(ids), st.sampled_from(ids))
        triples = draw(st.lists(ends, max_size=4))
        written.append(Written(str(10_000 + index), title, abstract, mentions, tuple(triples)))
    return written


def bc5cdr() -> st.SearchStrategy[list[Written]]:
    return documents(("Chemical", "Disease"), ("CID",))


def biored() -> st.SearchStrategy[list[Written]]:
    return documents(BIORED.types, BIORED.relations)


def pubtator_lines(document: Written) -> tuple[list[str], list[str]]:
    """(title and abstract, mentions and relations); a relation that is not CID is marked as novel."""
    head = [f"{document.docid}|t|{document.title}", f"{document.docid}|a|{document.abstract}"]
    rows: list[tuple[object, ...]] = [
        (start, end, document.text[start:end], type_, ids) for start, end, type_, ids in document.mentions
    ]
    rows += [(*triple, *([] if triple[0] == "CID" else ["Novel"])) for triple in document.relations]
    return head, ["\t".join(map(str, (document.docid, *row))) for row in rows]


def as_pubtator(written: Sequence[Written]) -> str:
    return "".join("\n".join([*head, *rows, "", ""]) for head, rows in map(pubtator_lines, written))


def as_collection(written: Sequence[Written]) -> dict[str, Any]:
    """BioC's JSON."""
    return {"source": "made up", "documents": [_as_document(document) for document in written]}


def _as_document(document: Written) -> dict[str, Any]:
    cut = len(document.title) + 1
    passages = [
        {"offset": 0, "text": document.title, "annotations": []},
        {"offset": cut, "text": document.abstract, "annotations": []},
    ]
    for number, (start, end, type_, ids) in enumerate(document.mentions):
        key = "MESH" if type_ in ("Chemical", "Disease") else "identifier"
        annotation = {
            "id": str(number),
            "infons": {"type": type_, key: ids},
            "text": document.text[start:end],
            "locations": [{"offset": start, "length": end - start}],
        }
        passages[start >= cut]["annotations"].append(annotation)
    relations = []
    for name, first, second in document.relations:
        infons = {"relation": name, "Chemical": first, "Disease": second}
        if name != "CID":
            infons = {"type": name, "entity1": first, "entity2": second, "novel": "Novel"}
        relations.append({"id": f"R{len(relations)}", "infons": infons})
    return {"id": document.docid, "passages": passages, "relations": relations}


def as_json(written: Sequence[Written]) -> str:
    return json.dumps(as_collection(written))


def as_xml(collection: dict[str, Any]) -> str:
    """BioC's XML of the same, as the published files begin."""
    documents = "".join(map(_document_xml, collection["documents"]))
    head = '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE collection SYSTEM "BioC.dtd">'
    return f"{head}<collection><source>made up</source>{documents}</collection>"


def _document_xml(item: dict[str, Any]) -> str:
    parts = [f"<id>{escape(item['id'])}</id>"]
    for passage in item["passages"]:
        annotations = "".join(map(_annotation_xml, passage["annotations"]))
        text = f"<offset>{passage['offset']}</offset><text>{escape(passage['text'])}</text>"
        parts.append(f"<passage>{text}{annotations}</passage>")
    parts += [f"<relation id='{one['id']}'>{_infons_xml(one)}</relation>" for one in item["relations"]]
    return f"<document>{''.join(parts)}</document>"


def _annotation_xml(item: dict[str, Any]) -> str:
    places = "".join(f"<location offset='{at['offset']}' length='{at['length']}'/>" for at in item["locations"])
    return f"<annotation id='{item['id']}'>{_infons_xml(item)}{places}<text>{escape(item['text'])}</text></annotation>"


def _infons_xml(item: dict[str, Any]) -> str:
    return "".join(f'<infon key="{key}">{escape(value)}</infon>' for key, value in item["infons"].items())
