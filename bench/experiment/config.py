"""Experiments as the user states them: command line over configuration file over preset over the model's recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bench.errors import UsageError, unknown
from bench.experiment.checks import check_changes
from bench.experiment.losses import Changeable, changeable
from bench.experiment.overrides import flattened, parse_changes, parsed
from bench.experiment.seeds import parse_seeds
from bench.experiment.values import problems
from bench.experiment.variants import Variant, split_models, variants_of, why_not
from bench.interface import SETTINGS
from bench.registry import LOSS, find, find_loss, registered
from bench.runs.settings import WITH_SHARES, RunSetting, by_share, parts_of
from bench.tracking.choice import parse_trackers

DEFAULT_ENCODER = "roberta-large"
SAMPLE = "sample"
DEFAULT_SEEDS = "5"
DEFAULT_MAX_LENGTH = 1024

Name = Annotated[str, StringConstraints(pattern=r"\S")]
Seed = Annotated[int, Field(strict=True)]
"""Not `true`, which pydantic would take for 1."""
Length = Annotated[int, Field(strict=True, gt=0, le=1_000_000)]


class Options(BaseModel):
    """What a configuration says of an experiment; every key is optional."""

    model_config = ConfigDict(extra="forbid")

    models: list[Name] | None = Field(None, min_length=1)
    seeds: Seed | list[Seed] | None = None
    dataset: Name | None = None
    settings: list[Name] | None = Field(None, min_length=1)
    encoder: Name | None = None
    max_length: Length | None = None
    set: dict[str, Any] = {}


class ConfigFile(Options):
    """What a `--config` file or a preset may hold.

    experiment: the rows of a matrix; each is an experiment of its own, for which the keys beside it are defaults.
    extends: another file, or a preset, whose keys are defaults for all of these; its matrix too, if this has none.
    in_names: whether rows of tables say what is in `set` here; false for what all rows of some experiments share.
    track: the trackers that are told of all of it; no part of any experiment.
    """

    extends: Name | None = None
    in_names: Annotated[bool, Field(strict=True)] = True
    experiment: list[Options] = []
    track: list[Name] | None = None


@dataclass(frozen=True)
class CommandLine:
    """What the user asked for on the command line, as typed: nothing of it is parsed yet, and None was not said.

    changes: the `--set` options, `key=value` each.   config: a TOML file, or the name of a preset.
    """

    models: str | None = None
    seeds: str | None = None
    dataset: str | None = None
    settings: str | None = None
    encoder: str | None = None
    max_length: int | None = None
    changes: Sequence[str] = ()
    config: str | Path | None = None


@dataclass(frozen=True)
class Experiment:
    """Everything a plan is made from: `models` in `settings` on one data set with one encoder, `seeds` times each.

    presets, changes: levels of hyperparameters (`bench.experiment.overrides`), the project's and the user's, each in
    rising order of precedence.   named: those of `changes` that rows of tables say.
    """

    models: tuple[Variant, ...]
    seeds: tuple[int, ...]
    dataset: str
    settings: tuple[RunSetting, ...]
    encoder: str
    max_length: int
    presets: tuple[Mapping[str, Any], ...]
    changes: tuple[Mapping[str, Any], ...]
    named: tuple[Mapping[str, Any], ...]

    @property
    def overrides(self) -> tuple[Mapping[str, Any], ...]:
        """All levels; the last one is the command line's."""
        return (*self.presets, *self.changes)

    @property
    def cells(self) -> list[tuple[RunSetting, Variant]]:
        """What is to be run, without what a model does not have."""
        return [(s, variant) for s in self.settings for variant in self.models if why_not(variant, s) is None]

    @property
    def left_out(self) -> list[str]:
        """Why some of `settings` are not run with some of `models`, one line each."""
        reasons = [why_not(variant, setting) for setting in self.settings for variant in self.models]
        return list(dict.fromkeys(reason for reason in reasons if reason))


@dataclass(frozen=True)
class _Layer:
    """Options from one place. origin: what to call it in messages.   packaged: it is the project's, not the user's."""

    origin: str
    packaged: bool
    options: Options


