"""The finished runs of one model, as the programs read them that hold runs of it against each other."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from bench.analysis.aggregate import existing_cells
from bench.analysis.metrics import METRICS
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord


def arguments(description: str | None) -> argparse.Namespace:
    """What was typed: `model`, `setting`, `metric` and `out`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--setting", default="human")
    parser.add_argument("--metric", choices=METRICS, default="f1")
    parser.add_argument("--out", type=Path, default=Path("results"))
    return parser.parse_args()


def finished_runs(out: Path, model: str, setting: str) -> Iterator[tuple[RunPlan, RunRecord]]:
    """Every finished run of the model, whatever was changed of it. Raises UsageError where there are no runs at all."""
    for cell in existing_cells(out):
        plans = {plan.seed: plan for plan in cell.plans if (plan.model, plan.setting) == (model, setting)}
        yield from ((plans[record.seed], record) for record in cell.records if record.seed in plans)


def in_common(plan: RunPlan) -> str:
    """What a run has in common with those that differ from it in the seed alone, in words."""
    return f"{plan.dataset}, {plan.setting}, {plan.encoder}, {plan.configuration_name}"
