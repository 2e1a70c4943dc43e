"""Attention rows of a model's last layers at some positions, without keeping whole maps where that can be helped.

A map is L x L per head; pooling needs its rows at the mention markers. A model gives them in the first of these ways
that it takes:

- `RecomputedRows`: all layers run fused attention, which returns no weights; the rows alone are computed again from
  the queries and keys of the last layers. For architectures whose attention is pluggable (BERT, RoBERTa, ELECTRA).
- `CaughtRows`: only the last layers are asked for their maps, and each map is let go as soon as its rows are taken.
  For those that compute scores in a way of their own (DeBERTa, MPNet).
- `PickedRows`: the model returns the maps of all layers. Large, but right for any architecture that returns maps.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from bench.errors import UsageError
from bench.nn.cpu_attention import dropout_attention

ATTENTION = "docre_bench_sdpa"
"""The attention an `Encoder`'s model is to be loaded with, where its architecture allows."""

PROBE_LENGTH = 7

Rows = list[Tensor]
"""Of each window the attention rows at its positions: [r, A, L] each, in float32 at least."""


class RowSource(Protocol):
    """A way to run a model and have the attention rows of its last layers."""

    def __call__(self, model: PreTrainedModel, inputs: dict[str, Any], at: Sequence[Tensor]) -> tuple[Any, list[Rows]]:
        """The model's output for `inputs`, W windows of L pieces, and per layer the rows at positions `at[w]`, [r]."""


def attention_implementation(config: PreTrainedConfig) -> str:
    """The `attn_implementation` to load the model of `config` with: ATTENTION, or "eager" where that cannot work."""
    # Remote code and classes without the flag may take any name and then ignore it.
    cls = MODEL_MAPPING.get(type(config), None)
    return ATTENTION if getattr(cls, "_supports_attention_backend", False) else "eager"


def row_source(model: PreTrainedModel, layers: int, pieces: Sequence[int]) -> RowSource:
    """The leanest way in which `model` gives the attention rows of its last `layers` layers.

    A model whose attention is not pluggable is run on a few word pieces, drawn from `pieces`, to see what it gives.
    Raises UsageError where that is not attention between all pieces of its input.
    """
    if model.config._attn_implementation == ATTENTION:
        return RecomputedRows(layers)
    ids = torch.tensor([(list(pieces) * PROBE_LENGTH)[:PROBE_LENGTH]], device=model.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    everywhere = [torch.arange(PROBE_LENGTH, device=model.device)]
    whole = PickedRows(layers)
    with _evaluating(model), _tuples_returned(model) as returned:
        try:
            output, expected = whole(model, inputs, everywhere)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{_name(model)} does not run on word pieces alone: {error}") from error
    # The outermost module that returned a map is its layer: the last to return it.
    layer_of = [[m for m, result in returned if result[1] is weights][-1:] for weights in output.attentions[-layers:]]
    caught = CaughtRows([module for modules in layer_of for module in modules])
    if len(caught.modules) < layers:
        return whole
    with _evaluating(model):
        lean_output, rows = caught(model, inputs, everywhere)
    same = torch.equal(lean_output.last_hidden_state, output.last_hidden_state)
    same &= all(torch.equal(mine[0], its[0]) for mine, its in zip(rows, expected, strict=True))
    return caught if same else whole


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


@contextmanager
def _tuples_returned(model: nn.Module) -> Iterator[list[tuple[nn.Module, tuple[Any, ...]]]]:
    """Collects, in order, the modules that can be asked for their attention and the tuples they return."""
    returned: list[tuple[nn.Module, tuple[Any, ...]]] = []

    def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, tuple) and len(output) > 1:
            returned.append((module, output))

    asked = [m for m in model.modules() if "output_attentions" in inspect.signature(m.forward).parameters]
    hooks = [m.register_forward_hook(note) for m in asked]
    try:
        yield returned
    finally:
        for hook in hooks:
            hook.remove()


