"""The encoder: token states of every document, and attention rows at its mention markers only.

Pooling needs the last layers' attention, and of it only the rows of the mention markers. So all layers run fused
attention, which returns no weights, and those rows alone are computed again from the layer's queries and keys.
Architectures whose attention is not pluggable (DeBERTa, MPNet) run their own and return all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from bench.data.batching import Batch
from bench.nn.cpu_attention import dropout_attention

ATTENTION = "docre_bench_sdpa"
"""The attention an `Encoder`'s model is to be loaded with, where its architecture allows."""


def attention_implementation(config: PreTrainedConfig) -> str:
    """The `attn_implementation` to load the model of `config` with: ATTENTION, or "eager" where that cannot work."""
    # Remote code and classes without the flag may take any name and then ignore it.
    cls = MODEL_MAPPING.get(type(config), None)
    return ATTENTION if getattr(cls, "_supports_attention_backend", False) else "eager"


class LayerQueries(NamedTuple):
    """What one layer's attention was computed from.

    query, key: [W, heads, L, head size].   mask: which keys a query sees, for [W, heads, L, L], or None for all.
    """

    query: Tensor
    key: Tensor
    mask: Tensor | None
    scale: float
    dropout: float


_kept: ContextVar[deque[LayerQueries] | None] = ContextVar("kept", default=None)


def _remembering_sdpa(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    kept = _kept.get()
    scale = scaling or query.shape[-1] ** -0.5
    if kept is not None:
        kept.append(LayerQueries(query, key, attention_mask, scale, dropout))
    if dropout > 0 and query.device.type == "cpu" and query.shape == key.shape:
        return dropout_attention(query, key, value, attention_mask, scale, dropout).transpose(1, 2).contiguous(), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)


AttentionInterface.register(ATTENTION, _remembering_sdpa)
# Without a mask function of the same name transformers would hand the layers no padding mask, silently.
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


class DocumentEncoding(NamedTuple):
    """One encoded document: l word pieces, m surviving mentions, d wide, A heads.

    states: [l, d].   attention: [m, A, l], each row the attention from a mention's opening marker.
    """

    states: Tensor
    attention: Tensor


@dataclass(frozen=True)
class Window:
    """Pieces `start` to `stop` of document `document`; `skip` pieces of special tokens stand before them."""

    document: int
    start: int
    stop: int
    skip: int


class Encoder(nn.Module):
    """A Hugging Face encoder over documents of up to two windows.

    model: any bidirectional encoder with `last_hidden_state`, loaded with the `attention_implementation` of its
    configuration.   start_ids, end_ids: what opens and closes a window.
    window: the longest input the model takes.   layers: states and attention are the mean over the last `layers`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        start_ids: Sequence[int],
        end_ids: Sequence[int],
        window: int = 512,
        layers: int = 1,
    ) -> None:
        super().__init__()
        self.model = model
        self.start_ids, self.end_ids = list(start_ids), list(end_ids)
        self.window = window
        self.layers = layers
        self.returns_attention = model.config._attn_implementation != ATTENTION

    @property
    def size(self) -> int:
        """d, the width of the token states."""
        return int(self.model.config.hidden_size)

    def forward(self, batch: Batch) -> list[DocumentEncoding]:
        """Encode every document of the batch."""
        windows = plan_windows([d.length for d in batch.documents], self.window, len(self.start_ids), len(self.end_ids))
        input_ids, mask = self._window_inputs(batch, windows)
        rows = _rows_at(batch, windows)
        states, attention = self._encode(input_ids, mask, rows)
        return _merge(batch, windows, states, attention, rows)

    def _window_inputs(self, batch: Batch, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        if len(windows) == len(batch.documents):
            return batch.input_ids, batch.attention_mask
        start = batch.input_ids.new_tensor(self.start_ids)
        end = batch.input_ids.new_tensor(self.end_ids)
        pieces = []
        for w in windows:
            ids = batch.input_ids[w.document, w.start : w.stop]
            if w.skip:
                ids = torch.cat([start, ids])
            if w.stop < batch.documents[w.document].length:
                ids = torch.cat([ids, end])
            pieces.append(ids)
        input_ids = nn.utils.rnn.pad_sequence(pieces, batch_first=True)
        lengths = torch.tensor([len(ids) for ids in pieces], device=input_ids.device)
        mask = torch.arange(input_ids.shape[1], device=input_ids.device) < lengths[:, None]
        return input_ids, mask.long()

    def _encode(self, input_ids: Tensor, mask: Tensor, rows: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Token states [W, L, d] and, per window, the attention rows [r, A, L] at the positions `rows`."""
        kept: deque[LayerQueries] = deque(maxlen=self.layers)
        token = _kept.set(kept)
        try:
            output = self.model(
                input_ids=input_ids,
                attention_mask=mask,
                output_hidden_states=self.layers > 1,
                output_attentions=self.returns_attention,
            )
        finally:
            _kept.reset(token)
        if self.returns_attention:
            # Every layer's L x L maps are in memory until here: slow and large, but right for any architecture.
            by_layer = [_rows_of(weights, rows) for weights in output.attentions[-self.layers :]]
        elif len(kept) == self.layers:
            by_layer = [_recomputed_rows(layer, rows) for layer in kept]
        else:
            raise RuntimeError(
                f"{type(self.model).__name__} did not run its attention through transformers' AttentionInterface"
            )
        states = output.last_hidden_state
        if self.layers > 1:
            states = torch.stack(output.hidden_states[-self.layers :]).mean(0)
        return states, [torch.stack(window).mean(0) for window in zip(*by_layer, strict=True)]


