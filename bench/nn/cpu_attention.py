"""Attention with dropout on the CPU, for which PyTorch has no fused kernel: half the time of its own fallback.

The fallback draws a number per weight one by one and works on all windows at once, far beyond the cache. With it,
attention dropout alone took a third of a training step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def dropout_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, dropout: float
) -> Tensor:
    """`dropout(softmax(scale q K^T + mask)) V`: [W, A, L, h] for W windows and A heads.

    mask: as `scaled_dot_product_attention` takes it: true where a key counts, or added to the scores; for [W, A, L, L].
    """
    result: Tensor = _DropoutAttention.apply(query, key, value, mask, scale, dropout)
    return result


class _DropoutAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, dropout: float
    ) -> Tensor:
        output = torch.empty_like(query)
        weights, keep = [], []
        for w in range(len(query)):
            scores = _scores(query[w], key[w], scale)
            if mask is not None and mask.dtype == torch.bool:
                scores.masked_fill_(~mask[w], torch.finfo(scores.dtype).min)
            elif mask is not None:
                scores += mask[w]
            weights.append(scores.softmax(-1).to(query.dtype))
            keep.append(_drawn(scores, dropout))
            output[w] = (weights[w] * keep[w].to(query.dtype)) @ (value[w] / (1 - dropout))
        ctx.save_for_backward(query, key, value, output, *weights, *keep)
        ctx.scale, ctx.dropout = scale, dropout
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, *by_window = ctx.saved_tensors
        d_query, d_key, d_value = (torch.empty_like(x) for x in (query, key, value))
        for w in range(len(query)):
            weights = by_window[w]
            keep = by_window[len(query) + w].to(query.dtype)
            upstream = grad[w] / (1 - ctx.dropout)
            d_value[w] = (weights * keep).mT @ upstream
            d_weights = (upstream @ value[w].mT).mul_(keep)
            d_scores = _softmax_gradient(d_weights, weights, grad[w], output[w]).mul_(ctx.scale)
            d_query[w] = d_scores @ key[w]
            d_key[w] = d_scores.mT @ query[w]
        return d_query, d_key, d_value, None, None, None


def _scores(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """`scale q K^T` of one window, [A, L, L], in float32 at least.

    Rounded to bfloat16 before the softmax, a score of 20 is off by a twentieth: errors of output and gradients double.
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        return (query.to(wide) * scale) @ key.to(wide).mT


def _softmax_gradient(d_weights: Tensor, weights: Tensor, grad: Tensor, output: Tensor) -> Tensor:
    """The gradient of the scores, from that of the weights; may be written over `d_weights`. All of one window."""
    if weights.dtype == torch.bfloat16:
        # PyTorch's kernel goes on in float32 where operations one by one would round after each.
        return torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
    # It needs sum(weights * d_weights) per row, which is what output and its gradient give.
    along = (grad * output).sum(-1, keepdim=True)
    return d_weights.sub_(along).mul_(weights)


def _drawn(like: Tensor, dropout: float) -> Tensor:
    """1 where a weight is kept, with probability `1 - dropout`, to 1 in 65,536, else 0. One draw serves four weights.

    As int8, not bool: what multiplies with it needs it in its own type, and a bool takes five times as long for that.
    """
    draws = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    draws = draws.view(torch.int16)[: like.numel()].view(like.shape)
    return torch.ge(draws, round(dropout * 2**16) - 2**15, out=torch.empty(like.shape, dtype=torch.int8))
