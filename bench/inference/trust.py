"""Whose code may be run for the models of a results folder.

A results folder is data, which anybody may have written: what its runs name as the code of their models is imported
only where it was installed, or where the user says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.inference.model_code import UnusableModelError
from bench.runs.plan import RunPlan

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
        from bench.registry import is_installed  # here: it takes torch, and pages of kept scores are made without

        own = {entry.cls.__qualname__: entry.reference for entry in self.models}
        stages = tuple(s.model_copy(update={"reference": own.get(s.class_name, s.reference)}) for s in plan.stages)
        inference = plan.inference
        if inference is not None:
            reference = own.get(inference.class_name, inference.reference)
            inference = inference.model_copy(update={"reference": reference})
        plan = plan.model_copy(update={"stages": stages, "inference": inference})
        named = {used.reference: used.class_name for used in (*stages, *([inference] if inference else ()))}
        foreign = [reference for reference in named if reference not in own.values() and not is_installed(reference)]
        if foreign and not self.everything:
            places = ", ".join(f"{reference.rpartition(':')[0]} ({named[reference]})" for reference in foreign)
            raise UntrustedCodeError(
                f"{run / 'run.json'} names code of its own, which was not run: {places}.\n"
                "If you know who wrote it and trust it, run it: --trust-code\n"
                f"If you have the model yourself, say where: --models my_model.py:{named[foreign[0]]}"
            )
        return plan


INSTALLED_ONLY = Trust()
"""No code but that of installed packages."""
