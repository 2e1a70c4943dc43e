"""Rules that keep a share of the labels."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.catalog.ext_labels import extremely_unlabeled
from bench.data.catalog.label_rules import thinned
from bench.data.documents import Document, Label, Mention, Triple
from bench.data.formats.docred import read_documents
from bench.errors import UsageError
from bench.label_share import RULES, LabelShare, Rule

SENTENCES = (("a", "b", "c"), ("d", "e"), ("f", "g", "h", "i"))


def mentions() -> st.SearchStrategy[tuple[Mention, ...]]:
    places = st.sampled_from([(s, w) for s, words in enumerate(SENTENCES) for w in range(len(words))])
    return st.lists(places, max_size=3).map(lambda some: tuple(Mention(s, w, w + 1, "n", "T") for s, w in some))


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    label = st.builds(Label, st.integers(0, 3), st.integers(0, 3), st.sampled_from(["P1", "P2"]), st.just((0,)))
    some = draw(st.lists(st.tuples(st.tuples(*[mentions()] * 4), st.lists(label, max_size=9)), min_size=1, max_size=5))
    return [Document(f"title {i}", SENTENCES, entities, tuple(labels)) for i, (entities, labels) in enumerate(some)]


def triples(some: Sequence[Document]) -> set[Triple]:
    return set().union(*(document.triples() for document in some))


def share(percent: float | str, rule: Rule = "per-type", seed: int = 0) -> LabelShare:
    return LabelShare(Decimal(percent), rule, seed)


def kept(some: Sequence[Document], of: LabelShare) -> set[Triple]:
    return triples(thinned(some, of)) if of.count(len(triples(some))) else set()


PERCENTS = st.integers(1, 100)


@given(documents(), st.sampled_from(RULES), PERCENTS, PERCENTS, st.integers(0, 3))
def test_a_smaller_share_is_part_of_a_larger_one_and_as_large_as_was_asked_for(some, rule, one, other, seed):
    few, many = (share(percent, rule, seed) for percent in sorted((one, other)))
    assert kept(some, few) <= kept(some, many) <= triples(some)
    assert len(kept(some, few)) == few.count(len(triples(some)))


@given(documents(), st.sampled_from(RULES), PERCENTS, st.randoms(use_true_random=False))
def test_neither_the_order_of_documents_nor_that_of_labels_nor_a_label_given_twice_changes_it(some, rule, percent, by):
    other = []
    for document in some:
        labels = [*document.labels, *document.labels[:2]]
        by.shuffle(labels)
        other.append(replace(document, labels=tuple(labels)))
    by.shuffle(other)
    assert kept(other, share(percent, rule)) == kept(some, share(percent, rule))


@given(documents(), st.sampled_from(RULES))
def test_all_labels_are_each_triple_once_and_the_documents_stay_as_they_are(some, rule):
    if not triples(some):
        return
    all_of_them = thinned(some, share(100, rule))
    for before, after in zip(some, all_of_them, strict=True):
        assert len(after.labels) == len(before.triples())
        assert after.triples() == before.triples()
        assert list(after.labels) == sorted(after.labels)
        assert replace(after, labels=()) == replace(before, labels=())


@given(documents(), st.integers(0, 3))
def test_one_triple_of_each_type_and_document_is_the_extremely_unlabeled_rule(some, seed):
    ext = extremely_unlabeled(some, seed)
    count, total = len(triples(ext)), len(triples(some))
    if count:
        assert thinned(some, share(str(Decimal(100 * count) / total), seed=seed)) == ext


def test_that_holds_of_real_documents(shared_file: Callable[[str], Path]) -> None:
    real = read_documents(shared_file("data/redocred-small/dev.json"))
    ext = extremely_unlabeled(real, 0)
    assert thinned(real, share(str(Decimal(100 * len(triples(ext))) / len(triples(real))))) == ext


def test_a_second_triple_of_a_type_comes_after_the_first_of_every_type_in_every_document():
    labels = tuple(Label(0, tail, relation) for relation in ("P1", "P2") for tail in (1, 2, 3))
    some = [Document(f"title {i}", SENTENCES, ((),) * 4, labels) for i in range(10)]
    for percent, most in ((20, 1), (50, 2), (66, 2), (70, 3)):
        counts = Counter((title, relation) for title, _, _, relation in kept(some, share(percent)))
        assert max(counts.values()) == most


def at(*places: tuple[int, int]) -> tuple[Mention, ...]:
    return tuple(Mention(s, w, w + 1, "n", "T") for s, w in places)


READ = (at((0, 0)), at((2, 3), (0, 2)), at((1, 1)), at((1, 0), (2, 0)), ())
"""Entities first named at words 0, 2, 4, 3 and nowhere."""


def order_of(document: Document, rule: Rule, labels: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs of entities in the order in which growing shares keep them."""
    labelled = replace(document, labels=tuple(Label(head, tail, "P1") for head, tail in labels))
    found: dict[tuple[int, int], None] = {}
    for percent in range(1, 101):
        for _, head, tail, _ in sorted(kept([labelled], share(percent, rule))):
            found.setdefault((head, tail))
    return list(found)


def test_an_annotator_who_reads_from_the_front_finds_first_what_is_first_known_then_what_is_near():
    document = Document("t", SENTENCES, READ)
    # Known in sentence 0; in sentence 1, with 0, 1 and 2 words between the first mentions; nowhere.
    pairs = [(0, 1), (2, 3), (2, 1), (0, 3), (4, 0)]
    assert order_of(document, "by-annotator", pairs[::-1]) == pairs


def test_of_a_text_without_sentences_it_is_the_word_where_the_second_entity_is_named():
    text = tuple(word for words in SENTENCES for word in words)
    entities = tuple(at((0, word)) for word in (0, 7, 4, 3))
    pairs = [(0, 3), (3, 2), (2, 0), (1, 2), (1, 0)]
    assert order_of(Document("t", (text,), entities), "by-annotator", pairs[::-1]) == pairs


def test_every_document_is_read_as_far_as_every_other():
    some = []
    for i in range(12):
        pairs = random.Random(i).sample([(h, t) for h in range(4) for t in range(4) if h != t], 4 + 4 * (i % 3))
        some.append(Document(f"title {i}", SENTENCES, READ[:4], tuple(Label(h, t, "P1") for h, t in pairs)))
    for percent in (20, 50, 75):
        for document in thinned(some, share(percent, "by-annotator")):
            of = len(next(d for d in some if d.title == document.title).labels)
            assert abs(len(document.labels) - of * percent / 100) <= 1


@pytest.mark.parametrize("rule", RULES)
def test_another_seed_keeps_other_labels(rule):
    labels = tuple(Label(h, t, "P1") for h in range(4) for t in range(4))
    some = [Document(f"title {i}", SENTENCES, ((),) * 4, labels) for i in range(5)]
    assert kept(some, share(30, rule, 0)) != kept(some, share(30, rule, 1))


def test_a_share_that_leaves_nothing_is_refused_with_what_there_is():
    few = [Document("t", SENTENCES, ((),) * 2, (Label(0, 1, "P1"), Label(1, 0, "P1"), Label(0, 0, "P1")))]
    with pytest.raises(UsageError, match="5% of 3 labelled triples is none"):
        thinned(few, share(5))
    assert len(triples(thinned(few, share(17)))) == 1
