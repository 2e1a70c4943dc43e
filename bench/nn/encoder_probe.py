"""What an encoder is, seen from what it computes: a small copy of it with random weights is run on a few word pieces.

Names and flags of a configuration do not say whether a model looks only backwards, whether padding reaches a document's
states, or whether the attention rows that can be computed beside fused attention are those it attends with. Running it
says so, in a second or two and without its weights: the copy has the configuration's architecture in a few layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from bench.errors import UsageError
from bench.nn.attention_rows import (
    ATTENTION,
    CaughtRows,
    RecomputedRows,
    RowSource,
    attention_implementation,
    row_source,
)
from bench.nn.encoder_traits import Traits

SHORT, LONG, SAFE = 12, 768, 512
"""Word pieces of a short input; of the long one, which is beyond what neighbourhoods and thresholds are set to; and the
window that a model is held to which reads the long one otherwise than it should."""
LENGTHS = range(5, SHORT + 1)
"""Of documents side by side: padding reaches the states of some models only at some lengths."""
LAYERS = 2
"""Of the copy, unless it takes more to have each kind of layer that the configuration names."""
ROUNDING = 1e-4
"""The largest difference, in float32 and between numbers around 1, that is rounding."""
PLACEHOLDERS = ("bos", "cls", "eos", "mask", "pad", "sep")


def examine(config: PreTrainedConfig, pad_id: int, window: int) -> Traits:
    """Probe the architecture of `config`. What it cannot do is among the traits: nothing is raised."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        if getattr(config, "is_encoder_decoder", False):
            return Traits(unusable="it is an encoder with a decoder behind it, which are not told apart here")
        try:
            small = _copy_that_runs(config, pad_id)
            unusable = _without_states(small.own(SHORT), small.config)
            return Traits(unusable=unusable) if unusable else _seen(small, min(window, LONG))
        except Exception as error:  # whatever foreign code raises is a reason not to use it
            return Traits(unusable=f"it does not run on word pieces alone: {in_short(error)}")


def _copy_that_runs(config: PreTrainedConfig, pad_id: int) -> _Copy:
    """A copy without pooling, or, if it cannot do without, with something in its place. Raises what it raises."""
    small = _Copy(config, pad_id, calls_pooler=False)
    if not small.has_pooler:
        return small
    try:
        small.own(SHORT)
        return small
    except Exception:
        return _Copy(config, pad_id, calls_pooler=True)


