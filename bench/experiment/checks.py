"""Changes that have nothing to change are errors, wherever the user wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import UsageError, unknown
from bench.experiment.losses import Changeable, names_of
from bench.experiment.overrides import KEY_FORM, SOURCES, flattened, parse_key, trainable
from bench.interface import SETTINGS
from bench.registry import LossEntry
from bench.runs.settings import parts_of


def check_changes(
    place: str, level: Mapping[str, Any], models: Sequence[Changeable], losses: Mapping[str, LossEntry] | None = None
) -> None:
    """Raise UsageError for a change that none of these models, or not the one it is for, has a use for.

    place: what stands before the key where the user wrote it, `--set ` for one.   losses: those that a change may be
    limited to, by name, besides those that the models are trained with.
    """
    of_models = {loss.name: loss for model in models for loss in model.losses}
    for text in flattened(level):
        try:
            _check_change(text, models, of_models | dict(losses or {}))
        except UsageError as error:
            raise UsageError(f"{place}{text}: {error}") from error


def _check_change(text: str, models: Sequence[Changeable], losses: Mapping[str, LossEntry]) -> None:
    key = parse_key(text)
    names = {model.entry.name for model in models}
    if key.model is not None and key.model not in {*names, *losses}:
        raise unknown("scope", key.model, {*names, *losses, *SETTINGS, *SOURCES}, f"Expected {KEY_FORM}")
    if key.model is not None and key.model in losses and key.model not in names:
        known = names_of(losses[key.model]).union(*(trainable(model.entry) for model in models))
        if key.name not in known:
            raise unknown(f"hyperparameter of the loss {key.model}", key.name, known)
        return
    meant = [model for model in models if key.model in (None, model.entry.name)]
    known = {name for model in meant for name in model.names(limited=key.model is not None)}
    if key.name not in known:
        of = ", ".join(dict.fromkeys(_named(model) for model in meant))
        raise unknown(f"hyperparameter of {of}", key.name, known)
    if key.setting and key.data:
        base = parts_of(key.setting).base
        recipes = [model.entry.cls.recipe.stages for model in meant]
        trained_on = {stage.data for stages in recipes for stage in stages.get(base, ())}
        if key.data not in trained_on:
            raise unknown(f"data of the setting {key.setting}", key.data, trained_on)


def _named(model: Changeable) -> str:
    """The model, with its loss where that is not its own in any stage."""
    losses = ", ".join(loss.name for loss in model.losses)
    return model.entry.name if model.own else f"{model.entry.name} with the loss {losses}"
