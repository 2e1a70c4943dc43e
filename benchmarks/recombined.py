"""As many documents as the distant data of DocRED, made from a few hundred real ones.

    python benchmarks/recombined.py --from train_distant.json --documents 101873 --to distant.json

A new document is the first sentences of one document and the last of another, with the entities, mentions and labels
that lie in them. Every entity is renamed, word by word and the same in all its mentions, so that the number of distinct
words grows with the number of documents as it does in real text: from names of other documents, and from new words made
of two halves of old ones. One document is in memory at a time; the same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.data import sample
from bench.data.documents import Document, Label, Mention
from bench.data.formats.docred import document_as_json, read_documents

DISTANT_DOCUMENTS = 101_873
COINED = 0.15
"""The share of words of names that are new."""


def recombined(documents: Sequence[Document], count: int, seed: int = 0) -> Iterator[Document]:
    """`count` documents, the title of each its number."""
    chance = random.Random(seed)
    names = sorted({word for d in documents for ms in d.entities for m in ms for word in _words(d, m)})
    for number in range(count):
        first, last = chance.choice(documents), chance.choice(documents)
        joined = _joined(first, last, f"document {number}")
        yield _renamed(joined, names, chance)


def _words(document: Document, mention: Mention) -> tuple[str, ...]:
    return document.sentences[mention.sentence][mention.start : mention.end]


def _joined(first: Document, last: Document, title: str) -> Document:
    """The first half of the sentences of one document, and the second half of another's."""
    cut, after = (len(first.sentences) + 1) // 2, len(last.sentences) // 2
    sentences = (*first.sentences[:cut], *last.sentences[after:])
    entities: list[tuple[Mention, ...]] = []
    labels: list[Label] = []
    for document, begin, end, shift in (first, 0, cut, 0), (last, after, len(last.sentences), cut - after):
        kept: dict[int, int] = {}
        for old, mentions in enumerate(document.entities):
            inside = tuple(m._replace(sentence=m.sentence + shift) for m in mentions if begin <= m.sentence < end)
            if inside:
                kept[old] = len(entities)
                entities.append(inside)
        labels += [
            Label(kept[x.head], kept[x.tail], x.relation, tuple(s + shift for s in x.evidence if begin <= s < end))
            for x in document.labels
            if x.head in kept and x.tail in kept
        ]
    return Document(title, sentences, tuple(entities), tuple(labels))


def _renamed(document: Document, names: Sequence[str], chance: random.Random) -> Document:
    """Every word of a mention replaced by another, the same everywhere in the document."""
    new: dict[str, str] = {}
    sentences = [list(words) for words in document.sentences]
    for mentions in document.entities:
        for mention in mentions:
            for at in range(mention.start, mention.end):
                word = document.sentences[mention.sentence][at]
                if word not in new:
                    new[word] = _coined(names, chance) if chance.random() < COINED else chance.choice(names)
                sentences[mention.sentence][at] = new[word]
    entities = tuple(
        tuple(m._replace(name=" ".join(sentences[m.sentence][m.start : m.end])) for m in mentions)
        for mentions in document.entities
    )
    return Document(document.title, tuple(map(tuple, sentences)), entities, document.labels)


def _coined(names: Sequence[str], chance: random.Random) -> str:
    front, back = chance.choice(names), chance.choice(names)
    return front[: (len(front) + 1) // 2] + back[len(back) // 2 :]


def write(path: Path, documents: Iterator[Document]) -> None:
    """One document a line, in one step."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished.open("w", encoding="ascii") as file:
        for number, document in enumerate(documents):
            file.write((",\n" if number else "[\n") + json.dumps(document_as_json(document)))
        file.write("\n]\n")
    os.replace(unfinished, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, help="a DocRED-form file (default: the generated sample)")
    parser.add_argument("--documents", type=int, default=DISTANT_DOCUMENTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    documents = read_documents(options.source) if options.source else sample.generate(seed=0)["distant"]
    write(options.to, recombined(documents, options.documents, options.seed))


if __name__ == "__main__":
    main()
