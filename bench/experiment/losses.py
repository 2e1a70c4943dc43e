"""The losses that are asked for in place of a model's own: `atlop:loss=atgl`, or `loss=atgl` for every model.

A model may have a hyperparameter `loss` itself (`ttmre:loss=pu`); a value that this takes is the model's, and no other
loss. What the loss is told stands beside it (`atlop:loss=atgl:alpha=20`), or for all models at once under the name of
the loss (`atgl.alpha=20`). A change that names the model, `ttmre.margin=1`, is of the model's own loss if that has a
setting of this name, and of no other: what a preset tells a model of its loss is told to no other loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from bench.errors import UsageError, unknown
from bench.experiment.overrides import CHANGE, parse_changes, parsed, trainable
from bench.experiment.values import checked
from bench.interface import LossHyperparameters
from bench.registry import LossEntry, ModelEntry, find, find_loss

LOSS = "loss"
"""The name under which a loss is asked for."""


@dataclass(frozen=True)
class ResolvedLoss:
    """A loss with every value decided."""

    entry: LossEntry
    hyperparameters: LossHyperparameters


@dataclass(frozen=True)
class Changeable:
    """What can be changed of a model with the losses that are asked for.

    losses: those of some of its stages.   own: whether some stages are trained with the model's own loss.
    """

    entry: ModelEntry
    losses: tuple[LossEntry, ...] = ()
    own: bool = True

    def names(self, limited: bool = False) -> set[str]:
        """Of what can be changed of its stages; those of its own loss only where that is used.

        limited: by changes that name the model. What its own loss also has, they mean of that.
        """
        of_model = set(self.entry.cls.Hyperparameters.model_fields)
        own_loss = loss_settings(self.entry) or frozenset()
        of_losses = set[str]().union(*(names_of(loss) for loss in self.losses))
        if not self.own:
            of_model -= own_loss
        return {LOSS, *trainable(self.entry), *of_model, *(of_losses - own_loss if limited else of_losses)}


def changeable(entry: ModelEntry, levels: Iterable[Mapping[str, Any]]) -> Changeable:
    """What can be changed of a model with the losses that these levels of changes ask for. Raises UsageError."""
    asked = [
        (key, loss)
        for level in levels
        for key, value in parsed(level)
        if key.name == LOSS and key.model in (None, entry.name, entry.cls.trains_as)
        if (loss := loss_of(entry, value)) is not None
    ]
    everywhere = any(key.setting is None and key.data is None for key, _ in asked)
    return Changeable(entry, tuple({loss.name: loss for _, loss in asked}.values()), own=not everywhere)


def loss_of(entry: ModelEntry, value: Any) -> LossEntry | None:
    """The loss that a value of `loss` asks for in place of a model's own; None where it is a value of the model's own.

    Raises UsageError where there is no such loss.
    """
    if value is None or _is_own(entry, value):
        return None
    if not isinstance(value, str):
        raise UsageError(f"{entry.name}: loss = {value!r}: expected the name of a loss (`bench losses` lists them)")
    return find_loss(value)


def check_fits(entry: ModelEntry, loss: LossEntry, hyperparameters: Any) -> None:
    """Raise UsageError, with the reason, where a model cannot be trained with a loss."""
    cls = entry.cls
    settings = loss_settings(entry)
    if settings is None:
        raise UsageError(f"{entry.name} cannot be trained with the loss {loss.name}: {_why_own_alone(entry)}")
    taken = sorted(names_of(loss) & (set(cls.Hyperparameters.model_fields) - settings))
    if taken:
        raise UsageError(f"{entry.name} and the loss {loss.name} both have a hyperparameter {', '.join(taken)}")
    if hyperparameters.contrastive and getattr(cls, "bilinear_head", None) is None:
        raise UsageError(
            f"{entry.name} cannot be trained with the contrastive term of the loss {loss.name}: it does not say "
            "(`bilinear_head`) which grouped bilinear product its logits are. Without that term: contrastive=0"
        )


def resolved_loss(entry: ModelEntry, loss: LossEntry, values: Mapping[str, Any], where: str) -> ResolvedLoss:
    """A loss with the values that were given, for a model. Raises UsageError for what cannot be."""
    told = ResolvedLoss(loss, checked(loss.cls.Hyperparameters, values, f"{where}, loss {loss.name}"))
    check_fits(entry, loss, told.hyperparameters)
    return told


def model_and_loss(name: str) -> tuple[ModelEntry, ResolvedLoss | None]:
    """The model of `atlop:loss=sat`, and the loss with its settings; None for the model's own. Raises UsageError."""
    place, changes = _place_and_changes(name)
    entry = find(place)
    loss = loss_of(entry, changes.pop(LOSS, None))
    if loss is None:
        if changes:
            raise UsageError(f"{name}: a model is checked with its defaults; only another loss can be asked for")
        return entry, None
    return entry, resolved_loss(entry, loss, _known(loss, changes), entry.name)