def _name(model: PreTrainedModel) -> str:
    return f"an encoder of the type {model.config.model_type!r} ({type(model).__name__})"


class LayerQueries(NamedTuple):
    """What one layer's attention was computed from: queries, keys, mask, scale and dropout.

    query: [W, heads, L, head size].   key: the same, or with fewer heads, each of which serves several query heads.
    mask: which keys a query sees, for [W, heads, L, L]; None for all, or, if `causal`, for those up to its own place.
    """

    query: Tensor
    key: Tensor
    mask: Tensor | None
    scale: float
    dropout: float
    causal: bool


def _remembering_sdpa(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    layer_queries: deque[LayerQueries] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    # `layer_queries` comes as an argument of the model, which passes on what it does not know: what else could bring it
    # here, a context variable, say, would cut what torch.compile makes into pieces, one a layer.
    scale = scaling or query.shape[-1] ** -0.5
    # As transformers has it: where a mask would be causal and nothing else, it gives none and lets the kernel know.
    flag = kwargs.get("is_causal")
    causal = attention_mask is None and bool(getattr(module, "is_causal", True) if flag is None else flag)
    if layer_queries is not None:
        layer_queries.append(LayerQueries(query, key, attention_mask, scale, dropout, causal))
    if dropout > 0 and query.device.type == "cpu" and query.shape == key.shape:
        seen = _backwards(query).expand(len(query), 1, -1, -1) if causal else attention_mask
        return dropout_attention(query, key, value, seen, scale, dropout).transpose(1, 2).contiguous(), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)


def _backwards(query: Tensor) -> Tensor:
    """Which of L pieces each of them sees, [L, L], where none sees what comes after it."""
    length = query.shape[-2]
    return query.new_ones(length, length, dtype=torch.bool).tril()


def _unread_mask(
    *args: Any, attention_mask: Tensor | None = None, allow_is_bidirectional_skip: bool = False, **kwargs: Any
) -> Tensor | None:
    # transformers would look whether a mask masks anything at all, and a GPU be waited for. Who has no padding gives
    # no mask.
    skip = allow_is_bidirectional_skip and attention_mask is None
    return sdpa_mask(*args, attention_mask=attention_mask, allow_is_bidirectional_skip=skip, **kwargs)


AttentionInterface.register(ATTENTION, _remembering_sdpa)
# Without a mask function of the same name transformers would hand the layers no padding mask, silently.
AttentionMaskInterface.register(ATTENTION, _unread_mask)


@dataclass(frozen=True)
class RecomputedRows:
    """Rows computed again from the queries and keys of the last `layers` layers, in a model loaded with ATTENTION."""

    layers: int

    def __call__(self, model: PreTrainedModel, inputs: dict[str, Any], at: Sequence[Tensor]) -> tuple[Any, list[Rows]]:
        """The output and the rows, as `RowSource` has it. Raises RuntimeError if no queries were seen."""
        layer_queries: deque[LayerQueries] = deque(maxlen=self.layers)
        output = model(**inputs, layer_queries=layer_queries)
        if len(layer_queries) < self.layers:
            raise RuntimeError(
                f"{type(model).__name__} did not run its attention through transformers' AttentionInterface"
            )
        return output, [_recomputed_rows(layer, at) for layer in layer_queries]


