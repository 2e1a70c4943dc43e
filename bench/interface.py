"""What a model is, and what it is given. The page to read before adding one.

A model is a `PairModel`: it turns the pooled pairs of a batch (`bench.nn.pooling.Pairs`) into logits, logits and labels
into a loss with named parts, and logits into predictions. It declares its hyperparameters as a typed schema and its
recipe: the stages that make up each setting. Tokenising, encoding, pooling, optimising, files and metrics are the
harness's, and the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from bench.nn.pooling import Pairs

Setting = Literal["human", "distant", "human+distant", "ext", "ext+distant"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
Source = Literal["human", "distant", "ext"]
"""Which training data a stage reads."""

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
    select: Literal["best", "last"] = Field("best", description="which epoch's model is kept, by dev F1")
    select_on: Literal["dev", "dev_ext"] = Field("dev", description="the labels that choose the epoch")


class Stage(BaseModel):
    """One training run over one source of data.

    data: what it trains on.   training: changes to `Training`'s defaults.   hyperparameters: changes to the model's.
    freeze: parameters that keep the value they start with, by the beginning of their name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Source
    training: Mapping[str, Any] = {}
    hyperparameters: Mapping[str, Any] = {}
    freeze: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known_training_keys(self) -> Stage:
        Training(**self.training)
        return self


class Recipe(BaseModel):
    """The stages of each setting. A stage starts from the weights that the one before it selected."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: Mapping[Setting, tuple[Stage, ...]]

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
    """

    encoder_size: int
    relations: tuple[str, ...]
    label_rates: tuple[float, ...]


class PairModel(nn.Module):
    """Base class of all models. Subclasses set the class fields and define `forward`, `loss` and `decode`.

    A batch has P pairs and R relations; most models give R + 1 logits with the threshold class in column 0.
    """

    Hyperparameters: ClassVar[type[Hyperparameters]] = Hyperparameters
    recipe: ClassVar[Recipe]
    encoder_layers: ClassVar[int] = 1
    """States and attention are averaged over this many of the encoder's last layers."""
    pooling_epsilon: ClassVar[float] = 1e-5
    """Added to the normaliser of a pair's attention."""
    at_encoder_rate: ClassVar[tuple[str, ...]] = ()
    """Parameters (by the beginning of their name) that learn at the encoder's rate instead of the new layers'."""

    def forward(self, pairs: Pairs) -> Tensor:
        """The logits of `pairs`: [P, classes]."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Named scalar parts; their sum is minimised. logits: [P, classes].   labels: [P, R], bool."""
        raise NotImplementedError

    def decode(self, logits: Tensor) -> Tensor:
        """The predicted relations: [P, R], bool. logits: [P, classes]."""
        raise NotImplementedError
