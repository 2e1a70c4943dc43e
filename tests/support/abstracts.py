"""Generated ChemDisGene documents, and the files of both forms that hold them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bench.data.formats.chemdisgene import ARGUMENTS, RARE_RELATIONS, RELATIONS

TYPES = ("Chemical", "Disease", "Gene", "Species")
# Not what separates columns and lines of PubTator's form, nor what transliteration knows nothing of.
LETTERS = st.sampled_from("abcXYZ019 -(),.;%αβ±é’ ")
IDS = {"Chemical": ("MESH:D1", "MESH:D2", "-"), "Disease": ("MESH:D3", "", "OMIM:4"), "Gene": ("5", "6", "5|6")}


@st.composite
def abstracts(draw: st.DrawFn, docid: str) -> dict[str, Any]:
    title = draw(st.text(LETTERS, min_size=1, max_size=20).filter(str.strip))
    abstract = draw(st.text(LETTERS, max_size=40))
    text = f"{title} {abstract}"
    mentions = []
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, min(len(text), start + 8)))
        type_ = draw(st.sampled_from(TYPES))
        id_ = draw(st.sampled_from(IDS.get(type_, ("10090",))))
        mentions.append({"start": start, "end": end, "mention": text[start:end], "type": type_, "id": id_})
    relations = []
    for _ in range(draw(st.integers(0, 3))):
        relation = draw(st.sampled_from((*RELATIONS, *RARE_RELATIONS)))
        head, tail = ARGUMENTS[relation.partition(":")[0]]
        ids = [draw(st.sampled_from([i for i in IDS[type_] if i not in ("-", "")])) for type_ in (head, tail)]
        subject, object_ = draw(st.permutations(ids))
        relations.append({"type": relation, "subj": subject, "obj": object_})
    return {"docid": docid, "title": title, "abstract": abstract, "entity": mentions, "relation": relations}


@st.composite
def files(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [draw(abstracts(str(10_000 + index))) for index in range(draw(st.integers(1, 3)))]


def save_json(path: Path, items: object) -> Path:
    path.write_text(json.dumps(items), encoding="utf-8")
    return path


def pubtator_text(items: list[dict[str, Any]]) -> str:
    parts = []
    for item in items:
        lines = [f"{item['docid']}|t|{item['title']}"]
        if item["abstract"]:
            lines.append(f"{item['docid']}|a|{item['abstract']}")
        lines += [
            "\t".join([item["docid"], str(e["start"]), str(e["end"]), e["mention"], e["type"], e["id"]])
            for e in item["entity"]
        ]
        parts.append("\n".join(lines) + "\n\n")
    return "".join(parts)


def table_text(items: list[dict[str, Any]]) -> str:
    return "".join(
        "\t".join([item["docid"], relation["type"], relation["subj"], relation["obj"]]) + "\n"
        for item in items
        for relation in item["relation"]
    )


def save_pubtator(folder: Path, items: list[dict[str, Any]], name: str = "train") -> Path:
    path = folder / f"{name}_abstracts.txt.gz"
    path.write_bytes(gzip.compress(pubtator_text(items).encode(), mtime=0))
    (folder / f"{name}_relationships.tsv.gz").write_bytes(gzip.compress(table_text(items).encode(), mtime=0))
    return path


def small() -> dict[str, Any]:
    """Aspirin, one gene, one disease, a mouse, and mentions without a concept."""
    title, abstract = "Aspirin and TNF-α.", "Asthma of mice; ERK1/2."

    def mention(name: str, type_: str, id_: str) -> dict[str, Any]:
        start = f"{title} {abstract}".index(name)
        return {"start": start, "end": start + len(name), "mention": name, "type": type_, "id": id_}

    return {
        "docid": "77",
        "title": title,
        "abstract": abstract,
        "entity": [
            mention("Aspirin", "Chemical", "MESH:D1"),
            mention("TNF-α", "Gene", "10090"),
            mention("Asthma", "Disease", "MESH:D2"),
            mention("mice", "Species", "10090"),
            mention("ERK1/2", "Gene", "5595|5594"),
            mention("and", "Chemical", "-"),
        ],
        "relation": [
            {"type": "chem_gene:increases^expression", "subj": "MESH:D1", "obj": "10090"},
            {"type": "chem_disease:therapeutic", "subj": "MESH:D2", "obj": "MESH:D1"},
            {"type": "chem_gene:affects^binding", "subj": "MESH:D1", "obj": "5594"},
        ],
    }
