"""What a model is, and what it is given. The page to read before adding one.

A model is a `PairModel`: it turns the pooled pairs of a batch (`bench.nn.pooling.Pairs`) into logits, logits and labels
into a loss with named parts, and logits into predictions. It declares its hyperparameters as a typed schema and its
recipe: the stages that make up each setting. Tokenising, encoding, pooling, optimising, files and metrics are the
harness's, and the same for all.

That is all that most models need. Further down, with defaults that do nothing: other inputs (`reads`), losses on
evidence or a teacher's signals (`batch_loss`), evidence (`evidence`), decisions tuned on dev (`tune`), and another way
from a trained model to predictions (`Inference`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from bench.data.batching import Batch
from bench.data.documents import Document
from bench.metrics.submission import Prediction
from bench.nn.pooling import Pairs

Setting = Literal["human", "distant", "human+distant", "ext", "ext+distant"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
Source = Literal["human", "distant", "ext"]
"""Which training data a stage reads."""
Signal = Literal["logits", "token_attention"]
"""What a teacher says of each candidate pair of a document: its logits [p, C], or where both entities attend [p, l]."""

Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(ge=0)]


class Hyperparameters(BaseModel):
    """A model's own settings. Subclass it; unknown keys are errors, and `bench models show` prints the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(BaseModel):
    """How one stage is optimised: AdamW, linear warm-up and decay, two learning rates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Positive = Field(30, description="passes over the stage's training data")
    batch_size: Positive = Field(4, description="documents per step")
    accumulate: Positive = Field(1, description="steps per update")
    encoder_lr: Rate = Field(3e-5, description="peak learning rate of the encoder")
    head_lr: Rate = Field(1e-4, description="peak learning rate of the new layers")
    warmup: Annotated[float, Field(ge=0, le=1)] = Field(0.06, description="share of the updates spent warming up")
    clip: Rate = Field(1.0, description="largest gradient norm; 0 for none")
    adam_epsilon: Rate = Field(1e-6, description="AdamW's epsilon")
    weight_decay: Rate = Field(0.0, description="AdamW's weight decay")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 autocast on a GPU, else fp32")
    patience: Positive | None = Field(None, description="stop after this many epochs without a better dev F1")
    select: Literal["best", "last"] = Field("best", description="which epoch's model is kept, by dev F1")
    select_on: Literal["dev", "dev_ext"] = Field("dev", description="the labels that choose the epoch")


class Stage(BaseModel):
    """One training run over one source of data.

    data: what it trains on.   training: changes to `Training`'s defaults.   hyperparameters: changes to the model's.
    freeze: parameters that keep the value they start with, by the beginning of their name.
    signal: what the stage before, then called its teacher, is to say of this stage's documents (`Batch.teacher`). Such
    a student does not go on from the teacher's weights: it starts where a first stage does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Source
    training: Mapping[str, Any] = {}
    hyperparameters: Mapping[str, Any] = {}
    freeze: tuple[str, ...] = ()
    signal: Signal | None = None

    @model_validator(mode="after")
    def _known_training_keys(self) -> Stage:
        Training(**self.training)
        return self


