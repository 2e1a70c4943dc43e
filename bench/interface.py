"""What a model is, and what it is given. The page to read before adding one.

A model is a `PairModel`; one without gradients, which counts, looks up or asks, is a `CountingModel`, which is fitted
on documents and predicts. A `PairModel` turns the pooled pairs of a batch (`Pairs`) into logits, logits and labels into
a loss with named parts, and logits into predictions. Both declare their hyperparameters as a typed schema and a recipe:
the stages that make up each setting (`Recipe`). Tokenising, encoding, pooling, optimising, files and metrics are the
harness's, and the same for all.

That is all that most models need. Further down, with defaults that do nothing: other inputs (`reads`), words
(`reads_words`), token states beside pairs (`pooled_tokens`), texts of relations (`reads_relation_texts`), losses on
evidence, a teacher's signals or how far training is (`batch_loss`), evidence (`evidence`), decisions tuned on dev
(`tune`), what logits are compared with, where it cannot be told from `decode` (`decided_against`), other losses
(`loss_settings`; what a loss is says `bench.losses.interface`), and another way from a trained model to predictions
(`Inference`).

Where things are in a document (types of entities, mentions and their sentences, words) its `DocumentLayout` says, which
`Pairs`, `Tokens` and `Batch` have under `documents`.

Public, and stable between releases: what this module hands on (`__all__`: everything that a model file needs, the types
of its arguments included), and the parts in `bench.nn` that models share: `axial`, `biaffine`, `bilinear`,
`contraction`, `losses`, `pooling`, `pu_risk`, `segments`, `tokens`. All else in `bench` may move.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from bench.data.batching import Batch, DocumentLayout, Update
from bench.data.documents import Document, Label, Mention
from bench.losses.interface import Loss, LossHyperparameters
from bench.metrics.submission import Prediction
from bench.nn.pooling import Pairs
from bench.nn.tokens import Tokens
from bench.runs.recipe import SETTINGS, Positive, Rate, Recipe, Setting, Signal, Source, Stage, Training

__all__ = [
    "SETTINGS",
    "Batch",
    "CountingModel",
    "CountingTask",
    "Document",
    "DocumentLayout",
    "DocumentScores",
    "Hyperparameters",
    "Inference",
    "Label",
    "Loss",
    "LossHyperparameters",
    "Mention",
    "Model",
    "PairModel",
    "Pairs",
    "Positive",
    "Prediction",
    "Rate",
    "Recipe",
    "Scorer",
    "Setting",
    "Signal",
    "Source",
    "Stage",
    "Task",
    "Thresholds",
    "Tokens",
    "Training",
    "Update",
]


class Hyperparameters(BaseModel):
    """A model's own settings. Subclass it; unknown keys are errors, and `bench models show` prints the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Task:
    """What a model is built for.

    encoder_size: d.   relations: R names; logit column r + 1 (or r, without a threshold class) is relations[r].
    label_rates: [R], the share of the stage's candidate training pairs that carry each label.
    vocabulary: how many word pieces the tokenizer knows, for models that embed them themselves.
    entity_types: those of the documents that the stage trains on, or of the first stage where its weights come from
    another. The codes in `DocumentLayout.entity_types` count through them; one more stands for any other type.
    relation_names, relation_descriptions: of each relation that has one, for a model that `reads_relation_texts`.
    dataset: the name of the data set, for messages: no part of a run's key.   seed: the run's.
    thresholds: how many columns of the logits come before the relations', for a model whose loss can be another one.
    """

    encoder_size: int
    relations: tuple[str, ...]
    label_rates: tuple[float, ...]
    vocabulary: int = 0
    entity_types: tuple[str, ...] = ()
    relation_names: Mapping[str, str] = field(default_factory=dict)
    relation_descriptions: Mapping[str, str] = field(default_factory=dict)
    dataset: str = ""
    seed: int = 0
    thresholds: int = 1

    @property
    def classes(self) -> int:
        """The columns of the logits of a model whose loss can be another one: thresholds, then relations."""
        return self.thresholds + len(self.relations)


