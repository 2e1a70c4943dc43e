"""The encoder: token states of every document, and attention rows at its mention markers only.

Pooling needs the last layers' attention, and of it only the rows of the mention markers: see `attention_rows.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from bench.data.batching import Batch
from bench.errors import UsageError
from bench.nn.encoder_traits import PLAIN, Traits
from bench.nn.windows import DocumentEncoding, Window, merge, plan_windows, rows_at

if TYPE_CHECKING:
    from transformers import PreTrainedModel


NOT_REPEATABLE = " does not have a deterministic implementation"
"""What PyTorch says of an operation, after its name, where only kernels that repeat to the bit may be used."""
UNFRAMED = range(5)
"""Word pieces to try a model with for which nothing opens and closes a window: any vocabulary has them."""
PIECES_A_CALL = 2e6
"""Over the squared width of a model, the word pieces that a layer trains with in the time its call takes on a CPU: the
calls that PyTorch makes for one took 1.4 ms, and 72 d² operations a piece the rest, at 100 GFLOP/s."""
GRAPH_LENGTHS = 64
"""Where CUDA graphs are recorded, windows are this many word pieces long, or twice as many, or three times ..."""


class Encoder(nn.Module):
    """A Hugging Face encoder over documents, in as many windows as each takes.

    model: any encoder with `last_hidden_state`, loaded with the `attention_implementation` of its configuration.
    start_ids, end_ids: what opens and closes a window, none or more.
    window: the longest input the model takes.   layers: states and attention are the mean over the last `layers`.
    attention: without it no attention is kept or computed beyond what the states need.
    traits: what is known of the model (`bench.nn.encoder_probe`).
    Raises UsageError for a model that has fewer layers, or cannot give its attention though it is wanted.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        start_ids: Sequence[int],
        end_ids: Sequence[int],
        window: int = 512,
        layers: int = 1,
        attention: bool = True,
        traits: Traits = PLAIN,
    ) -> None:
        super().__init__()
        depth = getattr(model.config, "num_hidden_layers", layers)
        if depth < layers:
            raise UsageError(f"the mean over the last {layers} layers is asked of an encoder that has {depth}")
        self.model = model
        self.start_ids, self.end_ids = list(start_ids), list(end_ids)
        self.window = window
        self.layers = layers
        self.traits = traits
        self.compiled = self.graphs = False
        # A model that looks only backwards would keep keys and values for pieces that nobody is going to add.
        caches = "use_cache" in inspect.signature(model.forward).parameters
        self._options = {"use_cache": False} if traits.causal and caches else {}
        # Here, since importing it takes transformers' model code, which planning does without.
        from bench.nn.attention_rows import row_source

        pieces = [*self.start_ids, *self.end_ids] or UNFRAMED
        self.row_source = row_source(model, layers, pieces) if attention else None

    @property
    def size(self) -> int:
        """d, the width of the token states."""
        return int(self.model.config.hidden_size)

    @property
    def _recorded(self) -> bool:
        """Whether this pass is one of CUDA graphs."""
        return self.graphs and self.training

    def compile_model(self, graphs: bool = False) -> None:
        """Have torch.compile make the kernels that the model trains with, for all lengths; on one GPU in one piece.

        Its parameters keep their names; in evaluation, which is too short to pay for compiling, it runs as it is.
        graphs: also record them as CUDA graphs, one for each shape of a batch: a GPU needs less time for a step of four
        documents than Python takes to ask for it. Lengths are then filled up to multiples of `GRAPH_LENGTHS`, so that
        shapes come again, and the gradients of a pass are gone with the next pass: only for one pass an update.
        Raises UsageError for a model whose attention rows are caught in passing, which compiled code does not show.
        """
        from bench.nn.attention_rows import RecomputedRows

        if self.row_source is not None and not isinstance(self.row_source, RecomputedRows):
            raise UsageError(
                f"compile: {type(self.model).__name__} computes attention in a way of its own, and torch.compile would "
                "hide the rows that pooling reads; leave compile out"
            )
        self.model.compile(dynamic=True, mode="reduce-overhead" if graphs else "default")
        self.compiled, self.graphs = True, graphs and not self.traits.alone  # for graphs, lengths are filled up

    def forward(self, batch: Batch) -> list[DocumentEncoding]:
        """Encode every document of the batch. Raises UsageError, with the reason, where compiling does not work."""
        windows = plan_windows([d.length for d in batch.documents], self.window, len(self.start_ids), len(self.end_ids))
        pieces = [self._pieces(batch, w) for w in windows]
        rows = rows_at(batch, windows)
        states: list[Tensor] = []
        attention: list[Tensor] = []
        lengths = [len(ids) for ids in pieces]
        # In evaluation what a document is given must not depend, to the bit, on those beside it.
        worth = PIECES_A_CALL / self.size**2 if self.training else None
        for some in _one_by_one(lengths) if self.traits.alone else _together(lengths, batch.input_ids.device, worth):
            input_ids, mask = self._side_by_side(pieces[some])
            own_states, own_attention = self._encode(input_ids, mask, rows[some])
            states += own_states.unbind(0)
            attention += own_attention
        return merge(batch, windows, states, attention, rows)

    def _pieces(self, batch: Batch, w: Window) -> Tensor:
        """The word pieces of a window, with the special tokens it was cut off from: [length of the window]."""
        ids = batch.input_ids[w.document, w.start : w.stop]
        start = self.start_ids if w.skip else []
        end = self.end_ids if w.stop < batch.documents[w.document].length else []
        # Filled in one by one: copied from a list, they would make a GPU wait.
        return torch.cat([*(ids.new_full((1,), i) for i in start), ids, *(ids.new_full((1,), i) for i in end)])

    def _side_by_side(self, pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Windows as one tensor [W, L], and what of it is not padding; no mask where nothing is, and none is needed."""
        longest = max(len(ids) for ids in pieces)
        length = min(-(-longest // GRAPH_LENGTHS) * GRAPH_LENGTHS, self.window) if self._recorded else longest
        if not self._recorded and all(len(ids) == longest for ids in pieces):
            return torch.stack(list(pieces)), None
        ids, mask = (pad_sequence(list(x), batch_first=True) for x in (pieces, map(torch.ones_like, pieces)))
        return F.pad(ids, (0, length - longest)), F.pad(mask, (0, length - longest))

    def _encode(self, input_ids: Tensor, mask: Tensor | None, rows: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Token states [W, L, d] and, per window, the attention rows [r, A, L] at the positions `rows`."""
        inputs = {
            "input_ids": input_ids,
            "attention_mask": mask,
            "output_hidden_states": self.layers > 1,
            "output_attentions": False,
            **self._options,
        }
        with _compiled_in_training(self.training) if self.compiled else nullcontext():
            if self.row_source is None:
                output = self.model(**inputs)
            else:
                output, by_layer = self.row_source(self.model, inputs, rows)
        states = output.last_hidden_state
        if self.layers > 1:
            states = torch.stack(output.hidden_states[-self.layers :]).mean(0)
        elif self._recorded:
            states = states.clone()  # the next pass writes where this one did
        if self.row_source is None:
            return states, [states.new_empty(len(at), 0, input_ids.shape[1]) for at in rows]
        return states, [torch.stack(window).mean(0) for window in zip(*by_layer, strict=True)]


@contextmanager
def _compiled_in_training(training: bool) -> Iterator[None]:
    """Let torch.compile do its work, or, out of training, let it be. Raises UsageError where it cannot do it."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        with nullcontext() if training else torch.compiler.set_stance("force_eager"):
            yield
    except TorchDynamoException as error:
        if NOT_REPEATABLE in str(error):
            raise  # for `bench.training.repeatable` to try again without
        reason = " ".join(str(error).split("\n\n")[0].split())
        raise UsageError(f"compile: torch.compile does not work here: {reason}") from error


def _together(lengths: Sequence[int], device: torch.device, worth: float | None) -> list[slice]:
    """Which windows go through the model at once: all of them, but on a CPU few.

    There it takes no longer to run one window after the other, and each is spared the padding to the longest.
    worth: how many pieces of padding it may cost to spare a window its own call of each layer, which pays in a small
    model; None: every window alone.
    """
    if device.type != "cpu":
        return [slice(0, len(lengths))]
    if worth is None:
        return _one_by_one(lengths)
    starts: list[int] = []
    for w in range(len(lengths)):
        joined = lengths[starts[-1] : w + 1] if starts else []
        if not joined or max(joined) * len(joined) - sum(joined) > worth * (len(joined) - 1):
            starts.append(w)
    return [slice(start, stop) for start, stop in pairwise([*starts, len(lengths)])]


def _one_by_one(lengths: Sequence[int]) -> list[slice]:
    return [slice(w, w + 1) for w in range(len(lengths))]