def in_short(error: Exception) -> str:
    """An error of foreign code in one line of moderate length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


class _Copy:
    """A model of some configuration, a few layers deep, with random weights, and what it gives by itself.

    config: its own.   depth: how many layers it has.   eager: the model that keeps its attention maps.
    """

    def __init__(self, config: PreTrainedConfig, pad_id: int, calls_pooler: bool) -> None:
        self.pad_id, self.calls_pooler, self.has_pooler = pad_id, calls_pooler, False
        try:
            self.config = _shallow(config, pad_id)
            self.eager = self._model("eager")
        except Exception:  # a configuration that does not allow for fewer layers or word pieces
            self.config = deepcopy(config)
            self.eager = self._model("eager")
        fill(self.eager)
        self.depth = int(getattr(self.config, "num_hidden_layers", 1))
        self._own: dict[int, Any] = {}

    def _model(self, implementation: str) -> PreTrainedModel:
        # A model writes its attention into its configuration.
        model = AutoModel.from_config(
            deepcopy(self.config), attn_implementation=implementation, dtype=torch.float32, trust_remote_code=False
        )
        self.has_pooler = getattr(model, "pooler", None) is not None
        return without_pooler(model, self.calls_pooler).eval()

    def fused(self) -> PreTrainedModel:
        """The same model with the attention that rows are recomputed from."""
        model = self._model(ATTENTION)
        model.load_state_dict(self.eager.state_dict())
        return model

    def pieces(self, length: int) -> Tensor:
        """The first `length` of some word pieces: [1, length]."""
        size = getattr(self.config, "vocab_size", None) or SHORT
        special = {self.pad_id, *(getattr(self.config, f"{name}_token_id", None) for name in PLACEHOLDERS)}
        ordinary = torch.tensor([i for i in range(min(size, 64)) if i not in special] or [0])
        random = torch.Generator().manual_seed(1)
        return ordinary[torch.randint(len(ordinary), (1, LONG), generator=random)[:, :length]]

    def own(self, length: int) -> Any:
        """What the model gives of so many pieces, with its maps."""
        if length not in self._own:
            ids = self.pieces(length)
            self._own[length] = self.eager(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True, output_hidden_states=True
            )
        return self._own[length]

    def run(self, model: PreTrainedModel, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """The states that one of the two models gives of some pieces: [W, L, d]."""
        states: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    def differences(self, model: PreTrainedModel, source: RowSource, lengths: Sequence[int]) -> tuple[float, float]:
        """The largest difference of states and of all layers' rows from the model's own, over inputs of some lengths.

        Raises UsageError, and whatever else the model raises, where it gives no rows.
        """
        states = rows = 0.0
        for length in lengths:
            ids, expected = self.pieces(length), self.own(length)
            output, by_layer = source(model, {"input_ids": ids, "attention_mask": None}, [torch.arange(length)])
            maps = expected.attentions[-len(by_layer) :]
            states = max(states, _apart(output.last_hidden_state, expected.last_hidden_state))
            for mine, its in zip(by_layer, maps, strict=True):
                rows = max(rows, _apart(mine[0].transpose(0, 1), its[0]))
        return states, rows

    def positions(self) -> int | None:
        """How many word pieces a table of positions is for that numbers them from one past the padding's; else None."""
        tables = [m for name, m in self.eager.named_modules() if isinstance(m, nn.Embedding) and "position" in name]
        offsets = [m.num_embeddings - m.padding_idx - 1 for m in tables if m.padding_idx is not None]
        return min(offsets, default=None)

    def changes(self, length: int) -> str:
        """How a long input is read otherwise after a short one; "" if it is not, as it should be."""
        fresh = self._model("eager")  # the other one may be another already, for what it has read
        fresh.load_state_dict(self.eager.state_dict())
        try:
            before = self.run(fresh, self.pieces(length))
            self.run(fresh, self.pieces(SHORT // 2))
            after = self.run(fresh, self.pieces(length))
        except Exception as error:
            return f"it does not run on {length} word pieces: {in_short(error)}"
        finite = bool(torch.isfinite(before).all())
        if finite and before.shape[1] == length and _apart(before, after) < ROUNDING:
            return ""
        return f"what it gives of a document of {length} word pieces depends on what it has read before"

    def looks_only_backwards(self, model: PreTrainedModel) -> bool:
        """Whether no state changes where a later piece does."""
        ids = self.pieces(SHORT)
        changed = ids.clone()
        changed[0, -1] = ids[0, ids[0] != ids[0, -1]][0]
        states, others = self.run(model, ids), self.run(model, changed)
        # Experts are given the pieces of all places at once, and round otherwise with others among them.
        return _apart(states[:, :-1], others[:, :-1]) < ROUNDING

    def reads_padding(self, model: PreTrainedModel) -> bool:
        """Whether a document's states are others beside a longer document than by itself."""
        longest = self.pieces(SHORT)[0]
        ids = torch.full((len(LENGTHS), SHORT), self.pad_id)
        mask = torch.zeros_like(ids)
        for row, length in enumerate(LENGTHS):
            ids[row, :length], mask[row, :length] = longest[:length], 1
        try:
            together = self.run(model, ids, mask)
            return any(
                not _apart(together[row, :length], self.run(model, longest[None, :length])[0]) < ROUNDING
                for row, length in enumerate(LENGTHS)
            )
        except Exception:  # it takes no documents of different length at all, but the long ones by themselves
            return True


def training_memory(config: PreTrainedConfig, traits: Traits, pad_id: int, length: int) -> int:
    """About how many bytes a document of so many word pieces holds between a forward pass in float32 and its backward.

    Of the encoder alone, for a model that can be run: what its copy keeps, as often as the copy has fewer layers.
    Without dropout, as a GPU's fused attention does not keep its weights for that either.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = _Copy(config, pad_id, traits.calls_pooler)
        model = (small.fused() if traits.rows == "recomputed" else small.eager).eval()
        own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
        held: dict[int, int] = {}

        def hold(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                held[storage.data_ptr()] = storage.nbytes()
            return tensor

        ids = small.pieces(min(length, LONG))
        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        depth = int(getattr(config, "num_hidden_layers", small.depth))
        per_piece = sum(held.values()) / ids.shape[1] * depth / small.depth
        del output
    return round(per_piece * length)


def _seen(small: _Copy, length: int) -> Traits:
    """The traits of a model that gives states."""
    longest = small.positions()
    length = min(length, longest or length)
    problem = small.changes(length)
    if problem and length > SAFE:
        length = longest = SAFE
        problem = small.changes(length)
    if problem:
        return Traits(unusable=problem)
    lengths = sorted({min(SHORT, length), length})
    model, rows, without, differences = small.eager, "", "", (0.0, 0.0)
    pluggable = attention_implementation(small.config) == ATTENTION
    if pluggable:
        # Softcapping, sinks, position biases: what fused attention does not have shows as an error or a difference.
        with suppress(Exception):
            fused = small.fused()
            differences = small.differences(fused, RecomputedRows(small.depth), lengths)
            if max(differences) < ROUNDING:
                model, rows = fused, "recomputed"
    if not rows:
        rows, without, differences = _own_rows(small, lengths)
    return Traits(
        rows="" if without else rows,  # type: ignore[arg-type]
        pluggable=pluggable,
        causal=small.looks_only_backwards(model),
        alone=small.reads_padding(model),
        longest=longest,
        calls_pooler=small.calls_pooler,
        state_difference=differences[0],
        row_difference=differences[1],
        without_rows=without,
    )


def _own_rows(small: _Copy, lengths: Sequence[int]) -> tuple[str, str, tuple[float, float]]:
    """How rows are taken from the maps of a model, or why not, and how far they and the states are from its own."""
    without = ""
    for layers in (small.depth, 1):  # the maps of some are of other sizes but for those of the last layer
        try:
            source = row_source(small.eager, layers, small.pieces(SHORT)[0].tolist())
            differences = small.differences(small.eager, source, lengths)
            without = _no_weights(small.own(SHORT).attentions[-layers:])
            return "caught" if isinstance(source, CaughtRows) else "picked", without, differences
        except UsageError as error:
            without = str(error)
        except Exception as error:
            without = in_short(error)
    return "", without, (0.0, 0.0)


def _without_states(output: Any, config: PreTrainedConfig) -> str:
    """Why an output has no states of the word pieces; "" if it has them."""
    states = getattr(output, "last_hidden_state", None)
    if states is None:
        return f"it gives no states of word pieces, only {', '.join(output)}"
    width = getattr(config, "hidden_size", None)
    if tuple(states.shape) != (1, SHORT, width):
        return f"of {SHORT} word pieces it gives states of shape {tuple(states.shape)}, and its width is {width}"
    return "" if torch.isfinite(states).all() else "it gives numbers that are not finite"


def _no_weights(maps: Sequence[Tensor]) -> str:
    """Why maps are not weights of attention; "" if they are."""
    if all((m >= -ROUNDING).all() and (m.sum(-1) <= 1 + ROUNDING).all() for m in maps):
        return ""
    return "what it returns as its attention are no weights: some are below 0, or come to more than 1"


def _apart(a: Tensor, b: Tensor) -> float:
    """The largest difference, in units of the largest number; infinite where there is something that is no number."""
    difference = float((a - b).abs().max() / b.abs().max().clamp(min=1)) if a.shape == b.shape else torch.inf
    return difference if difference == difference else torch.inf


def _shallow(config: PreTrainedConfig, pad_id: int) -> PreTrainedConfig:
    """`config` with the fewest layers that show each kind of them, and with a vocabulary of the first pieces alone."""
    small = deepcopy(config)
    depth = getattr(small, "num_hidden_layers", None)
    if isinstance(depth, int):
        by_layer = {name: value for name, value in vars(small).items() if isinstance(value, list | tuple)}
        by_layer = {name: value for name, value in by_layer.items() if len(value) == depth}
        firsts = [value.index(kind) + 1 for value in by_layer.values() for kind in value]
        layers = min(depth, max([LAYERS, *firsts]))
        for name, value in by_layer.items():
            setattr(small, name, value[:layers])
        small.num_hidden_layers = layers
    special = [value for name, value in vars(small).items() if name.endswith("_token_id") and isinstance(value, int)]
    needed = max([64, pad_id + 1, *(i + 1 for i in special)])
    if isinstance(getattr(small, "vocab_size", None), int):
        small.vocab_size = min(small.vocab_size, needed)
    return small


def fill(model: nn.Module) -> None:
    """Give a model weights with which attention is not uniform and numbers stay around 1, padding's among them."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for parameter in model.parameters():
        if parameter.dim() < 2:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        else:
            fan_in = 1 if id(parameter) in tables else parameter[0].numel()
            parameter.data.normal_(std=1.5 * fan_in**-0.5)


class _NoPooler(nn.Module):
    """Stands where a model has its pooling of a whole sentence, which nobody reads."""

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The states as they come."""
        return states


def without_pooler(model: PreTrainedModel, calls_pooler: bool) -> PreTrainedModel:
    """`model` without its sentence pooling, whose weights no loss reaches.

    calls_pooler: it calls it without asking whether it is there, and is given something else to call.
    """
    if getattr(model, "pooler", None) is not None:
        model.pooler = _NoPooler() if calls_pooler else None
    return model
