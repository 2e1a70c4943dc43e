"""Settings, and the stages a model goes through in each: what a plan or a record is made of, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Setting = Literal["human", "distant", "human+distant", "ext", "ext+distant"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
"""What recipes have stages of. A run may also have one of these on a share of the labels (`bench.runs.settings`)."""
Source = Literal["human", "distant", "ext"]
"""Which training data a stage reads."""
Signal = Literal["logits", "token_attention"]
"""What a teacher says of each candidate pair of a document: its logits [p, C], or where both entities attend [p, l]."""

Precision = Literal["fp32", "bf16"]
"""What forward passes compute in: float32, or bfloat16 by autocast, with what needs it in float32."""

AskedPrecision = Literal["auto", "fp32", "bf16", "bf16-on-gpu"]
"""What a stage is asked to compute in: one of the two, or what is best where it begins (`settled_precision`)."""

Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Training(BaseModel):
    """How one stage is optimised: AdamW, linear warm-up and decay, two learning rates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Positive = Field(30, description="passes over the stage's training data")
    batch_size: Positive = Field(4, description="documents per step")
    tokens_per_batch: Positive | None = Field(
        None, description="word pieces per step, padding included, in place of batch_size documents"
    )
    accumulate: Positive = Field(1, description="steps per update")
    encoder_lr: Rate = Field(3e-5, description="peak learning rate of the encoder")
    head_lr: Rate = Field(1e-4, description="peak learning rate of the new layers")
    warmup: Annotated[float, Field(ge=0, le=1)] = Field(0.06, description="share of the updates spent warming up")
    clip: Rate = Field(1.0, description="largest gradient norm; 0 for none")
    adam_epsilon: Rate = Field(1e-6, description="AdamW's epsilon")
    weight_decay: Rate = Field(0.0, description="AdamW's weight decay")
    precision: AskedPrecision = Field(
        "auto", description="auto: bf16 autocast where the device is fast at it; bf16-on-gpu: fp32 on any CPU"
    )
    compile: bool = Field(False, description="torch.compile the encoder; on one GPU, with accumulate 1, as CUDA graphs")
    window: Positive | None = Field(
        None, description="longest input of the encoder in word pieces; not set, its own limit"
    )
    freeze_encoder: bool = Field(False, description="train the new layers alone, on what the encoder gives as it is")
    patience: Positive | None = Field(None, description="stop after this many epochs without a better dev F1")
    select: Literal["best", "last"] = Field("best", description="which epoch's model is kept, by dev F1")
    select_on: Literal["dev", "dev_ext"] = Field("dev", description="the labels that choose the epoch")
    order_seed: Seed | None = Field(None, description="of the order of documents; not set, the run's own seed")
    dropout_seed: Seed | None = Field(
        None, description="of dropout, and whatever else is drawn in a step; not set, the run's own seed"
    )


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
