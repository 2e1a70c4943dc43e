"""Whether what a run was planned with is still the code that is here."""

from __future__ import annotations

from bench.registry import code_version, find, find_loss, loss_version
from bench.runs.plan import RunPlan, StagePlan


def changed_code(stage: StagePlan) -> list[str]:
    """What of the code of a stage is not what it was: its model, its loss, by name.

    Raises UsageError where one of them is not here any more.
    """
    changed = []
    if code_version(find(stage.reference).cls) != stage.code:
        changed.append(stage.model)
    if stage.loss is not None and loss_version(find_loss(stage.loss.reference).cls) != stage.loss.code:
        changed.append(f"the loss {stage.loss.name}")
    return changed


def changed_inference(plan: RunPlan) -> list[str]:
    """The inference of a run, by the name of its model, where its code is not what it was; else nothing.

    Raises UsageError where its model is not here any more.
    """
    if plan.inference is None:
        return []
    inference = find(plan.inference.reference).cls.inference
    if inference is not None and code_version(inference) == plan.inference.code:
        return []
    return [f"the inference of {plan.model}"]
