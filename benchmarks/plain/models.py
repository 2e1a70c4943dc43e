"""The plain formulation of each model, over the parameters of a `DocumentModel`."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.atlop import Atlop
from baselines.dreeam import Dreeam
from baselines.kd_docre import KdDocRe
from baselines.kd_docre_released import KdDocReReleased
from baselines.pu import SPu
from bench.data.batching import Batch
from bench.inference.document_model import DocumentModel
from plain import heads, losses
from plain.encoder import PlainEncoder, WholeMaps
from plain.pooling import PlainPairs, pool
from ttmre.model import TtmRe
from ttmre.released import TtmReReleased


class Plain:
    """What every model does until its own head and loss. Its four steps are timed apart."""

    def __init__(self, system: DocumentModel) -> None:
        assert system.encoder is not None
        self.model = system.model
        self.encoder = PlainEncoder(system.encoder)

    def encode(self, batch: Batch) -> list[WholeMaps]:
        """Token states and attention maps."""
        return self.encoder(batch)

    def pool(self, encodings: list[WholeMaps], batch: Batch) -> PlainPairs:
        """Pairs with copies of their entities."""
        model = self.model
        return pool(encodings, batch, model.pooling_epsilon, model.pooled_heads, model.whole_grid)

    def features(self, pairs: PlainPairs) -> tuple[Tensor, Tensor]:
        """`z_h` and `z_t`: two tensors [P, e]."""
        features = self.model.features
        return (
            heads.in_context(features.head, pairs.head, pairs.context),
            heads.in_context(features.tail, pairs.tail, pairs.context),
        )

    def head(self, pairs: PlainPairs, batch: Batch) -> Tensor:
        """Logits [P, classes]."""
        return heads.bilinear(self.model.classifier, *self.features(pairs))

    def loss(self, logits: Tensor, pairs: PlainPairs, batch: Batch) -> Tensor:
        """What is minimised."""
        raise NotImplementedError


class PlainAtlop(Plain):
    def loss(self, logits: Tensor, pairs: PlainPairs, batch: Batch) -> Tensor:
        return losses.adaptive_threshold(logits, batch.labels)


class PlainDreeam(PlainAtlop):
    def loss(self, logits: Tensor, pairs: PlainPairs, batch: Batch) -> Tensor:
        guided = self.model.hp.evidence_lambda * losses.evidence(pairs.attention, batch)
        return super().loss(logits, pairs, batch) + guided


class PlainPu(Plain):
    """SSR-PU, S-PU, PU and PN, and TTM-RE's loss: their hyperparameters have the same names."""

    def loss(self, logits: Tensor, pairs: PlainPairs, batch: Batch) -> Tensor:
        model, hp = self.model, self.model.hp
        ranking = getattr(model, "ranking", True)
        estimator = getattr(model, "estimator", getattr(hp, "loss", "s-pu"))
        options = ("class_weight", "beta", "gamma", "nn_correction")
        return losses.positive_unlabeled(
            logits[:, 1:] - logits[:, :1] if ranking else logits,
            batch.labels,
            model.risk.priors,
            estimator=estimator,
            prior_multiple=hp.prior_multiple,
            margin=hp.margin,
            scale=hp.scale,
            **{name: getattr(hp, name) for name in options if hasattr(hp, name)},
        )


class PlainKdDocRe(Plain):
    def head(self, pairs: PlainPairs, batch: Batch) -> Tensor:
        cells = heads.bilinear(self.model.projection, *self.features(pairs))
        attended = heads.axial(list(self.model.axial.layers), cells, pairs, self.filling(cells))
        logits = self.model.classifier(cells + attended)
        candidates, first = [], 0
        for document in batch.documents:
            candidates.append(first + document.pairs[:, 0] * document.entities + document.pairs[:, 1])
            first += document.entities**2
        return logits[torch.cat(candidates)]

    def loss(self, logits: Tensor, pairs: PlainPairs, batch: Batch) -> Tensor:
        return losses.adaptive_focal(logits, batch.labels, self.model.hp.gamma)

    def filling(self, cells: Tensor) -> Tensor | None:
        """What fills up the matrices, [d], where that is attended to."""
        return None


class PlainKdDocReReleased(PlainKdDocRe):
    def filling(self, cells: Tensor) -> Tensor | None:
        if self.model.training:
            return cells.new_zeros(cells.shape[1])
        features = self.model.features
        nothing = cells.new_zeros(1, features.head.linear.in_features // 2)
        sides = (heads.in_context(side, nothing, nothing) for side in (features.head, features.tail))
        return heads.bilinear(self.model.projection, *sides)[0]


class PlainTtmRe(PlainPu):
    """writing: with the step that the released program computes and throws away."""

    def __init__(self, system: DocumentModel, writing: bool = False) -> None:
        super().__init__(system)
        hp = system.model.hp
        self.layers = [heads.transformer_layer(layer) for layer in system.model.process]
        with torch.random.fork_rng():
            self.write = heads.Write(hp.pair_size, hp.memory).to(system.model.read.memory_tokens.device)
        self.writing = writing

    def head(self, pairs: PlainPairs, batch: Batch) -> Tensor:
        before = torch.stack(self.features(pairs), dim=1)
        after = heads.read(self.model.read, before)
        for layer in self.layers:
            after = layer(after)
        if self.writing:
            self.write(after, self.model.read.memory_tokens, before)
        if getattr(self.model.hp, "residual", "mean") == "mean":
            after = (after + before) / 2
        return heads.bilinear(self.model.classifier, *after.unbind(1))


class PlainTtmReReleased(PlainTtmRe):
    def features(self, pairs: PlainPairs) -> tuple[Tensor, Tensor]:
        projection = self.model.projection
        return (
            heads.in_context(projection, pairs.head, pairs.context),
            heads.in_context(projection, pairs.tail, pairs.context),
        )

    def head(self, pairs: PlainPairs, batch: Batch) -> Tensor:
        before = torch.stack(self.features(pairs), dim=1)
        chunks = []
        for own in before.split(self.model.hp.chunk):  # its attention is across the pairs of a chunk
            after = heads.read(self.model.read, own).transpose(0, 1)
            for layer in self.layers:
                after = layer(after)
            chunks.append(after.transpose(0, 1))
            if self.writing:
                self.write(chunks[-1], self.model.read.memory_tokens, own)
        return heads.bilinear(self.model.classifier, *((torch.cat(chunks) + before) / 2).unbind(1))


PLAIN: dict[type, type[Plain]] = {
    Dreeam: PlainDreeam,
    Atlop: PlainAtlop,
    SPu: PlainPu,
    KdDocReReleased: PlainKdDocReReleased,
    KdDocRe: PlainKdDocRe,
    TtmRe: PlainTtmRe,
    TtmReReleased: PlainTtmReReleased,
}


def plain(system: DocumentModel) -> Plain:
    """The plain formulation of the model of `system`. Raises KeyError for a model that has none."""
    return next(PLAIN[cls] for cls in type(system.model).__mro__ if cls in PLAIN)(system)
