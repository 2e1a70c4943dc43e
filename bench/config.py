"""An experiment as the user states it: command line over configuration file over preset over the model's recipe."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import UsageError, unknown
from bench.interface import SETTINGS, Setting, Source, Stage, Training
from bench.registry import ModelEntry, find

DEFAULT_ENCODER = "roberta-large"
SAMPLE = "sample"
SAMPLE_ENCODER = "tiny"
DEFAULT_SEEDS = "5"
MOST_SEEDS = 1000
_CHANGE = re.compile(r"[A-Za-z_][\w.]*=")


class ConfigFile(BaseModel):
    """What a `--config` file or a preset may hold; every key is optional."""

    model_config = ConfigDict(extra="forbid")

    models: list[str] | None = None
    seeds: int | list[int] | None = None
    dataset: str | None = None
    settings: list[str] | None = None
    encoder: str | None = None
    max_length: int | None = None
    set: dict[str, Any] = {}


@dataclass(frozen=True)
class Variant:
    """A model with changed hyperparameters: `ttmre:layers=2`."""

    entry: ModelEntry
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Everything a plan is made from. `overrides` come in rising order of precedence; the last one is the user's."""

    models: tuple[Variant, ...]
    seeds: tuple[int, ...]
    dataset: str
    settings: tuple[Setting, ...]
    encoder: str
    max_length: int
    overrides: tuple[Mapping[str, Any], ...]