def named_loss(name: str) -> tuple[LossEntry, LossHyperparameters]:
    """The loss of `atgl:alpha=16.5`, and its settings. Raises UsageError."""
    place, changes = _place_and_changes(name)
    loss = find_loss(place)
    return loss, checked(loss.cls.Hyperparameters, _known(loss, changes), f"loss {loss.name}")


def _known(loss: LossEntry, changes: dict[str, Any]) -> dict[str, Any]:
    for key in changes:
        if key not in names_of(loss):
            raise unknown(f"hyperparameter of the loss {loss.name}", key, names_of(loss))
    return changes


def _place_and_changes(name: str) -> tuple[str, dict[str, Any]]:
    parts = with_places_of_losses(name.split(":"))
    changes = [part for part in parts if CHANGE.match(part)]
    return ":".join(part for part in parts if part not in changes), parse_changes(changes)


def with_places_of_losses(parts: Sequence[str]) -> list[str]:
    """`loss=./my_loss.py` and the class after it are one change."""
    joined: list[str] = []
    for part in parts:
        previous = joined[-1] if joined else ""
        if previous.startswith(f"{LOSS}=") and ":" not in previous and not CHANGE.match(part):
            joined[-1] = f"{previous}:{part}"
        else:
            joined.append(part)
    return joined


def loss_settings(entry: ModelEntry) -> frozenset[str] | None:
    """The hyperparameters that the model's own loss and decoding alone use; None where it takes no other."""
    return getattr(entry.cls, "loss_settings", None)


def names_of(loss: LossEntry) -> set[str]:
    """The names of a loss's hyperparameters."""
    return set(loss.cls.Hyperparameters.model_fields)


def shown_loss(value: Any) -> Any:
    """A value of `loss` as tables show it: of one in a file the class alone."""
    return value.rpartition(":")[2] if isinstance(value, str) else value


def check_columns(where: str, columns: Sequence[int]) -> None:
    """Raise UsageError where the stages of a run differ in threshold columns: none could go on from another."""
    if len(set(columns)) > 1:
        raise UsageError(
            f"{where}: the losses of its stages have {', '.join(map(str, columns))} threshold columns, and a stage "
            "cannot go on from weights, nor learn from logits, of another number. The same loss in all: loss=NAME"
        )


def _is_own(entry: ModelEntry, value: Any) -> bool:
    schema = entry.cls.Hyperparameters
    if LOSS not in schema.model_fields:
        return False
    if loss_settings(entry) is None:
        return True
    try:
        schema(**{LOSS: value})
    except ValidationError as error:
        return all(problem["loc"][:1] != (LOSS,) for problem in error.errors())
    return True


def _why_own_alone(entry: ModelEntry) -> str:
    if entry.cls.reads == "documents":
        return "it is a model without gradients, which no loss trains"
    return "its logits are not compared with a threshold class, or it does not say so (`loss_settings`)"
