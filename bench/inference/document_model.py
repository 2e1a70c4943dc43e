"""Encoder and model as one trainable module, and predictions from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.data.batching import Batch
from bench.interface import PairModel
from bench.nn.encoder import Encoder
from bench.nn.encoder_source import EncoderSource
from bench.nn.linear import through_linear
from bench.nn.pooling import Pairs, pool
from bench.nn.precision import precision_context, wide
from bench.nn.tokens import Tokens
from bench.nn.windows import DocumentEncoding


class DocumentModel(nn.Module):
    """The encoder, the pooling and a model: a batch of documents to the logits of its candidate pairs.

    encoder: None for a model that reads word pieces itself.   frozen: the encoder keeps its weights, and gives of every
    document what it gives of it alone, without dropout; a batch may bring that along (`bench.inference.encodings`).
    entity_types: what the codes of entities' types in a batch stand for.
    """

    def __init__(
        self, encoder: Encoder | None, model: PairModel, frozen: bool = False, entity_types: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.model = model
        self.frozen = frozen
        self.entity_types = tuple(entity_types)
        if encoder is not None and frozen:
            encoder.requires_grad_(False)
        through_linear(self)

    def train(self, mode: bool = True) -> DocumentModel:
        """Switch to training or evaluation mode, as any module; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.encoder is not None and self.frozen:
            self.encoder.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Logits [P, classes] in float32 or wider, P candidate pairs in the order of the batch."""
        return self.scored(batch)[0]

    def scored(self, batch: Batch) -> tuple[Tensor, Pairs | Tokens]:
        """The logits, and the inputs of the model that they were computed from."""
        inputs = self.inputs(batch)
        return self.logits(inputs), inputs

    def logits(self, inputs: Pairs | Tokens) -> Tensor:
        """Logits [P, classes] in float32 or wider, from what the model reads."""
        logits: Tensor = self.model(inputs)
        return wide(logits)

    def inputs(self, batch: Batch) -> Pairs | Tokens:
        """What the model reads of a batch: pooled `Pairs`, or `Tokens`, as its `reads` says."""
        if self.encoder is None:
            return Tokens(batch.input_ids, batch.attention_mask, None, batch.documents)
        encodings = self._encodings(self.encoder, batch)
        model = self.model
        if model.reads == "pairs":
            pooled_tokens = model.pooled_tokens
            return pool(encodings, batch, model.pooling_epsilon, model.pooled_heads, model.whole_grid, pooled_tokens)
        states = tuple(wide(encoding.states) for encoding in encodings)
        return Tokens(batch.input_ids, batch.attention_mask, states, batch.documents)

    def _encodings(self, encoder: Encoder, batch: Batch) -> list[DocumentEncoding]:
        if not self.frozen:
            return encoder(batch)
        if batch.encodings is not None:
            return [DocumentEncoding(*encoding) for encoding in batch.encodings]
        return encode_alone(encoder, batch)


@torch.no_grad()
def encode_alone(encoder: Encoder, batch: Batch) -> list[DocumentEncoding]:
    """Encode each document of the batch as if it were alone, without gradient: one encoding per document."""
    return [encoder(batch.alone(i))[0] for i in range(len(batch.documents))]


class BatchLosses(nn.Module):
    """The parts of a batch's loss: what a step of training differentiates."""

    def __init__(self, system: DocumentModel, precision: str) -> None:
        super().__init__()
        self.system = system
        self.precision = precision

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The named parts of the loss of a batch, scalars; their sum is minimised."""
        with precision_context(batch.input_ids.device, self.precision):
            logits, inputs = self.system.scored(batch)
        return self.system.model.batch_loss(logits, inputs, batch)


def document_model(
    source: EncoderSource,
    model: PairModel,
    pretrained: bool,
    frozen: bool = False,
    window: int | None = None,
    entity_types: Sequence[str] = (),
) -> DocumentModel:
    """Put a model behind its encoder; one that reads word pieces itself gets none.

    pretrained: False builds the encoder with random weights, to be overwritten.   frozen: it is not trained.
    window: the longest input of the encoder in word pieces, if it is not to be as long as it takes.
    entity_types: what the codes of entities' types in a batch stand for."""
    if model.reads == "pieces":
        return DocumentModel(None, model, entity_types=entity_types)
    layers = min(model.encoder_layers, getattr(source.config, "num_hidden_layers", model.encoder_layers))
    encoder = source.build(layers, pretrained, attention=model.reads == "pairs", window=window)
    return DocumentModel(encoder, model, frozen, entity_types)