class Recipe(BaseModel):
    """The stages of each setting. A stage starts from the weights that the one before it selected.

    not_applicable: why the model has no such setting; tables show those cells as not applicable.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: Mapping[Setting, tuple[Stage, ...]]
    not_applicable: Mapping[Setting, str] = {}

    @model_validator(mode="after")
    def _teachers_come_first(self) -> Recipe:
        for setting, stages in self.stages.items():
            if stages and stages[0].signal:
                raise ValueError(f"{setting}: the first stage has a signal, but no stage before it gives one")
            if stages and setting in self.not_applicable:
                raise ValueError(f"{setting}: has stages, and a reason why it has none")
        return self

    @classmethod
    def teacher_and_student(
        cls, human: Stage, ext: Stage, student: Stage, human_after: Stage, ext_after: Stage, without_teacher: str
    ) -> Recipe:
        """Alone on the annotated data; with distant data, as teacher, student on the distant data, then fine-tuned.

        without_teacher: why there is no such thing on distant data alone.
        """
        return cls(
            stages={
                "human": (human,),
                "human+distant": (human, student, human_after),
                "ext": (ext,),
                "ext+distant": (ext, student, ext_after),
            },
            not_applicable={"distant": without_teacher},
        )

    @classmethod
    def one_then_the_other(
        cls, human: Stage, distant: Stage, ext: Stage, human_after: Stage | None = None, ext_after: Stage | None = None
    ) -> Recipe:
        """Each source alone; with distant data, train on that first and then go on with the annotated.

        human_after, ext_after: the second stage, where it differs from training on that source alone.
        """
        return cls(
            stages={
                "human": (human,),
                "distant": (distant,),
                "human+distant": (distant, human_after or human),
                "ext": (ext,),
                "ext+distant": (distant, ext_after or ext),
            }
        )


@dataclass(frozen=True)
class Task:
    """What a model is built for.

    encoder_size: d.   relations: R names; logit column r + 1 (or r, without a threshold class) is relations[r].
    label_rates: [R], the share of the stage's candidate training pairs that carry each label.
    vocabulary: how many word pieces the tokenizer knows, for models that embed them themselves.
    """

    encoder_size: int
    relations: tuple[str, ...]
    label_rates: tuple[float, ...]
    vocabulary: int = 0


class DocumentScores(NamedTuple):
    """A model's view of one document: p candidate pairs, C classes, S sentences.

    pairs: [p, 2], entity indices.   logits: [p, C].   evidence: [p, S], bool, or None if the model predicts none.
    """

    pairs: NDArray[np.int64]
    logits: NDArray[np.float32]
    evidence: NDArray[np.bool_] | None


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


class PairModel(nn.Module):
    """Base class of all models. Subclasses set class fields, define `__init__(hp, task)` and three methods.

    These are `forward`, `loss` (or `batch_loss`) and `decode`. A batch has P candidate pairs and R relations; most
    models give R + 1 logits with the threshold class in column 0.
    """

    Hyperparameters: ClassVar[type[Hyperparameters]] = Hyperparameters
    recipe: ClassVar[Recipe]
    encoder_layers: ClassVar[int] = 1
    """States and attention are averaged over this many of the encoder's last layers, or over all where it has fewer."""
    pooling_epsilon: ClassVar[float] = 1e-5
    """Added to the normaliser of a pair's attention."""
    at_encoder_rate: ClassVar[tuple[str, ...]] = ()
    """Parameters (by the beginning of their name) that learn at the encoder's rate instead of the new layers'."""
    reads: ClassVar[Literal["pairs", "tokens", "pieces"]] = "pairs"
    """What `forward` is given: `Pairs`, token states (`bench.nn.tokens.Tokens`), or word pieces without an encoder."""
    pooled_heads: ClassVar[Literal["mean", "sum"]] = "mean"
    """How the attention heads' products are joined before a pair's attention is normalised."""
    whole_grid: ClassVar[bool] = False
    """Pool all n x n pairs of each document, row by row, not only the candidates (`Pairs.candidates`)."""
    predicts_evidence: ClassVar[bool] = False
    """Whether `evidence` is defined."""
    tunes_decisions: ClassVar[bool] = False
    """Whether `tune` is defined."""
    inference: ClassVar[type[Inference] | None] = None
    """How predictions are made, where it is not by decoding logits."""
    trains_as: ClassVar[str | None] = None
    """The registered name of the model whose training this one uses, where they differ in inference alone."""

    def forward(self, inputs: Any) -> Tensor:
        """The logits of the candidate pairs: [P, classes]. inputs: `Pairs` or `Tokens`, as `reads` says."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Named scalar parts; their sum is minimised. logits: [P, classes].   labels: [P, R], bool."""
        raise NotImplementedError

    def batch_loss(self, logits: Tensor, inputs: Any, batch: Batch) -> dict[str, Tensor]:
        """The loss where it takes more than labels: sentences and evidence, or a teacher's signals, of `batch`.

        inputs: what `forward` was given.
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
