"""KD-DocRE with matrices filled up as the released program does: its values, and what the filling is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kd_docre_values import EXACT, Golden, document_of, grids, model_of
from plain import heads

from baselines.kd_docre import KdDocRe
from baselines.kd_docre_released import KdDocReReleased
from bench.registry import code_version, find


def small_model(cls=KdDocReReleased, **hyperparameters) -> KdDocRe:
    sizes = {"encoder_size": 16, "relations": 4, "pair_size": 8, "block_size": 4}
    return model_of(cls=cls, **sizes | hyperparameters).eval()


def test_logits_are_the_released_programs_of_the_documents_own_pairs(shared_file):
    golden = Golden(shared_file, KdDocReReleased)
    logits = torch.where(golden.off_diagonal[:, None], golden.model(golden.own).detach(), 0.0)
    np.testing.assert_allclose(logits, golden.of["logits"], **EXACT)


def test_a_document_scores_the_same_alone_and_in_any_batch():
    model, together = small_model(), grids(4, 0, 7, 1, 2)
    alone = [model(document_of(together, i)) for i in range(5)]
    assert [len(logits) for logits in alone] == [12, 0, 42, 0, 2]
    torch.testing.assert_close(model(together), torch.cat(alone), rtol=1e-12, atol=1e-12)


def test_documents_of_at_least_the_size_that_is_filled_up_to_score_as_without_filling():
    filled, plain = small_model(filled_to=4), small_model(KdDocRe)
    plain.load_state_dict(filled.state_dict())
    large = grids(4, 5)
    torch.testing.assert_close(filled(large), plain(large), rtol=0, atol=0)
    assert not torch.allclose(filled(grids(3)), plain(grids(3)))


@pytest.mark.parametrize("training", [True, False])
def test_one_row_and_column_stand_for_all_that_are_filled_in(training):
    model = small_model().train(training)
    cells, entities = torch.randn(9 + 16, 16, dtype=torch.float64), (3, 4)
    filling = model.filling(cells)
    of_all = heads.axial(list(model.axial.layers), cells, PlainMatrices(entities), filling)
    torch.testing.assert_close(model.attended(cells, entities), of_all, rtol=1e-10, atol=1e-12)


class PlainMatrices:
    """How many entities each document has: all that the plain attention asks of pairs."""

    def __init__(self, entities: tuple[int, ...]) -> None:
        self.entities = entities


def test_the_filling_is_zero_in_training_and_what_the_network_makes_of_nothing_in_evaluation():
    model, cells = small_model(), torch.zeros(1, 16, dtype=torch.float64)
    evaluated = model.filling(cells)
    assert evaluated.abs().min() > 0
    assert not model.train().filling(cells).any()


@pytest.mark.parametrize("training", [True, False])
def test_every_parameter_gets_a_finite_gradient(training):
    model, pairs = small_model().train(training), grids(4, 1, 3)
    model(pairs).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("entities", [(0,), (1,), (1, 0, 1)])
def test_documents_without_pairs_have_no_logits(entities):
    assert small_model()(grids(*entities)).shape == (0, 5)


def test_it_is_registered_beside_the_papers_form():
    assert find("kd_docre-released").cls is KdDocReReleased
    assert code_version(KdDocReReleased) != code_version(KdDocRe)
