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
            scores = (query[w] * scale) @ key[w].mT
            if mask is not None and mask.dtype == torch.bool:
                scores.masked_fill_(~mask[w], torch.finfo(scores.dtype).min)
            elif mask is not None:
                scores += mask[w]
            weights.append(scores.softmax(-1))
            keep.append(_drawn(scores, dropout))
            output[w] = (weights[w] * keep[w]) @ (value[w] / (1 - dropout))
        ctx.save_for_backward(query, key, value, output, *weights, *keep)
        ctx.scale, ctx.dropout = scale, dropout
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, *by_window = ctx.saved_tensors
        d_query, d_key, d_value = (torch.empty_like(x) for x in (query, key, value))
        for w in range(len(query)):
            weights, keep = by_window[w], by_window[len(query) + w]
            upstream = grad[w] / (1 - ctx.dropout)
            d_value[w] = (weights * keep).mT @ upstream
            # Softmax's own gradient needs sum(weights * d_weights) per row, which is what output and its gradient give.
            along = (grad[w] * output[w]).sum(-1, keepdim=True)
            d_scores = (upstream @ value[w].mT).mul_(keep).sub_(along).mul_(weights).mul_(ctx.scale)
            d_query[w] = d_scores @ key[w]
            d_key[w] = d_scores.mT @ query[w]
        return d_query, d_key, d_value, None, None, None


def _drawn(like: Tensor, dropout: float) -> Tensor:
    """Where a weight is kept: true with probability `1 - dropout`, to 1 in 65,536. One draw serves four weights."""
    draws = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    keep: Tensor = draws.view(torch.int16)[: like.numel()].view(like.shape) >= round(dropout * 2**16) - 2**15
    return keep
