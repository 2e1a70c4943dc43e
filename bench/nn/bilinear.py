"""The head all models share: pair features and the grouped bilinear classifier (Zhou et al., AAAI 2021, eq. 3-5)."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from bench.nn.linear import linear
from bench.nn.pooling import Pairs

PRODUCTS_AT_ONCE = {"cpu": 2**20, "cuda": 2**27}
"""Numbers in the outer products that are held at once: 4 MB, about a core's share of the cache; on a GPU 512 MB."""


class EntityInContext(nn.Module):
    """`tanh(W [h ; c] + b)` for one side of a pair, with `W h` computed once per entity rather than once per pair."""

    def __init__(self, encoder_size: int, pair_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * encoder_size, pair_size)

    def forward(self, entities: Tensor, context: Tensor, index: Tensor) -> Tensor:
        """entities: [E, d].   context: [P, d].   index: [P], the entity of each pair.   Returns [P, e]."""
        of_entity, of_context = self.linear.weight.chunk(2, dim=1)
        projected = linear(entities, of_entity).index_select(0, index)
        return torch.tanh(projected + linear(context, of_context, self.linear.bias))


class PairFeatures(nn.Module):
    """`z_h` and `z_t` of every pair (eq. 3, 4): two projections, one for heads and one for tails."""

    def __init__(self, encoder_size: int, pair_size: int) -> None:
        super().__init__()
        self.head = EntityInContext(encoder_size, pair_size)
        self.tail = EntityInContext(encoder_size, pair_size)

    def forward(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Features of the heads and of the tails, two tensors [P, e], from pooled `pairs`."""
        return (
            self.head(pairs.entities, pairs.context, pairs.head),
            self.tail(pairs.entities, pairs.context, pairs.tail),
        )


class GroupedBilinear(nn.Module):
    """`logit_r = b_r + sum_g z_h^g B_r^g z_t^g` over e / block groups (eq. 5).

    classes: how many such numbers a pair gets; they need not be logits.   bias: whether there is a b.
    """

    def __init__(self, pair_size: int, block_size: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        if pair_size % block_size:
            raise ValueError(f"pair_size {pair_size} is not a multiple of block_size {block_size}")
        self.groups = pair_size // block_size
        fan_in = pair_size * block_size
        bound = 1.0 / math.sqrt(fan_in)  # nn.Linear's, over the e x block products it stands for
        self.weight = nn.Parameter(torch.empty(classes, self.groups, block_size, block_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(classes).uniform_(-bound, bound)) if bias else None

    def forward(self, head: Tensor, tail: Tensor) -> Tensor:
        """head, tail: [P, e].   Returns [P, classes], in float32 or wider."""
        device = head.device.type
        if torch.is_autocast_enabled(device):
            head, tail = (z.to(torch.get_autocast_dtype(device)) for z in (head, tail))
        head, tail = (z.unflatten(1, (self.groups, -1)) for z in (head, tail))
        logits = _with_gradient(head, tail, self.weight) if torch.is_grad_enabled() else _alone(head, tail, self.weight)
        return logits if self.bias is None else logits + self.bias


def _with_gradient(head: Tensor, tail: Tensor, weight: Tensor) -> Tensor:
    logits: Tensor = _GroupedProduct.apply(head, tail, weight)
    return logits


def _alone(head: Tensor, tail: Tensor, weight: Tensor) -> Tensor:
    """The sum over groups where nothing is differentiated: each group's weights are laid out once for all pairs."""
    weight = weight.to(head.dtype)
    logits = head.new_zeros(len(head), len(weight), dtype=torch.promote_types(head.dtype, torch.float32))
    for groups in _blocks_of_groups(head):
        own = weight[:, groups].flatten(1).contiguous()
        for rows in _blocks_of_pairs(head):
            logits[rows] += linear(_outer(head[rows, groups], tail[rows, groups]), own)
    return logits


class _GroupedProduct(torch.autograd.Function):
    """The sum over groups, block of pairs by block; backward computes each outer product again.

    Autograd through an einsum would keep all P x e x block products for the backward pass (400 MB for 2,120 pairs).
    """

    @staticmethod
    def forward(ctx: Any, head: Tensor, tail: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(head, tail, weight)
        weight = weight.to(head.dtype)
        logits = head.new_zeros(len(head), len(weight), dtype=torch.promote_types(head.dtype, torch.float32))
        for rows, groups in product(_blocks_of_pairs(head), _blocks_of_groups(head)):
            logits[rows] += linear(_outer(head[rows, groups], tail[rows, groups]), weight[:, groups].flatten(1))
        return logits

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        head, tail, weight = ctx.saved_tensors
        d_head, d_tail = torch.empty_like(head), torch.empty_like(tail)
        d_weight = torch.zeros_like(weight)
        cast = weight.to(head.dtype)
        for rows, groups in product(_blocks_of_pairs(head), _blocks_of_groups(head)):
            d_logits = grad[0][rows].to(head.dtype)
            a, b = head[rows, groups], tail[rows, groups]
            d_outer = linear(d_logits, cast[:, groups].flatten(1).T).view(*a.shape, b.shape[-1])
            if _small_products_are_fast(head):
                d_head[rows, groups] = (d_outer @ b[..., None]).squeeze(-1)
                d_tail[rows, groups] = (a[..., None, :] @ d_outer).squeeze(-2)
            else:  # a batch of 2,000 small ones takes three times as long
                d_head[rows, groups] = (d_outer * b[..., None, :]).sum(-1)
                d_tail[rows, groups] = (d_outer * a[..., None]).sum(-2)
            d_weight[:, groups] += linear(d_logits.T, _outer(a, b).T).view_as(d_weight[:, groups])
        return d_head, d_tail, d_weight


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """All products within a group: [p, g, b], [p, g, b] -> [p, g b b]."""
    if _small_products_are_fast(a):
        return (a[..., None] @ b[..., None, :]).flatten(1)
    return (a[..., None] * b[..., None, :]).flatten(1)


def _small_products_are_fast(z: Tensor) -> bool:
    """Whether a batch of products of small matrices beats the broadcasts they stand for: in bfloat16 on a CPU.

    Elementwise operations go through float32 there, and round before they sum.
    """
    return z.device.type == "cpu" and z.dtype == torch.bfloat16


def _blocks_of_pairs(head: Tensor) -> list[slice]:
    """The pairs of [P, g, b], as many at once as `PRODUCTS_AT_ONCE` allows."""
    pairs, groups, block = head.shape
    together = 1 if head.device.type == "cpu" else groups
    size = max(1, PRODUCTS_AT_ONCE.get(head.device.type, 2**27) // (together * block * block))
    return [slice(start, start + size) for start in range(0, pairs, size)]


def _blocks_of_groups(head: Tensor) -> list[slice]:
    """The groups of [P, g, b]: on the CPU one at a time; on a GPU, where launching costs more than memory, all."""
    groups = head.shape[1]
    return [slice(g, g + 1) for g in range(groups)] if head.device.type == "cpu" else [slice(0, groups)]