def preset_names() -> list[str]:
    """The packaged configurations: one for each published table."""
    names = (file.name for file in files("bench.presets").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def dataset_preset(dataset: str) -> Options:
    """What comes with a data set (`bench/presets/datasets/NAME.toml`), empty if nothing does."""
    resource = files("bench.presets") / "datasets" / f"{dataset}.toml"
    return _parsed(resource.read_text(encoding="utf-8"), resource.name) if resource.is_file() else Options()


def read_config(path: Path) -> ConfigFile:
    """A TOML file as a `ConfigFile`. Raises UsageError with every problem in it."""
    try:
        return _parsed(path.read_text(encoding="utf-8-sig"), str(path))
    except FileNotFoundError as error:
        raise UsageError(f"no configuration file {path}") from error
    except OSError as error:
        raise UsageError(f"configuration file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error


def _parsed(text: str, origin: str) -> ConfigFile:
    try:
        return ConfigFile(**tomllib.loads(text))
    except ValidationError as error:
        raise UsageError(f"{origin}: {problems(error)}") from error
    except ValueError as error:  # of tomllib; of int(), for a number of thousands of digits
        raise UsageError(f"{origin}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{origin}: not usable TOML: nested too deep") from error


def _find_config(name: str, beside: Path) -> tuple[ConfigFile, str, bool]:
    """The configuration that a name or path means, what to call it, and whether it is a preset.

    beside: the folder that a relative path starts from.
    """
    path = beside / Path(name).expanduser()
    stem = name.removesuffix(".toml")
    if stem in preset_names():
        if name != stem and path.is_file():
            raise UsageError(f"{name} is a preset and a file here: {stem} for the preset, ./{name} for the file")
        text = (files("bench.presets") / f"{stem}.toml").read_text(encoding="utf-8")
        return _parsed(text, f"preset {stem}"), f"preset {stem}", True
    if Path(name).name == name and not path.is_file():
        raise unknown("preset", stem, preset_names(), f"There is no file {name} here. A file elsewhere: its path")
    return read_config(path), str(path), False


def _layers(name: str, beside: Path, seen: tuple[str, ...] = ()) -> tuple[list[_Layer], list[list[_Layer]]]:
    """Of a file and what it extends: the layers of the keys beside the matrix, and those of each row of the matrix."""
    file, origin, packaged = _find_config(name, beside)
    if origin in seen:
        raise UsageError(f"{' extends '.join((*seen, origin))}: a circle")
    below: list[_Layer] = []
    rows: list[list[_Layer]] = []
    if file.extends:
        below, rows = _layers(file.extends, Path() if packaged else Path(origin).parent, (*seen, origin))
    own = _Layer(origin, packaged, file)
    if file.experiment:
        return [*below, own], [[*below, own, _Layer(origin, packaged, row)] for row in file.experiment]
    return [*below, own], [[*row, own] for row in rows]


def make_experiments(typed: CommandLine) -> list[Experiment]:
    """The experiments that the command line, its file and the presets come to. Raises UsageError.

    In a file with a matrix `models` and `settings` choose from it; else they replace what the file says, as all other
    options do.
    """
    top, matrix = _layers(str(typed.config), Path()) if typed.config else ([], [])
    wanted = Options(models=split_models(typed.models or "") or None, settings=_split(typed.settings) or None)
    options = Options(
        seeds=list(parse_seeds(typed.seeds)) if typed.seeds is not None else None,
        dataset=typed.dataset,
        encoder=typed.encoder,
        max_length=typed.max_length,
        set=parse_changes(typed.changes),
    )
    if not matrix:
        options = options.model_copy(update={"models": wanted.models, "settings": wanted.settings})
    command_line = _Layer("the command line", False, options)
    experiments = [_experiment([*row, command_line]) for row in matrix or [top]]
    if matrix:
        experiments = _chosen(experiments, wanted, top[-1].origin)
    _check(experiments, [layer for row in matrix or [top] for layer in row], command_line)
    if not any(experiment.cells for experiment in experiments):
        raise UsageError("\n".join(reason for experiment in experiments for reason in experiment.left_out))
    return experiments


def trackers_in(config: str | Path | None) -> list[str] | None:
    """The trackers that a configuration file names, or what it extends; None where none does. Raises UsageError."""
    top = _layers(str(config), Path())[0] if config else []
    for layer in reversed(top):
        if isinstance(layer.options, ConfigFile) and layer.options.track is not None:
            try:
                return list(parse_trackers(",".join(layer.options.track)))
            except UsageError as error:
                raise UsageError(f"{layer.origin}: track: {error}") from None
    return None


def _experiment(layers: Sequence[_Layer]) -> Experiment:
    """The experiment that some layers come to.

    layers: in rising order of precedence, but for the data set's preset, which comes between the project's and the
    user's: it knows the data, and the user knows better.
    """
    dataset = _last(layers, "dataset", SAMPLE)
    presets = [layer for layer in layers if layer.packaged]
    presets.append(_Layer(f"preset of {dataset}", True, dataset_preset(dataset)))
    own = [layer for layer in layers if not layer.packaged]
    layers = [*presets, *own]
    names = _last(layers, "models", [])
    if not names:
        raise UsageError("which models? For example --models ttmre,ssrpu (`bench models` lists them)")
    return Experiment(
        models=tuple(variant for name in names for variant in variants_of(name)),
        seeds=parse_seeds(_last(layers, "seeds", DEFAULT_SEEDS)),
        dataset=dataset,
        settings=_settings(_last(layers, "settings", ["human"])),
        encoder=_last(layers, "encoder", DEFAULT_ENCODER),
        max_length=_last(layers, "max_length", DEFAULT_MAX_LENGTH),
        presets=tuple(layer.options.set for layer in presets),
        changes=tuple(layer.options.set for layer in own),
        named=tuple(layer.options.set for layer in own if getattr(layer.options, "in_names", True)),
    )


def _last(layers: Sequence[_Layer], key: str, default: Any) -> Any:
    """The value of the last layer that has one; of none, `default`."""
    values = [getattr(layer.options, key) for layer in layers]
    return next((value for value in reversed(values) if value is not None), default)


def _chosen(experiments: Sequence[Experiment], wanted: Options, origin: str) -> list[Experiment]:
    """What of a matrix was asked for: `ttmre` is all variants of it that are there, `ttmre:layers=2` is that one."""
    variants = [variant for name in wanted.models or () for variant in variants_of(name)]
    for variant in variants:
        offered = [one for experiment in experiments for one in experiment.models]
        if not any(_is(one, variant) for one in offered):
            raise unknown(f"model of {origin}", str(variant), {str(one) for one in offered})
    for setting in wanted.settings or ():
        known = {one for experiment in experiments for one in experiment.settings}
        if setting not in {*known, "all"} and not ("@" in setting and parts_of(setting).base in known):
            raise unknown(f"setting of {origin}", setting, known)
    settings = _settings(wanted.settings or ["all"])
    chosen = [
        replace(
            experiment,
            models=tuple(m for m in experiment.models if not variants or any(_is(m, variant) for variant in variants)),
            settings=tuple(s for s in settings if s in experiment.settings or _is_share_of_one(s, experiment.settings)),
        )
        for experiment in experiments
    ]
    chosen = [experiment for experiment in chosen if experiment.models and experiment.settings]
    if not chosen:
        raise UsageError(f"{origin} has none of {', '.join(map(str, variants))} in {', '.join(settings)}")
    return chosen


def _is_share_of_one(setting: RunSetting, settings: Sequence[RunSetting]) -> bool:
    """Whether a setting is one of some others on a share of its labels: a table that has ext has ext@10%."""
    base, share = parts_of(setting)
    return share is not None and base in settings


def _is(variant: Variant, wanted: Variant) -> bool:
    return variant.entry == wanted.entry and (not wanted.changes or variant.changes == wanted.changes)


def _check(experiments: Sequence[Experiment], layers: Sequence[_Layer], command_line: _Layer) -> None:
    """Raise UsageError for a change that has nothing to change, wherever the user wrote it.

    On the command line it must be for a model that is run; in a file, for one that the file or the command line names,
    or any registered one: which of them are run changes from command to command.
    """
    run = [
        (variant, changeable(variant.entry, (*experiment.overrides, variant.changes)))
        for experiment in experiments
        for variant in experiment.models
    ]
    for variant, model in run:
        check_changes(f"{variant.entry.name}:", variant.changes, [model])
    of_run = [model for _, model in run]
    check_changes("--set ", command_line.options.set, of_run)
    settings = {setting for experiment in experiments for setting in experiment.settings}
    for key, _ in parsed(command_line.options.set):
        if key.setting and parts_of(key.setting).share and key.setting not in settings:
            run_are = ", ".join(sorted(settings))
            raise UsageError(f"--set {key.setting}.{key.name}: {key.setting} is not run; the settings are {run_are}")
    named = [variant for layer in layers for name in layer.options.models or () for variant in variants_of(name)]
    of_file = [*of_run, *(changeable(variant.entry, [variant.changes]) for variant in named)]
    for layer in layers:
        if not layer.packaged:
            scopes = {text.partition(".")[0] for text in flattened(layer.options.set)}
            known = [*of_file, *(Changeable(find(name)) for name in scopes & set(registered()))]
            losses = {name: find_loss(name) for name in scopes & set(registered(LOSS))}
            check_changes(f"{layer.origin}: set.", layer.options.set, known, losses)


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def _settings(names: Sequence[str]) -> tuple[RunSetting, ...]:
    """The settings of these names in their order, shares of labels after the setting they are of."""
    for name in names:
        if "@" not in name and name not in (*SETTINGS, "all"):
            raise unknown("setting", name, [*SETTINGS, "all"], WITH_SHARES)
    asked = {str(parts_of(name)) for name in names if name != "all"} | set(SETTINGS if "all" in names else ())
    return tuple(sorted(asked, key=lambda setting: (SETTINGS.index(parts_of(setting).base), by_share(setting))))
