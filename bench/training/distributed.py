"""The loss of a batch whose documents several processes share, exactly that of one process.

The encoder and pooling see one document at a time, so the documents are divided for them. What was pooled is gathered,
with its gradient, and every process computes the model's logits and the loss of the whole batch: a risk that averages
over the batch's unlabelled pairs, a mean over differing numbers of pairs, attention across pairs are what they are in
one process. The encoder is what takes the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from bench.data.batching import Batch, DocumentLayout
from bench.inference.document_model import BatchLosses, DocumentModel
from bench.nn.devices import set_seed
from bench.nn.pooling import Pairs, join_documents
from bench.nn.precision import precision_context
from bench.nn.tokens import Tokens


class DividedLosses(BatchLosses):
    """The parts of a batch's loss, where process `rank` of `size` encodes and pools its share of the documents."""

    def __init__(self, system: DocumentModel, precision: str, rank: int, size: int) -> None:
        super().__init__(system, precision)
        self.rank, self.size = rank, size

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The named parts of the loss of the whole batch, the same in every process.

        Dropout differs between the documents of two processes, and is the same from pooling on."""
        seed = torch.initial_seed()  # the last that was set: that of the update, or what the batch before left here
        if self.system.encoder is None or len(batch.documents) < self.size:
            set_seed(batch.input_ids.device, _stream(seed, 0))
            return super().forward(batch)  # nothing to divide: each computes all of it
        with precision_context(batch.input_ids.device, self.precision):
            set_seed(batch.input_ids.device, _stream(seed, 1 + self.rank))
            own = self.system.inputs(share(batch, self.rank, self.size))
            inputs = gather(own, batch, self.rank, self.size)
            set_seed(batch.input_ids.device, _stream(seed, 0))
            logits = self.system.logits(inputs)
        return self.system.model.batch_loss(logits, inputs, batch)


def _stream(seed: int, number: int) -> int:
    """The seed of one of several streams of randomness."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def bounds(documents: int, size: int) -> list[int]:
    """Where the shares of a batch begin and end, [size + 1]: in the order of the batch, none differing by over one."""
    return [documents * rank // size for rank in range(size + 1)]


def share(batch: Batch, rank: int, size: int) -> Batch:
    """The documents of process `rank`, padded to the longest of them; their labels are not needed."""
    first, last = bounds(len(batch.documents), size)[rank : rank + 2]
    documents = batch.documents[first:last]
    longest = max(document.length for document in documents)
    return replace(
        batch,
        input_ids=batch.input_ids[first:last, :longest],
        attention_mask=batch.attention_mask[first:last, :longest],
        documents=documents,
        labels=batch.labels[:0],
        evidence=(),
        teacher=None,
        encodings=batch.encodings and batch.encodings[first:last],
    )


def gather(own: Pairs | Tokens, batch: Batch, rank: int, size: int) -> Pairs | Tokens:
    """The model's inputs for the whole batch, from what each process has computed for its share of the documents."""
    limits = bounds(len(batch.documents), size)
    shares = [batch.documents[a:b] for a, b in pairwise(limits)]
    if isinstance(own, Tokens):
        assert own.states is not None
        width = own.states[0].shape[1]
        shapes = [[(d.length, width) for d in documents] for documents in shares]
        states = _gather_all(own.states, shapes, rank)
        return Tokens(batch.input_ids, batch.attention_mask, tuple(states), batch.documents)
    width = own.entities.shape[1]
    grid = own.candidates is not None
    kept = own.states or ()
    shapes = [_shapes(documents, width, grid, bool(kept)) for documents in shares]
    gathered = _gather_all([own.entities, own.context, *own.token_attention, *kept], shapes, rank)
    entities, context, attention, states = [], [], [], []
    for documents in shares:
        entities.append(gathered.pop(0))
        context.append(gathered.pop(0))
        attention += [gathered.pop(0) for _ in documents]
        states += [gathered.pop(0) for _ in documents if kept]
    states_kept = tuple(states) if kept else None
    return join_documents(torch.cat(entities), torch.cat(context), attention, batch.documents, grid, states_kept)


def _shapes(documents: Sequence[DocumentLayout], width: int, grid: bool, kept: bool) -> list[tuple[int, int]]:
    """Of what pooling gives for `documents`: entities, contexts, the attention of each one's pairs, kept states."""
    pairs = [d.entities**2 if grid else len(d.pairs) for d in documents]
    attention = [(count, d.length) for count, d in zip(pairs, documents, strict=True)]
    states = [(d.length, width) for d in documents if kept]
    return [(sum(d.entities for d in documents), width), (sum(pairs), width), *attention, *states]


def _gather_all(own: Sequence[Tensor], shapes: Sequence[Sequence[tuple[int, int]]], rank: int) -> list[Tensor]:
    """The tensors of all processes, one process after the other, in one operation. shapes: of those of each."""
    sizes = [[rows * columns for rows, columns in each] for each in shapes]
    flat = torch.cat([tensor.reshape(-1) for tensor in own])
    everyone: Tensor = _Gather.apply(flat, [sum(each) for each in sizes], rank)
    parts = everyone.split([size for each in sizes for size in each])
    return [part.view(shape) for part, shape in zip(parts, (s for each in shapes for s in each), strict=True)]


class _Gather(torch.autograd.Function):
    """Concatenates the vectors of all processes; in backward each gets the gradient of its own."""

    @staticmethod
    def forward(context: Any, own: Tensor, sizes: list[int], rank: int) -> Tensor:
        context.place = sum(sizes[:rank]), sizes[rank], len(sizes)
        padded = own.new_zeros(max(sizes))
        padded[: len(own)] = own
        everyone = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(everyone, padded)
        return torch.cat([vector[:size] for vector, size in zip(everyone, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # Every process has computed the same loss, so what it needs of the gradient it has. DDP takes the mean over the
        # processes: of what comes after this that of equal terms, of what comes before it a sum is wanted.
        first, size, processes = context.place
        return gradient[first : first + size] * processes, None, None
