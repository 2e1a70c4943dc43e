"""Whose code may be run for the models of a results folder.

A results folder is data, which anybody may have written: what its runs name as the code of their models is imported
only where it was installed, or where the user says so. What the user has said once (the file of a model, the shell
commands of a profile) is kept in BENCH_HOME, so that it need not be said again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.filesystem import home, read_sealed, write_sealed
from bench.inference.model_code import UnusableModelError
from bench.registry import is_installed
from bench.runs.plan import RunPlan, StagePlan

if TYPE_CHECKING:
    from bench.registry import ModelEntry


class UntrustedCodeError(UnusableModelError):
    """A run's model is code that nobody has said may be run; nothing of it was."""

    exit_status = 2


@dataclass(frozen=True)
class Trust:
    """What the user has said of it.

    everything: whatever a run names may be run.   models: the user's own, each of which is taken for a class of its
    name, wherever a run says that class is.
    """

    everything: bool = False
    models: tuple[ModelEntry, ...] = ()

    def trusted(self, plan: RunPlan, run: Path) -> RunPlan:
        """The plan of the folder `run` with the user's own models in their places. Imports nothing.

        Raises `UntrustedCodeError` where any other code would be run that was not installed.
        """
        own = {entry.cls.__qualname__: entry.reference for entry in self.models}
        stages = tuple(_with_own(stage, own) for stage in plan.stages)
        inference = plan.inference
        if inference is not None:
            reference = own.get(inference.class_name, inference.reference)
            inference = inference.model_copy(update={"reference": reference})
        plan = plan.model_copy(update={"stages": stages, "inference": inference})
        losses = [stage.loss for stage in stages if stage.loss is not None]
        named = {used.reference: used.class_name for used in (*stages, *losses, *([inference] if inference else ()))}
        known = {*own.values(), *remembered().models}
        foreign = [reference for reference in named if reference not in known and not is_installed(reference)]
        if foreign and not self.everything:
            places = ", ".join(f"{reference.rpartition(':')[0]} ({named[reference]})" for reference in foreign)
            models = [reference for reference in foreign if reference not in {loss.reference for loss in losses}]
            yours = (
                f"\nIf you have the model yourself, say where: --models my_model.py:{named[models[0]]}"
                if models
                else ""
            )
            raise UntrustedCodeError(
                f"{run / 'run.json'} names code of its own, which was not run: {places}.\n"
                f"If you know who wrote it and trust it, run it: --trust-code{yours}"
            )
        return plan


def _with_own(stage: StagePlan, own: Mapping[str, str]) -> StagePlan:
    """A stage with the user's own classes in their places. own: references by the names of classes."""
    loss = stage.loss
    if loss is not None:
        loss = loss.model_copy(update={"reference": own.get(loss.class_name, loss.reference)})
    return stage.model_copy(update={"reference": own.get(stage.class_name, stage.reference), "loss": loss})


INSTALLED_ONLY = Trust()
"""No code but that of installed packages, and what is remembered."""


@dataclass(frozen=True)
class Remembered:
    """What the user of this BENCH_HOME has had run. models: references to files.   commands: lines of shell."""

    models: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()


def remembered() -> Remembered:
    """What `remember` was told."""
    kept = read_sealed(_remembered_path(), "trusted") or {}
    return Remembered(frozenset(kept.get("models", ())), frozenset(kept.get("commands", ())))


def remember(models: Iterable[str], commands: Iterable[str]) -> None:
    """Keep what the user has named, or has trusted: references to models, and the shell commands of profiles.

    Of the references those to files: what a module is called may be another package tomorrow.
    """
    before = remembered()
    files = {reference for reference in models if reference.rpartition(":")[0].endswith(".py")}
    now = Remembered(before.models | files, before.commands | set(commands))
    if now != before:
        # Where BENCH_HOME cannot be written, it is asked for again.
        with suppress(OSError):
            kept = {name: sorted(values) for name, values in vars(now).items()}
            write_sealed(_remembered_path(), "trusted", kept)


def _remembered_path() -> Path:
    return home() / "trusted.json"
