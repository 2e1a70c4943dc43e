"""Documents of any form, for tests of inference-stage fusion."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from bench.data.documents import Document, Label, Mention

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
