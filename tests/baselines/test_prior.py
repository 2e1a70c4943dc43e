from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.prior import Prior, PriorHyperparameters, candidates, types_of
from bench.data.documents import Document, Label, Mention
from bench.interface import CountingTask
from bench.metrics.official import document_counts

TASK = CountingTask(("P1", "P2", "P3"), {}, {}, "d")


def document(title: str, types: str, *labels: tuple[int, int, str], candidates: tuple | None = None) -> Document:
    entities = tuple((Mention(0, i, i + 1, f"w{i}", kind),) for i, kind in enumerate(types))
    words = tuple(f"w{i}" for i in range(len(types)))
    return Document(title, (words,), entities, tuple(Label(*label) for label in labels), candidates)


def fitted(train: Sequence[Document], dev: Sequence[Document], **hp: int) -> Prior:
    prior = Prior(PriorHyperparameters(**hp), TASK)
    prior.fit(train, dev, 0)
    return prior


def f1(prior: Prior, documents: Sequence[Document]) -> float:
    return document_counts([row.triple for row in prior.predict(documents)], documents).total.f1


def test_a_pair_gets_the_most_frequent_relation_of_its_types():
    train = [document("a", "PL", (0, 1, "P1")), document("b", "PL", (0, 1, "P1")), document("c", "PL", (0, 1, "P2"))]
    prior = fitted(train, train)
    assert [row.triple for row in prior.predict([document("new", "LP")])] == [("new", 1, 0, "P1")]
    assert prior.decision() == {"relations a pair": 1.0, "rate": pytest.approx(2 / 3)}


def test_types_that_training_never_labels_get_nothing():
    train = [document("a", "PL", (0, 1, "P1"))]
    assert fitted(train, train).predict([document("new", "OO")]) == []


def test_a_relation_too_rare_to_pay_on_dev_is_left_out():
    rare = [document(f"r{i}", "PL", *([(0, 1, "P1")] if i == 0 else [])) for i in range(10)]
    sure = [document("s", "OL", (0, 1, "P2"))]
    prior = fitted([*rare, *sure], [*rare, *sure])
    assert {row.relation for row in prior.predict([*rare, *sure])} == {"P2"}


def test_only_the_pairs_that_a_document_names_are_classified():
    train = [document("a", "PPL", (0, 2, "P1"), candidates=((0, 2), (1, 2)))]
    prior = fitted(train, train)
    assert {(row.head, row.tail) for row in prior.predict(train)} == {(0, 2), (1, 2)}
    assert prior.decision()["rate"] == pytest.approx(1 / 2)


def test_of_several_stages_the_counts_are_added_up():
    one, other = [document("a", "PL", (0, 1, "P1"))], [document(f"b{i}", "PL", (0, 1, "P2")) for i in range(2)]
    prior = Prior(PriorHyperparameters(most=1), TASK)
    prior.fit(other, other, 0)
    prior.fit(one, other, 0)
    assert {row.relation for row in prior.predict(one)} == {"P2"}


def test_without_a_label_on_dev_nothing_is_predicted():
    train = [document("a", "PL", (0, 1, "P1"))]
    assert fitted(train, [document("d", "PL")]).predict(train) == []


DOCUMENTS = st.lists(
    st.builds(
        lambda types, labels: (types, {(h % len(types), t % len(types), r) for h, t, r in labels}),
        st.text("PLO", min_size=2, max_size=4),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["P1", "P2", "P3"])), max_size=4),
    ),
    min_size=1,
    max_size=4,
)


@given(train=DOCUMENTS, dev=DOCUMENTS)
def test_no_other_count_and_rate_have_a_higher_f1_on_dev(train, dev):
    def made(name, parts):
        return [
            document(f"{name}{i}", types, *sorted(label for label in labels if label[0] != label[1]))
            for i, (types, labels) in enumerate(parts)
        ]

    train_documents, dev_documents = made("t", train), made("d", dev)
    prior = fitted(train_documents, dev_documents, most=3)
    chosen = f1(prior, dev_documents)
    rates = {rate for types in prior.labels for rate, _ in prior._ranked(types)}
    for count, rate in product(range(4), rates | {1.1}):
        prior.count, prior.threshold = count, rate
        assert f1(prior, dev_documents) <= chosen + 1e-9


def test_candidates_are_all_pairs_of_two_entities_in_both_directions():
    of = document("a", "PLO")
    assert len(list(candidates(of))) == 6
    assert types_of(of, 2, 0) == ("O", "P")
