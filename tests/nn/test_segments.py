from __future__ import annotations

import pytest
import torch

from bench.nn.segments import segment_logsumexp, segment_max

SEGMENT = torch.tensor([2, 0, 2, 2, 0])


@pytest.fixture
def values():
    return torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()


def test_the_logarithm_of_summed_exponentials_of_each_group(values):
    found = segment_logsumexp(values, SEGMENT, 4)
    torch.testing.assert_close(found[0], values[[1, 4]].logsumexp(0))
    torch.testing.assert_close(found[2], values[[0, 2, 3]].logsumexp(0))
    assert torch.autograd.gradcheck(lambda v: segment_logsumexp(v, SEGMENT, 4), values)


def test_the_maximum_of_each_group(values):
    rows = values[:, 0]
    found = segment_max(rows, SEGMENT, 4)
    torch.testing.assert_close(found[0], rows[[1, 4]].amax(0))
    torch.testing.assert_close(found[2], rows[[0, 2, 3]].amax(0))
    assert torch.autograd.gradcheck(lambda v: segment_max(v, SEGMENT, 4), rows.detach().requires_grad_())


@pytest.mark.parametrize("reduce", [segment_logsumexp, segment_max])
def test_a_group_without_a_row_is_zeros_without_a_gradient(reduce, values):
    rows = values[:, 0]
    found = reduce(rows, SEGMENT, 4)
    assert not found[[1, 3]].any()
    found[[1, 3]].sum().backward()
    assert not values.grad.any()


def test_terms_far_beyond_what_an_exponential_holds_are_summed():
    values = torch.tensor([[1e4], [1e4], [-1e4]])
    found = segment_logsumexp(values, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(found, torch.tensor([[1e4 + 0.6931], [-1e4]]))