class DocumentScores(NamedTuple):
    """A model's view of one document: p candidate pairs, C classes, S sentences.

    pairs: [p, 2], entity indices.   logits: [p, C].   evidence: [p, S], bool, or None if the model predicts none.
    """

    pairs: NDArray[np.int64]
    logits: NDArray[np.float32]
    evidence: NDArray[np.bool_] | None


class Thresholds(NamedTuple):
    """What the logits of relations are compared with. For whoever looks at errors: `decode` decides.

    values: [P, R], or of a shape that broadcasts to it.   what: in a few words, `the threshold class`.
    """

    values: Tensor
    what: str


Scorer = Callable[[Sequence[Document]], Iterator[DocumentScores]]
"""A trained model, applied to any documents, in their order."""


class Inference(ABC):
    """Another way from a trained model to predictions than decoding its logits.

    relations: relations[r] is column r + 1 of the logits (r, without a threshold class).
    """

    def __init__(self, model: PairModel, relations: Sequence[str]) -> None:
        self.model = model
        self.relations = tuple(relations)

    @abstractmethod
    def tune(self, score: Scorer, dev: Sequence[Document]) -> dict[str, float]:
        """What is to be chosen on labelled documents; kept in the run's record."""

    @abstractmethod
    def predict(self, score: Scorer, documents: Sequence[Document], decision: Mapping[str, float]) -> list[Prediction]:
        """The predictions on `documents`, with what `tune` chose."""


class Model:
    """What all models declare."""

    Hyperparameters: ClassVar[type[Hyperparameters]] = Hyperparameters
    recipe: ClassVar[Recipe]
    reads: ClassVar[Literal["pairs", "tokens", "pieces", "documents"]]
    """What it is given: `Pairs`, token states (`bench.nn.tokens.Tokens`), word pieces without an encoder, documents."""
    inference: ClassVar[type[Inference] | None] = None
    """How predictions are made, where it is not by decoding logits."""
    trains_as: ClassVar[str | None] = None
    """The registered name of the model whose training this one uses, where they differ in inference alone."""
    reads_words: ClassVar[bool] = False
    """Give the words of each document (`DocumentLayout.words`). A `CountingModel` has them in its documents."""
    reads_relation_texts: ClassVar[bool] = False
    """Give names and descriptions of relations; they are part of the run's key then, since results depend on them."""


@dataclass(frozen=True)
class CountingTask:
    """What a `CountingModel` is made for.

    relations: R ids; names, descriptions: of each id, and of those that somebody described.   dataset: its name.
    """

    relations: tuple[str, ...]
    names: Mapping[str, str]
    descriptions: Mapping[str, str]
    dataset: str


class CountingModel(Model, ABC):
    """A model without gradients: it counts, looks up or asks a server. No encoder, no epochs, no weights are kept.

    It is fitted anew wherever it is needed, so the same documents and seed have to give the same predictions.
    """

    reads = "documents"

    def __init__(self, hp: Any, task: CountingTask) -> None:
        self.hp = hp
        self.task = task

    @abstractmethod
    def fit(self, documents: Sequence[Document], dev: Sequence[Document], seed: int) -> None:
        """Learn from labelled documents; choose on those of `dev`. Once for each stage of a setting, in order.

        seed: the run's, for whatever is random.
        """

    @abstractmethod
    def predict(self, documents: Sequence[Document]) -> list[Prediction]:
        """The predictions on documents, whose labels it is not given."""

    def decision(self) -> dict[str, float]:
        """What was chosen on dev, by name, for the record of the run."""
        return {}


