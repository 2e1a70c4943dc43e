"""Documents of any form, and a model that says something of them, for tests of inferences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import strategies as st

from bench.data.documents import Document, Label, Mention
from bench.interface import DocumentScores, Scorer
from bench.metrics.official import document_counts
from bench.metrics.submission import Prediction

RELATIONS = tuple("abcdefgh")


@st.composite
def any_document(draw) -> Document:
    """Up to five sentences, each of words of its own, and up to five entities with a mention or more."""
    sentences = [
        tuple(f"{s}.{w}" for w in range(draw(st.integers(2, 4)))) for s in range(draw(st.integers(1, 5)))
    ]  # fmt: skip

    def mention() -> Mention:
        s = draw(st.integers(0, len(sentences) - 1))
        start = draw(st.integers(0, len(sentences[s]) - 1))
        end = draw(st.integers(start + 1, len(sentences[s])))
        return Mention(s, start, end, " ".join(sentences[s][start:end]), "T")

    count = draw(st.integers(2, 5))
    entities = [tuple(mention() for _ in range(draw(st.integers(1, 3)))) for _ in range(count)]
    pairs = [(h, t) for h in range(count) for t in range(count) if h != t]
    labels = [Label(h, t, draw(st.sampled_from(RELATIONS))) for h, t in draw(st.sets(st.sampled_from(pairs)))]
    named = draw(st.none() | st.lists(st.sampled_from(pairs), unique=True).map(tuple))
    return Document("d", tuple(sentences), tuple(entities), tuple(labels), named)


def pairs_of(document: Document) -> np.ndarray:
    n = len(document.entities)
    pairs = [(h, t) for h in range(n) for t in range(n) if h != t]
    return np.array(pairs if document.candidates is None else document.candidates, dtype=np.int64).reshape(-1, 2)


def hashed_scorer(read: list[Document] | None = None) -> Scorer:
    """Scores that are a function of a document's words and names: of any document the same, wherever it is asked."""

    def score(asked: Sequence[Document]) -> Iterator[DocumentScores]:
        if read is not None:
            read.extend(asked)
        for document in asked:
            pairs = pairs_of(document)
            content = repr((document.title, document.sentences, document.entities)).encode()
            random = np.random.default_rng(list(hashlib.sha256(content).digest()[:8]))
            logits = random.normal(0, 2, (len(pairs), len(RELATIONS) + 1)).astype(np.float32)
            yield DocumentScores(pairs, logits, random.random((len(pairs), len(document.sentences))) < 0.3)

    return score


def f1_of(predictions: Sequence[Prediction], gold: Sequence[Document]) -> float:
    """Micro F1 in percent."""
    return document_counts([p.triple for p in predictions], gold).total.f1