def read_config(path: Path) -> ConfigFile:
    """A TOML file as a `ConfigFile`. Raises UsageError with every problem in it."""
    try:
        return ConfigFile(**tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UsageError(f"no configuration file {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {_problems(error)}") from error


def preset(dataset: str) -> ConfigFile:
    """The settings that come with a data set (`bench/presets/NAME.toml`), empty if none do."""
    resource = files("bench.presets") / f"{dataset}.toml"
    return ConfigFile(**tomllib.loads(resource.read_text(encoding="utf-8"))) if resource.is_file() else ConfigFile()


def make_experiment(
    *,
    models: str | None = None,
    seeds: str | None = None,
    dataset: str | None = None,
    settings: str | None = None,
    encoder: str | None = None,
    max_length: int | None = None,
    changes: Sequence[str] = (),
    config: Path | None = None,
) -> Experiment:
    """Resolve the command line's options, given as the user typed them. Raises UsageError."""
    given = read_config(config) if config else ConfigFile()
    chosen_dataset = dataset or given.dataset or SAMPLE
    base = preset(chosen_dataset)
    names = _split(models) or given.models
    if not names:
        raise UsageError("which models? For example --models ttmre,ssrpu (`bench models` lists them)")
    default_encoder = SAMPLE_ENCODER if chosen_dataset == SAMPLE else DEFAULT_ENCODER
    return Experiment(
        models=tuple(_variant(name) for name in names),
        seeds=_seeds(seeds if seeds is not None else given.seeds if given.seeds is not None else DEFAULT_SEEDS),
        dataset=chosen_dataset,
        settings=_settings(_split(settings) or given.settings or ["human"]),
        encoder=encoder or given.encoder or default_encoder,
        max_length=max_length or given.max_length or base.max_length or 1024,
        overrides=(base.set, given.set, _parse_changes(changes)),
    )


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def _variant(name: str) -> Variant:
    parts = name.split(":")
    changes = [part for part in parts if _CHANGE.match(part)]
    return Variant(find(":".join(part for part in parts if part not in changes)), _parse_changes(changes))


def _seeds(given: str | int | list[int]) -> tuple[int, ...]:
    """`5` is the seeds 0 to 4; `66,67` are those two, and `66,` is that one."""
    try:
        if isinstance(given, list):
            seeds = given
        elif isinstance(given, str) and "," in given:
            seeds = [int(part) for part in _split(given)]
        elif int(given) <= MOST_SEEDS:
            seeds = list(range(int(given)))
        else:
            raise UsageError(f"--seeds {given} is a number of seeds; for the one seed {given}: --seeds {given},")
    except ValueError as error:
        raise UsageError(
            f"--seeds {given}: expected a number of seeds (5), or seeds (66,67,68; one seed: 66,)"
        ) from error
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {given}: expected at least one seed, none negative, none twice")
    return tuple(seeds)


def _settings(names: Sequence[str]) -> tuple[Setting, ...]:
    for name in names:
        if name not in (*SETTINGS, "all"):
            raise unknown("setting", name, [*SETTINGS, "all"])
    return tuple(s for s in SETTINGS if s in names or "all" in names)


def _parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {change}: expected key=value, for example --set epochs=5 or --set ttmre.layers=2")
        parsed[key.strip()] = _value(value.strip())
    return parsed


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def flattened(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables to dotted keys: {"ttmre": {"layers": 2}} and {"ttmre.layers": 2} are the same."""
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@dataclass(frozen=True)
class ResolvedStage:
    """A stage with every value decided."""

    stage: Stage
    training: Training
    hyperparameters: dict[str, Any]


def resolve_stages(variant: Variant, setting: Setting, overrides: Sequence[Mapping[str, Any]]) -> list[ResolvedStage]:
    """The stages of a model in a setting, with the overrides in force. Raises UsageError for a value that can't be.

    A key is `name`, or limited to a model, a source of data or both: `ttmre.layers`, `distant.epochs`,
    `ttmre.distant.epochs`. The more limited one wins, then the later one.
    """
    entry = variant.entry
    stages = entry.cls.recipe.stages.get(setting)
    if not stages:
        raise UsageError(f"{entry.name} has no recipe for the setting {setting!r}")
    resolved = []
    for stage in stages:
        values = dict(stage.training) | dict(stage.hyperparameters)
        for level in (*overrides, variant.changes):
            values |= _applicable(flattened(level), entry.name, stage.data)
        training_keys = set(Training.model_fields)
        known = training_keys | set(entry.cls.Hyperparameters.model_fields)
        try:
            training = Training(**{k: v for k, v in values.items() if k in training_keys})
            hyperparameters = entry.cls.Hyperparameters(
                **{k: v for k, v in values.items() if k in known and k not in training_keys}
            )
        except ValidationError as error:
            raise UsageError(f"{entry.name}, stage {stage.data}: {_problems(error)}") from error
        resolved.append(ResolvedStage(stage, training, hyperparameters.model_dump()))
    return resolved


def _applicable(changes: Mapping[str, Any], model: str, source: str) -> dict[str, Any]:
    """The changes that concern one stage of one model, by bare key, the more limited ones last."""
    found: dict[str, Any] = {}
    for prefix in ("", f"{source}.", f"{model}.", f"{model}.{source}."):
        for key, value in changes.items():
            if key.startswith(prefix) and "." not in key[len(prefix) :]:
                found[key[len(prefix) :]] = value
    return found


def check_keys(experiment: Experiment) -> None:
    """Raise UsageError for an override that no model of the experiment, or not the one it is for, has a use for."""
    trained = set(Training.model_fields)
    fields = {v.entry.name: trained | set(v.entry.cls.Hyperparameters.model_fields) for v in experiment.models}
    given = [(key, None) for changes in experiment.overrides[1:] for key in flattened(changes)]
    own = [(key, variant.entry.name) for variant in experiment.models for key in flattened(variant.changes)]
    for key, model in (*given, *own):
        *scope, name = key.split(".")
        if scope and scope[0] not in get_args(Source):
            model = scope.pop(0)
        if model is not None and model not in fields:
            raise unknown(f"model in --set {key}", model, [*fields, *get_args(Source)])
        known = set().union(*fields.values()) if model is None else fields[model]
        if name not in known:
            raise unknown(f"setting of {model}" if model else "setting to change", name, known)
        if len(scope) > 1 or not set(scope) <= set(get_args(Source)):
            raise UsageError(
                f"--set {key}: expected NAME, DATA.NAME, MODEL.NAME or MODEL.DATA.NAME "
                f"(DATA is one of {', '.join(get_args(Source))})"
            )


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in e['loc'])} = {e['input']!r}: {e['msg'].lower()}" for e in error.errors()
    )
