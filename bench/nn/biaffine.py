"""Pairs scored by all pairs of their entities' tokens (Verga et al., NAACL 2018, section 2.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.data.batching import DocumentLayout
from bench.nn.contraction import contract
from bench.nn.precision import wide
from bench.nn.segments import segment_logsumexp

UNMENTIONED = -20.0
"""The score of a pair one of whose entities has no token: a sum of nothing, whose logarithm is to be finite.

As a probability 2e-9: nothing was read of that entity, so nothing is said of it.
"""

SCORES_PER_BLOCK = 2**19
"""Token pairs times relations scored at once: 2 MB in float32, and a few copies of it while they are summed."""


class TokenPairBiaffine(nn.Module):
    """`s_r(h, t) = log sum_{a in h, b in t} exp(x_a B_r y_b)` over the tokens of head and tail.

    `x` and `y` are the token states through a two-layer perceptron for heads and one for tails. For every document
    only tokens of entities are scored, those of heads against those of tails.

    Memory for a document with H tokens of heads, T of tails, n entities, R relations and k the width of x and y: the
    backward pass keeps H R k + n H R numbers, and the scores themselves, H T R of them, are never all there: a block
    is computed, summed and let go, and computed again in the backward pass.
    """

    def __init__(self, encoder_size: int, relations: int, size: int = 128) -> None:
        super().__init__()
        self.head = _perceptron(encoder_size, size)
        self.tail = _perceptron(encoder_size, size)
        bound = 1.0 / math.sqrt(size)  # nn.Bilinear's
        self.weight = nn.Parameter(torch.empty(relations, size, size).uniform_(-bound, bound))

    def forward(self, states: Sequence[Tensor], documents: Sequence[DocumentLayout]) -> Tensor:
        """states: for each document [l, d].   Returns [P, R], in float32 or wider; UNMENTIONED without a token."""
        # Never in bf16: scores of a few units would be rounded to hundredths before they are summed.
        with torch.autocast(self.weight.device.type, enabled=False):
            return torch.cat([self._scores(wide(s), d) for s, d in zip(states, documents, strict=True)])

    def _scores(self, states: Tensor, document: DocumentLayout) -> Tensor:
        """The scores of one document's pairs, [p, R]."""
        n, pairs = document.entities, document.pairs
        tokens = document.tokens
        mentioned = torch.zeros(n, dtype=torch.bool, device=pairs.device).index_fill(0, tokens.entity, True)
        head, tail = (tokens.entity.index_select(0, own) for own in (tokens.of_heads, tokens.of_tails))
        x = self.head(states.index_select(0, tokens.position.index_select(0, tokens.of_heads)))
        y = self.tail(states.index_select(0, tokens.position.index_select(0, tokens.of_tails)))
        left = contract("hi,rij->hrj", x, self.weight)
        by_tail = _LogSumOverTails.apply(left, y, tail, n)
        grid = segment_logsumexp(by_tail.transpose(0, 1), head, n)  # [n, n, R], head by tail
        scores = grid.flatten(0, 1).index_select(0, pairs[:, 0] * n + pairs[:, 1])
        return torch.where(mentioned[pairs].all(1, keepdim=True), scores, UNMENTIONED)


def _perceptron(encoder_size: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(encoder_size, encoder_size), nn.ReLU(), nn.Linear(encoder_size, size))


class _LogSumOverTails(torch.autograd.Function):
    """`log sum_{b in t} exp(left_ar y_b)` of every head token a, relation r and tail t: [n, H, R], 0 without a token.

    left: [H, R, k], `x_a B_r`.   y: [T, k].   tail: [T], the entity of each tail token.   entities: n.
    """

    @staticmethod
    def forward(ctx: Any, left: Tensor, y: Tensor, tail: Tensor, entities: int) -> Tensor:
        summed = left.new_zeros(entities, *left.shape[:2])
        for rows in _blocks(left, y):
            summed[:, rows] = segment_logsumexp(_token_scores(left[rows], y), tail, entities)
        ctx.save_for_backward(left, y, tail, summed)
        return summed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left, y, tail, summed = ctx.saved_tensors
        d_left, d_y = torch.zeros_like(left), torch.zeros_like(y)
        for rows in _blocks(left, y):
            # A score's share of its sum is the derivative of that sum's logarithm.
            share = (_token_scores(left[rows], y) - summed[:, rows].index_select(0, tail)).exp_()
            share *= grad[:, rows].index_select(0, tail)
            d_left[rows] = contract("thr,tj->hrj", share, y)
            d_y += contract("thr,hrj->tj", share, left[rows])
        return d_left, d_y, None, None


def _token_scores(left: Tensor, y: Tensor) -> Tensor:
    """`x_a B_r y_b`: [T, h, R] for some of the head tokens."""
    return contract("tj,hrj->thr", y, left)


def _blocks(left: Tensor, y: Tensor) -> Iterator[slice]:
    """The head tokens, as many at a time as SCORES_PER_BLOCK allows; none where there is nothing to score."""
    per_head_token = len(y) * left.shape[1]
    size = max(1, SCORES_PER_BLOCK // max(per_head_token, 1))
    if per_head_token:
        yield from (slice(start, start + size) for start in range(0, len(left), size))
