"""Ablations among the records: runs that differ in one number alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.analysis.systems import System
from bench.filesystem import digest
from bench.runs.keys import stage_content
from bench.runs.plan import RunPlan

FEWEST = 3
"""Values that make an ablation; two runs that differ in a number are a comparison."""


@dataclass(frozen=True)
class Ablation:
    """Systems that differ in one hyperparameter, by its value. key: of what they have in common."""

    dataset: str
    setting: str
    encoder: str
    model: str
    hyperparameter: str
    points: tuple[tuple[float, System], ...]
    key: str
    fixed: str

    @property
    def name(self) -> str:
        """What its table and figure are called among files and in the page."""
        return f"ablation-{self.model}-{self.hyperparameter}-{self.dataset}-{self.encoder}-{self.setting}"


def ablations(systems: Sequence[System]) -> Iterator[Ablation]:
    """Every hyperparameter, of the model or of its training, that was varied while everything else was kept."""
    groups: dict[tuple[str, str, str, str], list[System]] = defaultdict(list)
    for system in systems:
        plan = system.plan
        groups[plan.dataset, plan.setting, plan.encoder, plan.model].append(system)
    for group in groups.values():
        names = {name for system in group for name in _numbers(system.plan)}
        for name in sorted(names):
            if len({_numbers(system.plan).get(name) for system in group}) >= FEWEST:
                yield from _of(name, group)


def _of(name: str, group: Sequence[System]) -> Iterator[Ablation]:
    by_rest: dict[str, dict[float, System]] = defaultdict(dict)
    for system in group:
        value = _numbers(system.plan).get(name)
        if value is not None:
            by_rest[_without(system.plan, name)].setdefault(value, system)
    for rest, points in by_rest.items():
        if len(points) >= FEWEST:
            plan = group[0].plan
            first = points[min(points)].plan
            changes = (part for part in first.variant.split(",") if part and part.partition("=")[0] != name)
            cell = plan.dataset, plan.setting, plan.encoder, plan.model
            yield Ablation(*cell, name, tuple(sorted(points.items())), rest[:6], ", ".join(changes))


def _numbers(plan: RunPlan) -> dict[str, float]:
    """The numbers that decide the last stage, by name."""
    stage = plan.last
    if stage is None:
        return {}
    of_loss = stage.loss.hyperparameters if stage.loss else {}
    declared = {**stage.training.model_dump(), **stage.hyperparameters, **of_loss}
    return {
        name: value
        for name, value in declared.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _without(plan: RunPlan, name: str) -> str:
    """What decides a run's numbers besides one hyperparameter and the seed."""
    stages = []
    for stage in plan.stages:
        content = stage_content(stage.model_dump(mode="json"), {"seed", "after", "teacher", "reference"})
        for part in ("training", "hyperparameters"):
            content[part] = {key: value for key, value in content[part].items() if key != name}
        if loss := content.get("loss"):
            told = {key: value for key, value in loss["hyperparameters"].items() if key != name}
            content["loss"] = loss | {"hyperparameters": told}
        stages.append(content)
    return digest([plan.metric, stages, plan.dev_checksum, plan.test_checksum, plan.facts_checksum])
