"""Figure 5 of the paper: what a trained memory holds, beside the head entities that read it.

This is the one figure that takes more than records: the selected model of a run and the documents it was tested on. A
model has it if it has a hyperparameter `memory`, and a module with a parameter `memory_tokens` [m, e] that is called
with the tokens of pairs, [P, 2, e], the head first.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from bench.analysis.stats import Array
from bench.analysis.systems import Condition, System
from bench.data.catalog.dataset import open_dataset
from bench.errors import BenchError
from bench.filesystem import home, write_atomically
from bench.inference.load import predictor_of
from bench.inference.model_code import model_code
from bench.inference.trust import INSTALLED_ONLY, Trust
from bench.report.figures import draw
from bench.report.figures.collect import Drawn
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan

DOCUMENTS = 20
HEADS = 2_000
"""Head tokens that are drawn at most, a random sample of those of all pairs."""
MOST = 3
"""Runs that are drawn; the first seed of each."""


@dataclass(frozen=True)
class Projection:
    """heads: [h, 2], tokens: [m, 2], explained: [2], the share of the variance of both along each component.

    spread: the variance among the tokens as a share of that among the heads, over all dimensions, not only these two.
    """

    heads: Array
    tokens: Array
    explained: Array
    spread: float


def memory_figures(
    out: Path, systems: Sequence[System], trust: Trust = INSTALLED_ONLY
) -> tuple[list[Drawn], list[str]]:
    """Figures of runs with a memory whose models are here, and why those of others are not drawn.

    trust: whose code the models may be.
    """
    drawn: list[Drawn] = []
    problems: list[str] = []
    # Of the setting that the paper draws, if there is one.
    for system in sorted(systems, key=lambda system: system.plan.setting != "human+distant"):
        plan = _of_first_seed(system)
        if plan is None or len(drawn) == MOST:
            continue
        try:
            projection = project(out, plan, trust)
        except BenchError as error:
            problems.append(f"The memory of {plan.folder} is not drawn: {error}.")
            continue
        if projection is not None:
            drawn.append(_drawn(system, plan, projection))
    return drawn, problems


def _of_first_seed(system: System) -> RunPlan | None:
    """The first finished run of a model that says it has a memory."""
    finished = {record.seed for record in system.cell.records}
    last = system.plan.last
    with_memory = last is not None and "memory" in last.hyperparameters
    return next((plan for plan in system.cell.plans if plan.seed in finished), None) if with_memory else None


def _drawn(system: System, plan: RunPlan, projection: Projection) -> Drawn:
    condition = Condition.of(plan)
    return Drawn(
        "memory", f"memory-{plan.folder}", f"Memory of {system.name}, seed {plan.seed}: {condition.heading}",
        f"Memory tokens and the head tokens of pairs of {DOCUMENTS} test documents, on the first two principal "
        "components of both (Figure 5 of the paper). The variance among memory tokens is "
        f"{projection.spread:.1%} of that among head tokens, over all dimensions.",
        f"{len(projection.tokens)} memory tokens, {len(projection.heads)} head entities",
        partial(draw.memory, projection.heads, projection.tokens, list(projection.explained)),
    )  # fmt: skip


def project(out: Path, plan: RunPlan, trust: Trust = INSTALLED_ONLY) -> Projection | None:
    """The memory of a run's model; None where it has none. Kept under BENCH_HOME, by the run's key.

    trust: whose code the model may be. Raises BenchError where the model is damaged or gone, or of code that may not be
    run, or the documents are not here.
    """
    path = home() / "memory-figures" / f"v1-{plan.key}-{DOCUMENTS}-{HEADS}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as stored:
                return Projection(stored["heads"], stored["tokens"], stored["explained"], float(stored["spread"]))
        except (OSError, EOFError, ValueError, KeyError, BadZipFile):
            pass  # damaged: made again
    reader = predictor_of(out, plan, Interrupt(), trust).reader
    memory = _memory_of(reader.system.model)
    if memory is None:
        return None
    module, tokens = memory
    dataset = open_dataset(plan.dataset)
    if dataset.checksum("test") != plan.test_checksum:
        raise BenchError(f"the test documents of {plan.dataset} here are not those of the run")
    seen: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][:, 0].float().cpu()))
    with torch.no_grad(), model_code("its model failed on the test documents"):
        for _ in reader.score(dataset.documents("test")[:DOCUMENTS]):
            pass
    hook.remove()
    if not seen:
        return None
    projection = principal(torch.cat(seen).numpy(), tokens.detach().float().cpu().numpy())
    with suppress(OSError):  # where BENCH_HOME cannot be written, it is made again next time
        _keep(path, projection)
    return projection


def _memory_of(model: nn.Module) -> tuple[nn.Module, Tensor] | None:
    for module in model.modules():
        tokens = getattr(module, "memory_tokens", None)
        if isinstance(tokens, Tensor) and tokens.dim() == 2:
            return module, tokens
    return None


def principal(heads: Array, tokens: Array) -> Projection:
    """The two components along which heads [h, e] and tokens [m, e] together vary most."""
    chosen = np.random.default_rng(0).permutation(len(heads))[:HEADS]
    both = np.concatenate([heads[np.sort(chosen)], tokens]).astype(float)
    centred = both - both.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is arbitrary: its largest part is made positive, so that a figure drawn again is the same.
    directions = directions[:2] * np.sign(directions[np.arange(2), np.abs(directions[:2]).argmax(axis=1)])[:, None]
    placed = centred @ directions.T
    share = spread**2 / np.sum(spread**2)
    of_tokens, of_heads = (float(points.var(axis=0).sum()) for points in (tokens, heads))
    return Projection(placed[: -len(tokens)], placed[-len(tokens) :], share[:2], of_tokens / of_heads)


def _keep(path: Path, projection: Projection) -> None:
    file = io.BytesIO()
    np.savez(
        file, heads=projection.heads, tokens=projection.tokens, explained=projection.explained, spread=projection.spread
    )
    write_atomically(path, file.getvalue())
