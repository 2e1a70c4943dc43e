"""The extremely-unlabeled labels of Wang et al. (EMNLP 2022), made by rule for any data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from bench.data.documents import Document, Label

RULE_VERSION = 1
"""Part of the checksum of a derived split: raise it when the rule below would choose differently."""


def extremely_unlabeled(documents: Iterable[Document], seed: int) -> list[Document]:
    """The same documents with one label per relation type they express, drawn at random (SSR-PU's ext setting).

    The draw depends on the seed, the title and the label alone, so neither the order of documents nor that of labels,
    nor the other documents, change it. Labels come sorted. The published files were drawn from the *original* DocRED
    labels; this draws from the labels it is given, the same rule on more complete labels.
    """
    return [replace(document, labels=_one_per_relation(document, seed)) for document in documents]


def _one_per_relation(document: Document, seed: int) -> tuple[Label, ...]:
    chosen: dict[str, tuple[bytes, Label]] = {}
    # A triple given twice is one triple: sorted, its first label stands for it whatever the order of the file.
    for label in sorted(document.labels):
        draw = drawn(document, label, seed)
        best = chosen.get(label.relation)
        if best is None or draw < best[0]:
            chosen[label.relation] = (draw, label)
    return tuple(sorted(label for _, label in chosen.values()))


def drawn(document: Document, label: Label, seed: int) -> bytes:
    """128 bits that stand for a labelled triple in a draw: of the seed, the title and the triple alone."""
    key = f"{seed}\0{document.title}\0{label.relation}\0{label.head}\0{label.tail}"
    return hashlib.blake2b(key.encode("utf-8"), digest_size=16).digest()
