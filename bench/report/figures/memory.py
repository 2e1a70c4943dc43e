"""Figure 5 of the paper: what a trained memory holds, beside the head entities that read it.

This is the one figure that takes more than records: the selected model of a run and the documents it was tested on. A
model has it if it has a hyperparameter `memory`, and a module with a parameter `memory_tokens` [m, e] that is called
with the tokens of pairs, [P, 2, e], the head first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.systems import Condition, System
from bench.errors import BenchError
from bench.inference.trust import INSTALLED_ONLY, Trust
from bench.report.figures.collect import Drawn
from bench.report.figures.files import Drawing
from bench.report.figures.projection import DOCUMENTS, Projection, keep_projection, kept_projection
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder

A_BIAS = 1e-4
"""Of what pairs read, the share of the mean square between pairs below which they are said to read the same."""
MOST = 3
"""Runs that are drawn; the first seed of each."""


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
            projection = kept_projection(plan.key) or _read(out, plan, trust)
        except BenchError as error:
            problems.append(f"The memory of {plan.folder} is not drawn: {error}.")
            continue
        if projection is not None:
            drawn.append(_drawn(system, plan, projection))
    return drawn, problems


def _read(out: Path, plan: RunPlan, trust: Trust) -> Projection | None:
    if not RunFolder.of(out, plan).path.is_dir():
        return None  # a run of an archive, which has no weights
    from bench.report.figures.trained_memory import project  # seconds of imports, which a kept one does not take

    projection = project(out, plan, trust)
    if projection is not None:
        keep_projection(plan.key, projection)
    return projection


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
        f"components of both (Figure 5 of the paper). {_spread(projection.spread)}{_between(projection.between)}",
        f"{len(projection.tokens)} memory tokens, {len(projection.heads)} head entities",
        Drawing("memory", (projection.heads, projection.tokens, tuple(projection.explained.tolist()))),
    )  # fmt: skip


def _spread(share: float) -> str:
    if math.isnan(share):
        return "All head tokens are the same."
    return f"The variance among memory tokens is {share:.1%} of that among head tokens, over all dimensions."


def _between(share: float) -> str:
    """What is said of how much pairs read alike."""
    if math.isnan(share):
        return ""
    if share < A_BIAS:
        return f" All pairs read the same: less than {A_BIAS:.2%} of its mean square differs; the memory is a bias."
    return f" Of what pairs read, {100 * share:.3g}% of the mean square differs from pair to pair."
