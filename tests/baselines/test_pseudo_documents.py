"""What inference-stage fusion reads again of a document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from any_documents import any_document, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_experiments import documents

from baselines.fusion import (
    excerpt,
    pseudo_documents,
)
from bench.data.documents import Document, Mention


@settings(max_examples=40, deadline=None)
@given(st.data(), any_document())
def test_an_excerpt_says_of_its_entities_what_the_document_says_in_those_sentences(data, document):
    numbers = st.sets(st.integers(0, len(document.sentences) - 1), min_size=1)
    sentences = sorted(data.draw(numbers))
    made, entities = excerpt(document, sentences)
    assert made.sentences == tuple(document.sentences[s] for s in sentences)
    assert made.labels == ()
    for mentions, entity in zip(made.entities, entities, strict=True):
        original = [m for m in document.entities[entity] if m.sentence in sentences]
        assert [m._replace(sentence=sentences[m.sentence]) for m in mentions] == original
        for m in mentions:
            assert " ".join(made.sentences[m.sentence][m.start : m.end]) == m.name
    mentioned = [e for e, ms in enumerate(document.entities) if any(m.sentence in sentences for m in ms)]
    assert entities.tolist() == mentioned
    its_own = {(entities[h], entities[t]) for h, t in pairs_of(made)}
    assert its_own == {(h, t) for h, t in pairs_of(document).tolist() if h in mentioned and t in mentioned}


def test_all_sentences_are_the_whole_document_without_its_labels():
    document = documents("train", 1)[0]
    assert excerpt(document, range(3)).document == replace(document, labels=())


@settings(max_examples=40, deadline=None)
@given(st.data(), any_document())
def test_each_distinct_evidence_makes_one_document_that_names_head_and_tail(data, document):
    pairs = pairs_of(document)
    count = len(document.sentences)
    rows = data.draw(
        st.lists(st.lists(st.booleans(), min_size=count, max_size=count), min_size=len(pairs), max_size=len(pairs))
    )
    evidence = np.array(rows, dtype=bool).reshape(len(pairs), count)
    before = evidence.copy()
    made = [part.document.sentences for part in pseudo_documents(document, pairs, evidence)]
    assert np.array_equal(evidence, before)
    assert len(made) == len(set(made))
    expected = set()
    for (head, tail), row in zip(pairs.tolist(), evidence, strict=True):
        sentences = set(np.flatnonzero(row).tolist())
        for entity in (head, tail) if sentences else ():
            named = {m.sentence for m in document.entities[entity]}
            if not sentences & named:
                sentences.add(min(named))
        if sentences:
            expected.add(tuple(document.sentences[s] for s in sorted(sentences)))
    assert set(made) == expected


def test_a_heads_sentence_that_also_names_the_tail_is_enough():
    sentences = (("A", "x"), ("A", "B"), ("y",), ("B", "z"))
    entities = ((Mention(1, 0, 1, "A", ""),), (Mention(0, 0, 1, "B", ""), Mention(1, 1, 2, "B", "")))
    (part,) = pseudo_documents(Document("", sentences, entities), np.array([[0, 1]]), np.array([[0, 0, 1, 0]]) > 0)
    assert part.document.sentences == (("A", "B"), ("y",))


def test_without_evidence_there_are_no_pseudo_documents():
    document = documents("train", 1)[0]
    pairs = pairs_of(document)
    assert pseudo_documents(document, pairs, np.zeros((len(pairs), 3), dtype=bool)) == []


def test_an_entity_without_mentions_adds_no_sentence():
    document = Document("", (("A",), ("x",)), ((Mention(0, 0, 1, "A", ""),), ()))
    (part,) = pseudo_documents(document, np.array([[0, 1]]), np.array([[False, True]]))
    assert (part.document.sentences, part.entities.tolist()) == ((("A",), ("x",)), [0])
