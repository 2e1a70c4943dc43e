"""The floating-point operations that a training step cannot do without, counted from the sizes alone.

Only contractions count (a multiplication and an addition are two): no padding, nothing computed twice, no elementwise
work. Their backward pass costs twice the forward pass: one contraction for each operand's gradient.
"""

from __future__ import annotations

from typing import Any

from baselines.kd_docre import KdDocRe
from bench.data.batching import Batch
from bench.inference.document_model import DocumentModel
from bench.nn.encoder import Encoder
from bench.nn.windows import plan_windows
from ttmre.model import TtmRe
from ttmre.released import TtmReReleased

FORWARD_AND_BACKWARD = 3


def step_operations(system: DocumentModel, batch: Batch) -> dict[str, float]:
    """Operations of forward and backward in the encoder, the pooling and the head."""
    assert system.encoder is not None
    parts = {
        "encoder": _encoder(system.encoder, batch),
        "pooling": _pooling(system, batch),
        "head": _head(system.model, system.encoder.size, batch),
    }
    return {name: FORWARD_AND_BACKWARD * count for name, count in parts.items()}


def _encoder(encoder: Encoder, batch: Batch) -> float:
    config, total = encoder.model.config, 0.0
    d, inner = config.hidden_size, config.intermediate_size
    special = len(encoder.start_ids), len(encoder.end_ids)
    for window in plan_windows([x.length for x in batch.documents], encoder.window, *special):
        pieces = window.stop - window.start
        if pieces < batch.documents[window.document].length:
            pieces = encoder.window
        linear = 2 * pieces * (4 * d * d + 2 * d * inner)
        attention = 2 * 2 * pieces * pieces * d
        mentions = len(batch.documents[window.document].mention_position)
        total += config.num_hidden_layers * (linear + attention) + encoder.layers * 2 * mentions * pieces * d
    return total


def _pooling(system: DocumentModel, batch: Batch) -> float:
    assert system.encoder is not None
    d, heads = system.encoder.size, system.encoder.model.config.num_attention_heads
    total = 0.0
    for document in batch.documents:
        pairs = document.entities**2 if system.model.whole_grid else len(document.pairs)
        total += 2 * pairs * document.length * (heads + d)
    return total


def _head(model: Any, d: int, batch: Batch) -> float:
    entities = [document.entities for document in batch.documents]
    pairs = sum(n * n for n in entities) if model.whole_grid else sum(len(x.pairs) for x in batch.documents)
    e, block, classes = model.hp.pair_size, model.hp.block_size, batch.labels.shape[1] + 1
    sides = 1 if isinstance(model, TtmReReleased) else 2  # one projection for both, so the context's part is one, too
    total = sides * 2 * (sum(entities) + pairs) * d * e
    if isinstance(model, KdDocRe):
        total += 2 * pairs * e * block * d
        per_layer = 2 * pairs * 9 * d * d + sum(2 * n * 2 * 2 * n * n * d for n in entities)
        candidates = sum(len(x.pairs) for x in batch.documents)
        return total + model.hp.axial_layers * per_layer + 2 * candidates * d * classes
    if isinstance(model, TtmRe | TtmReReleased):
        chunk = min(model.hp.chunk, pairs) if isinstance(model, TtmReReleased) else 2
        total += 2 * (2 * pairs + model.hp.memory) * (e * e + 4 * e)
        total += model.hp.layers * 2 * pairs * (2 * 6 * e * e + 2 * 2 * chunk * e)
    # The classifier of a model that does not rank has no threshold class.
    return total + 2 * pairs * e * block * len(model.classifier.weight)
