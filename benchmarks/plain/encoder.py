"""The encoder asked for the attention maps of all its layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from bench.data.batching import Batch
from bench.nn.encoder import Encoder


class WholeMaps(NamedTuple):
    """One document of l word pieces: states [l, d] and attention [A, l, l]."""

    states: Tensor
    attention: Tensor


@contextmanager
def eager_attention(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The model with the attention that makes its maps."""
    before = model.config._attn_implementation
    model.config._attn_implementation = "eager"
    try:
        yield model
    finally:
        model.config._attn_implementation = before


class PlainEncoder:
    """An encoder's model without fused attention."""

    def __init__(self, encoder: Encoder) -> None:
        self.of = encoder

    def __call__(self, batch: Batch) -> list[WholeMaps]:
        """Every document of the batch, in one or two windows."""
        windows = [window for b in range(len(batch.documents)) for window in self._windows(batch, b)]
        input_ids = torch.nn.utils.rnn.pad_sequence([ids for ids, _, _ in windows], batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(ids) for ids, _, _ in windows], batch_first=True)
        with eager_attention(self.of.model) as model:
            output = model(input_ids, mask, output_attentions=True, output_hidden_states=True)
        states = torch.stack(output.hidden_states[-self.of.layers :]).mean(0)
        attention = torch.stack(output.attentions[-self.of.layers :]).mean(0)
        found, w = [], 0
        for document in batch.documents:
            state_sum = covered = attention_sum = 0
            count = 1 if document.length <= self.of.window else 2
            for ids, first, inner in windows[w : w + count]:
                own = slice(inner.start, inner.stop)
                pad = (first, document.length - first - (inner.stop - inner.start))
                state_sum = state_sum + F.pad(states[w, own], (0, 0, *pad))
                covered = covered + F.pad(torch.ones_like(ids[own], dtype=states.dtype), pad)
                attention_sum = attention_sum + F.pad(attention[w, :, own, own], (*pad, *pad))
                w += 1
            if count == 2:
                state_sum = state_sum / covered.clamp(min=1)[:, None]
                attention_sum = attention_sum / (attention_sum.sum(-1, keepdim=True) + 1e-10)
            found.append(WholeMaps(state_sum.float(), attention_sum.float()))
        return found

    def _windows(self, batch: Batch, b: int) -> list[tuple[Tensor, int, range]]:
        """For each window its ids, the first piece of the document that it holds, and where its pieces are in it."""
        length, window = batch.documents[b].length, self.of.window
        ids = batch.input_ids[b, :length]
        if length <= window:
            return [(ids, 0, range(length))]
        start, end = ids.new_tensor(self.of.start_ids), ids.new_tensor(self.of.end_ids)
        first = torch.cat([ids[: window - len(end)], end])
        last = torch.cat([start, ids[length - window + len(start) :]])
        return [
            (first, 0, range(window - len(end))),
            (last, length - window + len(start), range(len(start), window)),
        ]
