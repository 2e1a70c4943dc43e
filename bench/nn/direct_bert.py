"""BERT's layers called one after the other on the CPU, with the same bits as transformers' own way through them.

That way asks, at every call of every layer, for outputs to be captured, masks, caches and chunks that there are none of
here: a quarter of the forward pass of a small encoder.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertModel, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.bert.modeling_bert import BertOutput, BertSelfOutput

from bench.nn.attention_rows import ATTENTION, PROBE_LENGTH, LayerQueries, RecomputedRows, remembering_sdpa


@dataclass(frozen=True)
class DirectBert:
    """Runs the encoder `model` in its stead, as `RecomputedRows` does: one window at a time, without a mask."""

    model: BertModel

    @classmethod
    def of(cls, model: PreTrainedModel, pieces: Sequence[int]) -> DirectBert | None:
        """What runs `model` directly; None for anything but a BERT whose states and rows come out the same to the bit.

        pieces: word pieces to try it on.
        """
        if type(model) is not BertModel or model.config._attn_implementation != ATTENTION or model.config.is_decoder:
            return None
        table = model.embeddings.word_embeddings
        if model.device.type != "cpu" or table.max_norm is not None or table.scale_grad_by_freq or table.sparse:
            return None
        direct = cls(model)
        return direct if _same(direct, model, pieces) else None

    def __call__(
        self,
        input_ids: Tensor,
        layer_queries: deque[LayerQueries],
        words: Tensor | None = None,
        output_hidden_states: bool = False,
        **without: Any,
    ) -> BaseModelOutput:
        """The output of the model for one window [1, L].

        words: its word embeddings, [1, L, d], where they have been looked up.   without: what the model itself is told
        that there is none of (a mask, maps of attention, a cache).
        """
        training = self.model.training
        hidden = self._embedded(input_ids, self.words([input_ids])[0] if words is None else words)
        every = [hidden]
        for layer in self.model.encoder.layer:
            attention, own = layer.attention, layer.attention.self
            shape = (*hidden.shape[:-1], -1, own.attention_head_size)
            query, key, value = (
                F.linear(hidden, each.weight, each.bias).view(shape).transpose(1, 2)
                for each in (own.query, own.key, own.value)
            )
            attended, _ = remembering_sdpa(
                own, query, key, value, None, own.dropout.p if training else 0.0, own.scaling, layer_queries
            )
            attended = attended.reshape(hidden.shape).contiguous()
            hidden = _added(attention.output, attended, hidden, training)
            dense = layer.intermediate.dense
            between = layer.intermediate.intermediate_act_fn(F.linear(hidden, dense.weight, dense.bias))
            hidden = _added(layer.output, between, hidden, training)
            every.append(hidden)
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=tuple(every) if output_hidden_states else None)

    def is_plain(self) -> bool:
        """Whether the layers are to be called as they are, and not again in the backward pass."""
        return not any(layer.gradient_checkpointing for layer in self.model.encoder.layer)

    def words(self, windows: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The word embeddings of several windows of any shape, each with another dimension d."""
        table = self.model.embeddings.word_embeddings
        if len(windows) == 1:
            return (F.embedding(windows[0], table.weight, table.padding_idx),)
        found: tuple[Tensor, ...] = _Lookups.apply(table.weight, table.padding_idx, *windows)
        return found

    def _embedded(self, input_ids: Tensor, words: Tensor) -> Tensor:
        embeddings, length = self.model.embeddings, input_ids.shape[1]
        types = F.embedding(embeddings.token_type_ids[:, :length], embeddings.token_type_embeddings.weight)
        positions = F.embedding(embeddings.position_ids[:, :length], embeddings.position_embeddings.weight)
        summed = words + types + positions
        return F.dropout(_normalised(embeddings.LayerNorm, summed), embeddings.dropout.p, self.model.training)


def _added(output: BertOutput | BertSelfOutput, computed: Tensor, before: Tensor, training: bool) -> Tensor:
    """The end of each half of a layer: a dense layer, dropout, and what there was before, normalised."""
    dense = F.linear(computed, output.dense.weight, output.dense.bias)
    return _normalised(output.LayerNorm, F.dropout(dense, output.dropout.p, training) + before)


def _normalised(norm: nn.LayerNorm, values: Tensor) -> Tensor:
    return F.layer_norm(values, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


class _Lookups(torch.autograd.Function):
    """Rows of a table for several windows, with one gradient of the whole table where autograd would add up many.

    The sums are autograd's: each window's by itself, the last window first.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, padding: int | None, *windows: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*windows)
        ctx.rows, ctx.padding = len(table), padding
        return tuple(F.embedding(window, table) for window in windows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        padding = -1 if ctx.padding is None else ctx.padding
        *others, (last, gradient) = zip(ctx.saved_tensors, gradients, strict=True)
        total = torch.ops.aten.embedding_dense_backward(gradient, last, ctx.rows, padding, False)
        for window, gradient in reversed(others):
            rows, of_piece = window.flatten().unique(return_inverse=True)
            part = gradient.new_zeros(len(rows), gradient.shape[-1]).index_add_(0, of_piece, gradient.flatten(0, -2))
            total.index_add_(0, rows, part.masked_fill_((rows == padding)[:, None], 0.0))
        return total, None, *(None for _ in gradients)


def _same(direct: DirectBert, model: BertModel, pieces: Sequence[int]) -> bool:
    """Whether states, hidden states and rows are the model's own, with its dropout."""
    ids = torch.tensor([(list(pieces) * PROBE_LENGTH)[:PROBE_LENGTH]])
    inputs = {"input_ids": ids, "attention_mask": None, "output_hidden_states": True}
    found = []
    training = model.training
    model.train()
    try:
        for run in (model, direct):
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(0)
                output, rows = RecomputedRows(1)(run, inputs, [torch.arange(PROBE_LENGTH)])
            found.append([output.last_hidden_state, *output.hidden_states, rows[0][0]])
    finally:
        model.train(training)
    return len(found[0]) == len(found[1]) and all(map(torch.equal, *found))
