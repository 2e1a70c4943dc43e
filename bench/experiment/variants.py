"""Models as the user names them, with what is changed of each: `ttmre:loss=pu`, `ttmre:layers=1..4:memory=10,50`."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.errors import UsageError
from bench.experiment.losses import (
    LOSS,
    ResolvedLoss,
    changeable,
    check_columns,
    loss_of,
    loss_settings,
    names_of,
    resolved_loss,
    shown_loss,
    with_places_of_losses,
)
from bench.experiment.overrides import CHANGE, Scope, applicable, parse_changes, trainable
from bench.experiment.values import SHOWN, checked
from bench.interface import Stage, Training
from bench.registry import LossEntry, ModelEntry, find
from bench.runs.settings import THINNED, RunSetting, parts_of

MOST_VARIANTS = 1000
_NUMBER = re.compile(r"[+-]?\d[^:]*")
_SPAN = re.compile(r"([+-]?\d+)(?:\.\.([+-]?\d+))?")


@dataclass(frozen=True)
class Variant:
    """A model with changed hyperparameters: `ttmre:layers=2`."""

    entry: ModelEntry
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ":".join([self.entry.name, *(f"{key}={plain(value)}" for key, value in self.changes.items())])


def split_models(text: str) -> list[str]:
    """The names in a comma-separated list: in `ttmre:memory=10,50,ssrpu` they are `ttmre:memory=10,50` and `ssrpu`."""
    names: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if names and _NUMBER.fullmatch(part.partition(":")[0]) and CHANGE.match(names[-1].rpartition(":")[2]):
            names[-1] += f",{part}"
        elif part:
            names.append(part)
    return names


def variants_of(name: str) -> list[Variant]:
    """What a name means: one variant, or one for each value of its ranges. Raises UsageError."""
    parts = name.split(":")
    if not all(part.strip() for part in parts):
        raise UsageError(
            f"model {name!r}: nothing stands {'after' if parts[0].strip() else 'before'} a colon; expected a change "
            "(ttmre:layers=2), or a file and a class (./my_model.py:MyModel)"
        )
    parts = with_places_of_losses(parts)
    changes = [part for part in parts if CHANGE.match(part)]
    entry = find(":".join(part for part in parts if part not in changes))
    choices = [[f"{key}={value}" for value in _values(change)] for change in changes for key in [change.split("=")[0]]]
    if math.prod(map(len, choices)) > MOST_VARIANTS:
        raise UsageError(f"{name}: more than {MOST_VARIANTS:,} variants")
    return [Variant(entry, parse_changes(chosen)) for chosen in itertools.product(*choices)]


def _values(change: str) -> list[str]:
    """`layers=1..4` as 1, 2, 3, 4; `memory=10,50` as both; anything that is no range as the one value it is."""
    value = change.partition("=")[2].strip()
    if not (_NUMBER.match(value) and ("," in value or ".." in value)):
        return [value]
    numbers: list[int] = []
    for part in value.split(","):
        span = _SPAN.fullmatch(part.strip())
        if span is None:
            raise UsageError(
                f"{change}: {part.strip()!r} is no integer and no range of them; expected a range (layers=1..4) or "
                "a list (memory=10,50). Other values: a variant each, ttmre:margin=0.25,ttmre:margin=1"
            )
        first, last = _integer(span[1], change), _integer(span[2] or span[1], change)
        if last < first:
            raise UsageError(
                f"{change}: {part.strip()} has nothing in it; from the smaller to the larger: {last}..{first}"
            )
        if last - first >= MOST_VARIANTS:
            raise UsageError(f"{change}: more than {MOST_VARIANTS:,} variants")
        numbers += range(first, last + 1)
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"{change}: a value is there twice")
    return [str(number) for number in numbers]


def _integer(text: str, change: str) -> int:
    try:
        return int(text)
    except ValueError as error:  # thousands of digits
        raise UsageError(f"{change[:SHOWN]}...: a number of {len(text):,} digits") from error


@dataclass(frozen=True)
class ResolvedStage:
    """A stage with every value decided. loss: the one it is trained with, where that is not the model's own."""

    stage: Stage
    training: Training
    hyperparameters: dict[str, Any]
    loss: ResolvedLoss | None = None


def resolve_stages(
    variant: Variant, setting: RunSetting, overrides: Sequence[Mapping[str, Any]]
) -> list[ResolvedStage]:
    """The stages of a model in a setting, with the overrides in force. Raises UsageError for a value that can't be.

    overrides: levels of changes (`bench.experiment.overrides`); a later level wins over an earlier one whatever they
    are limited to, within a level the more limited key wins, and the variant's own changes win over all.
    """
    entry = variant.entry
    if reason := why_not(variant, setting):
        raise UsageError(reason)
    levels = (*overrides, variant.changes)
    stages = zip(entry.cls.recipe.stages[parts_of(setting).base], _scopes(variant, setting), strict=True)
    resolved = [_resolved(entry, stage, levels, scope) for stage, scope in stages]
    columns = [r.loss.entry.cls.threshold_columns(r.loss.hyperparameters) if r.loss else 1 for r in resolved]
    check_columns(f"{variant}, {setting}", columns)
    return resolved


