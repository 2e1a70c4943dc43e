"""What `bench models` shows of a registered model, kept once it was read: to read it takes the import of torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench.filesystem import digest, home, read_sealed, write_sealed

if TYPE_CHECKING:
    from bench.registry import ModelEntry


@dataclass(frozen=True)
class ModelCard:
    """A model in words. hyperparameters, training: (name, default, what it is).   stages: of each setting, in words.

    losses: whether it can be trained with another loss than its own.
    """

    name: str
    description: str
    hyperparameters: list[list[str]]
    training: list[list[str]]
    stages: dict[str, list[str]]
    losses: bool


def in_words(cls: type) -> str:
    """What a model's or loss's docstring says to whoever trains it: without shapes, which are for its reader."""
    import inspect

    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    return "\n\n".join(paragraph for paragraph in paragraphs if not paragraph.startswith("Shapes:"))


def card_of(entry: ModelEntry) -> ModelCard:
    """The card of a model that has been imported."""
    from bench.experiment.losses import loss_settings
    from bench.experiment.overrides import trainable
    from bench.interface import Training

    def fields(schema: Any) -> list[list[str]]:
        return [[name, str(field.default), field.description or ""] for name, field in schema.model_fields.items()]

    return ModelCard(
        entry.name,
        in_words(entry.cls),
        fields(entry.cls.Hyperparameters),
        [field for field in fields(Training) if field[0] in trainable(entry)],
        {setting: list(map(_stage, stages)) for setting, stages in entry.cls.recipe.stages.items()},
        loss_settings(entry) is not None,
    )


def _stage(stage: Any) -> str:
    changes = "".join(f", {key}={value}" for key, value in {**stage.training, **stage.hyperparameters}.items())
    return f"on {stage.data}{changes}" + (f", frozen: {', '.join(stage.freeze)}" if stage.freeze else "")


def registered_cards(entries: Iterable[EntryPoint]) -> list[ModelCard]:
    """The cards of registered models: imported is only what has not been before, or whose code has changed since.

    Raises `UsageError` where a model cannot be imported.
    """
    packages = {entry: entry.module.partition(".")[0] for entry in entries}
    code = {package: _state_of(package) for package in {*packages.values(), bench.__name__}}
    return [_card(entry, [code[package], code[bench.__name__]]) for entry, package in packages.items()]


def _card(entry: EntryPoint, code: Sequence[object]) -> ModelCard:
    path = home() / "cards" / f"{digest([entry.name, entry.value, *code])}.json"
    if (kept := read_sealed(path, "card")) is not None:
        return ModelCard(**kept)
    from bench.registry import find

    card = card_of(find(entry.name))
    # A folder that cannot be written costs the import every time, and is no reason to show nothing.
    with suppress(OSError):
        write_sealed(path, "card", asdict(card))
    return card


def _state_of(package: str) -> list[list[str | int]]:
    """The source files of a top-level package or module, as they lie there: path, size and time of change."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(map(Path, spec.submodule_search_locations or []))
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    if spec is not None and spec.origin and not folders:
        files = [Path(spec.origin)]
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
