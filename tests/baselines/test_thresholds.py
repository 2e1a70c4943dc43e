from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.thresholds import PUBLISHED, PerRelationThresholds, best_threshold
from bench.interface import SETTINGS, Task

# Few different values, so that equal scores are common; neighbouring numbers, between which there is nothing.
NEIGHBOURS = [float(np.nextafter(np.float32(1), np.float32(d))) for d in (0, 1, 2)]
SCORES = st.sampled_from([-3.0, -0.5, 0.0, *NEIGHBOURS, 1e30, -1e30]) | st.floats(-5, 5, width=32)


@st.composite
def scored_labels(draw):
    scores = draw(arrays.arrays(np.float32, st.integers(1, 12), elements=SCORES))
    return torch.from_numpy(scores), torch.from_numpy(draw(arrays.arrays(bool, len(scores))))


def f1(predicted, positive):
    return 2 * (predicted & positive).sum().item() / (predicted.sum() + positive.sum()).item()


@given(scored_labels())
def test_no_threshold_has_a_better_f1_nor_as_good_a_one_with_fewer_predictions(case):
    scores, positive = case
    predicted = scores > best_threshold(scores, positive)
    if not positive.any():
        assert not predicted.any()
        return
    candidates = [scores >= s for s in scores]
    best = max(f1(candidate, positive) for candidate in candidates)
    assert f1(predicted, positive) == best
    assert predicted.sum() == min(c.sum() for c in candidates if f1(c, positive) == best)


def test_the_threshold_lies_half_way_to_the_next_score():
    threshold = best_threshold(torch.tensor([0.0, 3.0, 2.0, -1.0]), torch.tensor([False, True, True, False]))
    assert threshold == 1.0


def test_without_a_positive_it_takes_more_than_any_score_and_more_than_one_half():
    none = torch.zeros(3, dtype=torch.bool)
    assert best_threshold(torch.tensor([-2.0, -7.0, -3.0]), none) == 0.0
    assert best_threshold(torch.tensor([-2.0, 1.5, 0.0]), none) == 1.5


def test_without_scores_the_threshold_is_one_half():
    assert best_threshold(torch.zeros(0), torch.zeros(0, dtype=torch.bool)) == 0.0


@pytest.fixture
def model():
    return PerRelationThresholds(Task(4, ("a", "b", "c"), (0.1, 0.1, 0.1)))


@pytest.fixture
def dev():
    logits = torch.tensor([[2.0, -1.0, 0.5], [1.0, -4.0, -2.0], [-1.0, -2.0, 0.0]])
    labels = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 1, 0]]).bool()
    return logits, labels


def test_each_relation_has_its_own_threshold(model, dev):
    assert model.decode(dev[0]).tolist() == [[True, False, True], [True, False, False], [False, False, False]]
    model.tune(*dev)
    assert model.decode(dev[0]).tolist() == [[True, True, False], [True, False, False], [False, True, False]]
    assert model.decision() == {"threshold a": 0.0, "threshold b": -3.0, "threshold c": 0.5}


def test_thresholds_go_with_the_weights(model, dev):
    model.tune(*dev)
    again = PerRelationThresholds(Task(4, ("a", "b", "c"), (0.1, 0.1, 0.1)))
    again.load_state_dict(model.state_dict())
    assert again.decision() == model.decision()


def test_tuning_without_a_pair_gives_one_half(model, dev):
    model.tune(*dev)
    model.tune(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool))
    assert set(model.decision().values()) == {0.0}


def loss_of(model, logits, labels):
    (part,) = model.loss(logits, labels).values()
    return part


def test_the_loss_is_summed_over_relations_and_averaged_over_pairs(model, dev):
    logits, labels = dev
    probability = logits.sigmoid()
    by_hand = -torch.where(labels, probability, 1 - probability).log()
    torch.testing.assert_close(loss_of(model, logits, labels), by_hand.sum(1).mean())
    twice = loss_of(model, torch.cat([logits, logits]), torch.cat([labels, labels]))
    torch.testing.assert_close(twice, by_hand.sum(1).mean())
    with_settled_relation = (
        torch.cat([logits, torch.full((3, 1), -80.0)], 1),
        torch.cat([labels, labels[:, :1] & False], 1),
    )
    torch.testing.assert_close(loss_of(model, *with_settled_relation), by_hand.sum(1).mean())


def test_the_recipe_is_the_published_one_in_every_setting():
    stages = PerRelationThresholds.recipe.stages
    assert stages.keys() == set(SETTINGS)
    for setting in ("human", "ext"):
        assert dict(stages[setting][0].training) == PUBLISHED
    assert [stage.data for stage in stages["human+distant"]] == ["distant", "human"]
    assert PUBLISHED["accumulate"] * PUBLISHED["batch_size"] == 16