def _resolved(entry: ModelEntry, stage: Stage, levels: Sequence[Mapping[str, Any]], scope: Scope) -> ResolvedStage:
    of_entry = scope.models
    loss, scope = _loss_and_scope(entry, stage, levels, scope)
    trained, schema = trainable(entry), entry.cls.Hyperparameters
    declared = set(schema.model_fields) - trained
    unused: frozenset[str] = frozenset()
    of_recipe = dict(stage.hyperparameters)
    if loss is not None:  # what is said to the model's own loss is said to no other
        unused = loss_settings(entry) or frozenset()
        of_recipe = {name: value for name, value in of_recipe.items() if name not in unused}
    values = dict(stage.training) | of_recipe
    for level in levels:
        for key, value in applicable(level, scope):
            if not (key.model in of_entry and key.name in unused):
                values[key.name] = value

    def of(names: set[str]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if name in names}

    where = f"{entry.name}, stage {stage.data}"
    told: ResolvedLoss | None = None
    if loss is not None:
        told = resolved_loss(entry, loss, of(names_of(loss)), where)
    training = checked(Training, of(trained), where)
    hyperparameters = checked(schema, of(declared - unused), where).model_dump(exclude=set(unused))
    return ResolvedStage(stage, training, hyperparameters, told)


def _loss_and_scope(
    entry: ModelEntry, stage: Stage, levels: Sequence[Mapping[str, Any]], scope: Scope
) -> tuple[LossEntry | None, Scope]:
    """The loss of a stage where it is not the model's own, and the scope that then has the name of the loss in it."""
    value = stage.hyperparameters.get(LOSS)
    for level in levels:
        value = next((v for key, v in reversed(applicable(level, scope)) if key.name == LOSS), value)
    loss = loss_of(entry, value)
    return loss, scope if loss is None else replace(scope, models=(*scope.models, loss.name))


def why_not(variant: Variant, setting: RunSetting) -> str | None:
    """Why a model has no such setting; None where it has."""
    recipe, name, base = variant.entry.cls.recipe, variant.entry.name, parts_of(setting).base
    if recipe.stages.get(base):
        return None
    return f"{name} has no setting {setting}: {recipe.not_applicable.get(base, 'its recipe has no stages for it')}"


def _scopes(variant: Variant, setting: RunSetting) -> list[Scope]:
    """What the changes of each stage can be limited to.

    A teacher is the model of the setting that trains on its data alone, in whichever setting it teaches: changes for
    `human+distant` are for its student, and the teacher is trained once for both settings.
    """
    of_ext = parts_of(setting).alone
    cls = variant.entry.cls
    models = (cls.trains_as, variant.entry.name) if cls.trains_as else (variant.entry.name,)
    stages = cls.recipe.stages[parts_of(setting).base]
    teaches = [*(stage.signal is not None for stage in stages[1:]), False]
    alone = [of_ext if stage.data == THINNED else stage.data for stage in stages]
    return [
        Scope(models, on_its_own if teacher else setting, stage.data)
        for stage, on_its_own, teacher in zip(stages, alone, teaches, strict=True)
    ]


def variant_name(variant: Variant, setting: RunSetting, levels: Sequence[Mapping[str, Any]]) -> str:
    """What the user changed of a model in a setting, as the tables show it: `distant.epochs=5,layers=2`.

    levels: the user's; what a preset says is no change. What is changed for other settings is none either. What is
    changed for a share of the labels alone says so (`ext@10%.prior_multiple=10`): at other shares it is another value.
    """
    entry = variant.entry
    own = changeable(entry, (*levels, variant.changes)).names()
    changed: dict[str, Any] = {}
    for stage, limits in zip(entry.cls.recipe.stages[parts_of(setting).base], _scopes(variant, setting), strict=True):
        _, scope = _loss_and_scope(entry, stage, (*levels, variant.changes), limits)
        for level in (*levels, variant.changes):
            for key, value in applicable(level, scope):
                if key.name in own:
                    name = f"{key.data}.{key.name}" if key.data else key.name
                    if "@" in (key.setting or ""):
                        name = f"{key.setting}.{name}"
                    changed[name] = shown_loss(value) if key.name == LOSS else value
    return ",".join(f"{name}={plain(value)}" for name, value in sorted(changed.items()))


def plain(value: Any) -> str:
    """A value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)