def _rows_of(weights: Tensor, rows: list[Tensor]) -> list[Tensor]:
    """Rows of whole attention maps [W, A, L, L] at some positions of each window: [r, A, L] each."""
    return [window.index_select(1, at).transpose(0, 1) for window, at in zip(weights.unbind(0), rows, strict=True)]


def _recomputed_rows(layer: LayerQueries, rows: list[Tensor]) -> list[Tensor]:
    """`softmax(q K^T)` at some positions of each window, with the attention dropout of the layer: [r, A, L] each."""
    wide = torch.promote_types(layer.query.dtype, torch.float32)
    weights = []
    with torch.autocast(layer.query.device.type, enabled=False):
        for w, at in enumerate(rows):
            query = layer.query[w].index_select(1, at).to(wide)
            scores = torch.einsum("arh,alh->ral", query, layer.key[w].to(wide)) * layer.scale
            if layer.mask is not None:
                # Per layer, not the padding mask: some architectures see only a neighbourhood in some of their layers.
                seen = layer.mask[w].expand(-1, scores.shape[-1], -1).index_select(1, at).transpose(0, 1)
                scores = scores.masked_fill(~seen, -torch.inf) if seen.dtype == torch.bool else scores + seen
            weights.append(F.dropout(scores.softmax(-1), layer.dropout, training=layer.dropout > 0))
    return weights


def plan_windows(lengths: Sequence[int], window: int, start: int, end: int) -> list[Window]:
    """One window for a document that fits, else the first and the last `window` pieces.

    start, end: how many special tokens open and close a window that is cut out of a document.
    As in the reference programs, a document of almost `2 * window` pieces leaves start + end pieces in its middle that
    neither window covers; they get zeros. Raises ValueError for a longer one.
    """
    windows = []
    for b, length in enumerate(lengths):
        if length <= window:
            windows.append(Window(b, 0, length, 0))
            continue
        if length > 2 * window:
            raise ValueError(f"a document of {length} word pieces does not fit into two windows of {window}")
        windows += [Window(b, 0, window - end, 0), Window(b, length - window + start, length, start)]
    return windows


def _rows_at(batch: Batch, windows: Sequence[Window]) -> list[Tensor]:
    """For each window the positions in it of its document's mention markers; -1 becomes 0 for those outside it.

    Every window has a row for every mention of its document, so that sizes never depend on values on the device.
    """
    rows = []
    for w in windows:
        at = batch.documents[w.document].mention_position - w.start + w.skip
        inside = (at >= w.skip) & (at < w.stop - w.start + w.skip)
        rows.append(torch.where(inside, at, torch.zeros_like(at)))
    return rows


def _merge(
    batch: Batch, windows: Sequence[Window], states: Tensor, attention: list[Tensor], rows: list[Tensor]
) -> list[DocumentEncoding]:
    """Back to documents: states averaged where both windows cover a piece, attention added and renormalised."""
    by_document: list[list[tuple[Window, Tensor, Tensor]]] = [[] for _ in batch.documents]
    for w, window_states, weights in zip(windows, states.unbind(0), attention, strict=True):
        span = slice(w.skip, w.skip + w.stop - w.start)
        by_document[w.document].append((w, window_states[span], weights[..., span]))
    merged = []
    for document, parts in zip(batch.documents, by_document, strict=True):
        if len(parts) == 1:
            merged.append(DocumentEncoding(parts[0][1], parts[0][2]))
            continue
        state_sum = covered = attention_sum = torch.zeros((), device=states.device)
        for w, window_states, weights in parts:
            after = document.length - w.stop
            at = document.mention_position
            inside = ((at >= w.start) & (at < w.stop)).to(weights.dtype)
            state_sum = state_sum + F.pad(window_states, (0, 0, w.start, after))
            covered = covered + F.pad(window_states.new_ones(w.stop - w.start), (w.start, after))
            attention_sum = attention_sum + F.pad(weights * inside[:, None, None], (w.start, after))
        total = attention_sum.sum(-1, keepdim=True) + 1e-10
        merged.append(DocumentEncoding(state_sum / covered.clamp(min=1)[:, None], attention_sum / total))
    return merged