def _recomputed_rows(layer: LayerQueries, at: Sequence[Tensor]) -> Rows:
    """`softmax(q K^T)` at some positions of each window, with the attention dropout of the layer: [r, A, L] each."""
    wide = torch.promote_types(layer.query.dtype, torch.float32)
    weights = []
    with torch.autocast(layer.query.device.type, enabled=False):
        for w, positions in enumerate(at):
            query = layer.query[w].index_select(1, positions).to(wide)
            key = layer.key[w].to(wide)
            if len(key) < len(query):  # grouped-query attention: neighbouring heads share one of the key's
                key = key.repeat_interleave(len(query) // len(key), 0)
            scores = torch.einsum("arh,alh->ral", query, key) * layer.scale
            if layer.causal:
                seen = _backwards(layer.query).index_select(0, positions)[:, None]
                scores = scores.masked_fill(~seen, -torch.inf)
            elif layer.mask is not None:
                # Per layer, not the padding mask: some architectures see only a neighbourhood in some of their layers.
                seen = layer.mask[w].expand(-1, scores.shape[-1], -1).index_select(1, positions).transpose(0, 1)
                scores = scores.masked_fill(~seen, -torch.inf) if seen.dtype == torch.bool else scores + seen
            weights.append(F.dropout(scores.softmax(-1), layer.dropout, training=layer.dropout > 0))
    return weights


@dataclass(frozen=True)
class CaughtRows:
    """Rows of the maps that `modules`, the last layers of the model, return when they are asked for them.

    In training they carry the dropout that the layer itself attends with. Autograd then holds the weights of all layers
    for the backward pass, whoever asks for them; only recomputing the layers (gradient checkpointing) spares those.
    """

    modules: Sequence[nn.Module]

    def __call__(self, model: PreTrainedModel, inputs: dict[str, Any], at: Sequence[Tensor]) -> tuple[Any, list[Rows]]:
        """The output and the rows, as `RowSource` has it. Raises UsageError if a layer returns no map."""
        rows: list[Rows] = []

        def ask(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            call = inspect.signature(module.forward).bind(*args, **kwargs)
            call.arguments["output_attentions"] = True
            return call.args, call.kwargs

        def catch(module: nn.Module, args: tuple[Any, ...], output: Any) -> tuple[Any, ...]:
            rows.append(_rows_of(output[1], at, model, inputs))
            return output[0], None, *output[2:]  # with its rows taken nobody needs the map

        hooks = [m.register_forward_pre_hook(ask, with_kwargs=True) for m in self.modules]
        hooks += [m.register_forward_hook(catch) for m in self.modules]
        try:
            output = model(**inputs)
        finally:
            for hook in hooks:
                hook.remove()
        if len(rows) != len(self.modules):
            raise RuntimeError(f"{type(model).__name__} ran {len(rows)} of its last {len(self.modules)} layers")
        return output, rows


@dataclass(frozen=True)
class PickedRows:
    """Rows of the last `layers` of all the maps that the model returns."""

    layers: int

    def __call__(self, model: PreTrainedModel, inputs: dict[str, Any], at: Sequence[Tensor]) -> tuple[Any, list[Rows]]:
        """The output and the rows, as `RowSource` has it. Raises UsageError if the model returns no maps."""
        output = model(**inputs | {"output_attentions": True})
        maps = getattr(output, "attentions", None) or [None] * self.layers
        return output, [_rows_of(weights, at, model, inputs) for weights in maps[-self.layers :]]


def _rows_of(weights: Any, at: Sequence[Tensor], model: PreTrainedModel, inputs: dict[str, Any]) -> Rows:
    """Rows of whole maps [W, A, L, L]. Raises UsageError where `weights` are nothing of the kind."""
    windows, pieces = inputs["input_ids"].shape
    shape = tuple(weights.shape) if isinstance(weights, Tensor) else ()
    if len(shape) != 4 or (shape[0], *shape[2:]) != (windows, pieces, pieces):
        raise UsageError(
            f"{_name(model)} does not return its attention between all word pieces, which pooling reads: for "
            f"{windows} x {pieces} pieces it gave "
            + (f"a tensor of shape {shape}.\n" if shape else "none.\n")
            + "Types that work: bert, roberta, electra, distilbert, modernbert, deberta-v2, mpnet and their like"
        )
    wide = torch.promote_types(weights.dtype, torch.float32)
    by_window = zip(weights.unbind(0), at, strict=True)
    return [window.index_select(1, positions).transpose(0, 1).to(wide) for window, positions in by_window]