class PairModel(Model, nn.Module):
    """Base class of trained models. Subclasses set class fields, define `__init__(hp, task)` and three methods.

    These are `forward`, `loss` (or `batch_loss`) and `decode`. A batch has P candidate pairs and R relations; most
    models give R + 1 logits with the threshold class in column 0.
    """

    encoder_layers: ClassVar[int] = 1
    """States and attention are averaged over this many of the encoder's last layers, or over all where it has fewer."""
    pooling_epsilon: ClassVar[float] = 1e-5
    """Added to the normaliser of a pair's attention."""
    at_encoder_rate: ClassVar[tuple[str, ...]] = ()
    """Parameters (by the beginning of their name) that learn at the encoder's rate instead of the new layers'."""
    reads: ClassVar[Literal["pairs", "tokens", "pieces", "documents"]] = "pairs"
    pooled_heads: ClassVar[Literal["mean", "sum"]] = "mean"
    """How the attention heads' products are joined before a pair's attention is normalised."""
    whole_grid: ClassVar[bool] = False
    """Pool all n x n pairs of each document, row by row, not only the candidates (`Pairs.candidates`)."""
    pooled_tokens: ClassVar[bool] = False
    """Give the token states beside what was pooled (`Pairs.states`), for a model that reads "pairs"."""
    predicts_evidence: ClassVar[bool] = False
    """Whether `evidence` is defined."""
    tunes_decisions: ClassVar[bool] = False
    """Whether `tune` is defined."""
    loss_settings: ClassVar[frozenset[str] | None] = None
    """The hyperparameters that `loss` and `decode` alone use, where a `Loss` may take the place of both; else None.

    Such a model gives `task.classes` logits, and knows of what they are compared with by `decided_against` alone.
    """
    bilinear_head: ClassVar[str | None] = None
    """The attribute with the `GroupedBilinear` that gives the logits, whose products the contrastive term compares."""

    def forward(self, inputs: Any) -> Tensor:
        """The logits of the candidate pairs: [P, classes]. inputs: `Pairs` or `Tokens`, as `reads` says."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Named scalar parts; their sum is minimised. logits: [P, classes].   labels: [P, R], bool."""
        raise NotImplementedError

    def batch_loss(self, logits: Tensor, inputs: Any, batch: Batch) -> dict[str, Tensor]:
        """The loss where it takes more than labels: evidence, a teacher's signals or how far training is, of `batch`.

        inputs: what `forward` was given.   `batch.update` says which update of how many it is for.
        """
        return self.loss(logits, batch.labels)

    def evidence(self, pairs: Pairs, batch: Batch) -> tuple[Tensor, ...]:
        """For each document [p, S], bool: the sentences that support what a candidate pair's relations are."""
        raise NotImplementedError

    def tune(self, logits: Tensor, labels: Tensor) -> None:
        """Choose how `decode` decides, from all candidate pairs of dev; keep the choice in buffers.

        Called before every evaluation of dev. logits: [N, classes].   labels: [N, R], bool.
        """

    def decision(self) -> dict[str, float]:
        """What `tune` chose, by name, for the record of the run."""
        return {}

    def decode(self, logits: Tensor) -> Tensor:
        """The predicted relations: [P, R], bool. logits: [P, classes]."""
        raise NotImplementedError

    def decided_against(self, logits: Tensor, relations: Sequence[str]) -> Thresholds:
        """What a relation's logit has to exceed to be predicted. logits: [P, classes].   relations: R names.

        The threshold class where the logits have one; else what `decision` has under `threshold RELATION`; else 0.
        A model that decides otherwise defines its own. `decode` may ask for more, such as a limit of relations a pair.
        """
        if logits.shape[1] > len(relations):
            return Thresholds(logits[:, :1], "the threshold class")
        tuned = self.decision()
        names = [f"threshold {relation}" for relation in relations]
        if names and tuned.keys() >= set(names):
            return Thresholds(
                logits.new_tensor([tuned[name] for name in names]), "the relation's threshold, tuned on dev"
            )
        return Thresholds(logits.new_zeros(len(relations)), "0")

    def candidates(self, logits: Tensor, relations: Sequence[str]) -> Tensor:
        """The relations that `decode` may predict, whatever they are compared with: [P, R], bool. All of them, if not
        defined otherwise."""
        return torch.ones(len(logits), len(relations), dtype=torch.bool, device=logits.device)
