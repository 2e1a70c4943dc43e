from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.catalog.ext_labels import extremely_unlabeled
from bench.data.documents import Document, Label
from bench.data.formats.docred import read_documents


@pytest.fixture
def real(shared_file: Callable[[str], Path]) -> list[Document]:
    return read_documents(shared_file("data/redocred-small/dev.json"))


def test_ext_keeps_exactly_one_label_of_every_relation_type_of_a_document(real: list[Document]) -> None:
    for before, after in zip(real, extremely_unlabeled(real, 0), strict=True):
        assert sorted(label.relation for label in after.labels) == sorted({label.relation for label in before.labels})
        assert set(after.labels) <= set(before.labels)
        assert replace(after, labels=()) == replace(before, labels=())


def test_ext_does_not_depend_on_the_order_of_documents_or_labels(real: list[Document]) -> None:
    shuffled = [replace(d, labels=tuple(random.Random(1).sample(d.labels, len(d.labels)))) for d in real]
    random.Random(2).shuffle(shuffled)
    expected = {d.title: d for d in extremely_unlabeled(real, 3)}
    assert {d.title: d for d in extremely_unlabeled(shuffled, 3)} == expected


def test_another_seed_draws_other_labels_and_the_same_seed_the_same(real: list[Document]) -> None:
    assert extremely_unlabeled(real, 1) == extremely_unlabeled(real, 1)
    assert extremely_unlabeled(real, 1) != extremely_unlabeled(real, 2)


def test_every_label_of_a_relation_is_as_likely_and_a_duplicate_is_no_second_ticket() -> None:
    labels = (Label(0, 1, "P1", (0,)), Label(0, 1, "P1"), Label(1, 2, "P1"), Label(2, 0, "P1"))
    document = Document("x", (("a",),), ((), (), ()), labels)
    drawn = Counter(extremely_unlabeled([document], seed)[0].labels[0][:2] for seed in range(3000))
    assert all(900 < count < 1100 for count in drawn.values())
    assert len(drawn) == 3


def test_the_published_ext_labels_follow_the_rule_that_is_derived_here(shared_file: Callable[[str], Path]) -> None:
    for document in read_documents(shared_file("data/official/dev_ext.json")):
        assert len({label.relation for label in document.labels}) == len(document.labels)
