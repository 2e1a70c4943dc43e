"""TTM-RE with its memory, or with nothing in its place: what the memory is worth, all else being equal.

    bench run --models ./examples/memory_or_not.py:MemoryOrNot:read=none,./examples/memory_or_not.py:MemoryOrNot

Without the memory the two tokens of a pair go through the Transformer layers as they are. The memory stays trainable
after the distant stage, where TTM-RE freezes it: beside `ttmre`, the model with a memory says what freezing does.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from bench.interface import Recipe, Stage, Task
from ttmre.model import TtmRe, TtmReHyperparameters


class MemoryOrNotHyperparameters(TtmReHyperparameters):
    """Those of TTM-RE, and whether there is a memory."""

    read: Literal["memory", "none"] = Field("memory", description="what a pair reads before it is processed")


class MemoryOrNot(TtmRe):
    """TTM-RE whose read may be left out, and whose memory is never frozen."""

    Hyperparameters = MemoryOrNotHyperparameters
    recipe = Recipe.one_then_the_other(
        human=Stage(data="human"),
        distant=Stage(data="distant", training={"epochs": 2, "head_lr": 5e-5}, hyperparameters={"prior_multiple": 3.0}),
        ext=Stage(data="ext", hyperparameters={"prior_multiple": 12.0}),
        human_after=Stage(data="human", training={"head_lr": 1e-5}),
        ext_after=Stage(data="ext", training={"head_lr": 1e-5}, hyperparameters={"prior_multiple": 12.0}),
    )

    def __init__(self, hp: MemoryOrNotHyperparameters, task: Task) -> None:
        super().__init__(hp, task)
        if hp.read == "none":
            self.read = nn.Identity()
