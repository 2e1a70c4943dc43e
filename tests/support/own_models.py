"""Models in files of their own, as users have them, and finished runs of them."""

from __future__ import annotations

import shutil
from pathlib import Path

from small_experiments import execute, plans

from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder

MINE = """
from pathlib import Path

from pydantic import Field

from baselines.atlop import Atlop, AtlopHyperparameters


class Settings(AtlopHyperparameters):
    margin: float = Field(0.5, description="of nothing")


class Mine(Atlop):
    Hyperparameters = Settings
"""
"""A model of one's own that is ATLOP with one more hyperparameter."""
MARK = "Path(__file__).with_suffix('.ran').touch()\n"
"""At the end of a file: importing it leaves a file beside it."""

COMPANY = """
import torch

from baselines.atlop import Atlop


class Mine(Atlop):
    def forward(self, pairs):
        logits = super().forward(pairs)
        if self.training:
            return logits
        said = torch.zeros_like(logits)
        said[:, len(pairs.sizes)] = 1.0
        return said
"""
"""A model that says of every pair the relation of the number that there are documents in the batch."""


def write_model(folder: Path, text: str = MINE + MARK) -> Path:
    """`mine.py` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.py"
    path.write_text(text)
    return path


def finished_run(out: Path, model: Path) -> RunPlan:
    """A finished run of the class `Mine` in the file `model`; BENCH_HOME knows the data set `small`."""
    (plan,) = plans(f"{model}:Mine")
    assert execute(out, [plan]) == []
    return plan


def as_of_somebody_else(out: Path, to: Path, reference: str) -> RunFolder:
    """A copy of an output folder with one run, whose model is said to be found at `reference`."""
    shutil.copytree(out, to)
    (path,) = (to / "runs").iterdir()
    folder = RunFolder(to, path.name)
    plan = folder.plan()
    assert plan is not None
    stage = plan.stages[-1]
    stages = (*plan.stages[:-1], stage.model_copy(update={"reference": reference}))
    (path / "run.json").write_text(plan.model_copy(update={"stages": stages}).model_dump_json())
    return folder
