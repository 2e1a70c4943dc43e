"""What a job asks SLURM for: a TOML file with the defaults of a cluster and, where they differ, those of a stage."""

from __future__ import annotations

import difflib
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from bench.errors import UsageError, plural, unknown
from bench.experiment.values import shown
from bench.installed import installed_folders
from bench.registry import registered
from bench.runs.plan import SPLIT_OF
from bench.scratch import SCRATCH

Section = Literal["human", "distant", "ext", "evaluation"]
"""What a job does: train on this data, or evaluate a model that another run has trained."""
SECTIONS: tuple[Section, ...] = get_args(Section)

OURS = ("array", "dependency", "error", "job-name", "open-mode", "output", "requeue", "signal")
"""Options of sbatch that the launcher sets itself."""
SET_BY = {
    "partition": "partition", "account": "account", "qos": "qos", "constraint": "constraint", "mem": "memory",
    "time": "time", "nodes": "nodes", "ntasks-per-node": "gpus_per_run", "cpus-per-task": "cpus",
    "gpus-per-node": "gpus",
}  # fmt: skip
"""Options of sbatch with settings of their own: given beside them they would win, and jobs be counted on otherwise."""
ABOVE = "not here: a setting for all jobs stands above the first [table] of the file"


def _minutes(value: Any) -> int:
    """`90m`, `12h`, `2d`, `4:00:00` or `2-12:00:00` in minutes, rounded up."""
    text = str(value).strip()
    if unit := re.fullmatch(r"(\d+)\s*([mhd])", text):
        return int(unit[1]) * {"m": 1, "h": 60, "d": 1440}[unit[2]]
    if clock := re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)", text):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return days * 1440 + hours * 60 + minutes + (seconds > 0)
    # A bare number is minutes to sbatch and hours to most people.
    raise ValueError('a time is "90m", "12h", "2d", "4:00:00" or "2-12:00:00"')


def _megabytes(value: Any) -> int:
    """`64GB` or `512MB` in MB."""
    amount = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MGT])i?B?", str(value).strip(), re.IGNORECASE)
    if not amount:
        raise ValueError('an amount of memory is "64GB" or "512MB"')
    return round(float(amount[1]) * {"m": 1, "g": 1024, "t": 1024**2}[amount[2].lower()])


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic takes true for 1
        raise ValueError("expected a number")
    return value


Count = Annotated[int, BeforeValidator(_no_flag), Field(gt=0)]
NotNegative = Annotated[int, BeforeValidator(_no_flag), Field(ge=0)]


class Resources(BaseModel):
    """What one job asks for. `time` is held in minutes, `memory` in MB.

    gpus_per_run: processes on one node that train a run together, with `gpus` (one, or none) and `cpus` each; `memory`
    is that of all.   nodes: on how many nodes there are so many.
    runs_per_gpu: so many runs are one job, as processes that share its GPU (or, with `gpus` 0, its node), with `cpus`
    each; `memory` is that of the job.
    container: the words that come before the Python of a job, such as `apptainer exec --nv image.sif`.
    python: that Python; by default this one, or in a container `python3`. The node's shell puts variables into both.
    scratch: a folder on the node's own disk, `$TMPDIR` for instance, for copies of what a job reads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: NotNegative = 1
    gpus_per_run: Count = 1
    nodes: Count = 1
    runs_per_gpu: Count = 1
    cpus: Count = 4
    memory: Annotated[int, BeforeValidator(_megabytes), Field(gt=0)] = 32 * 1024
    time: Annotated[int, BeforeValidator(_minutes), Field(gt=0)] = 24 * 60
    array_parallelism: Count = 16
    warning_seconds: NotNegative = 120
    setup: tuple[str, ...] = ()
    container: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    python: Annotated[str, Field(min_length=1)] | None = None
    scratch: Annotated[str, Field(min_length=1)] | None = None
    extra: dict[str, str | int | bool] = {}

    @model_validator(mode="after")
    def _sensible(self) -> Resources:
        if self.gpus > 1:
            raise ValueError(f"gpus = {self.gpus}: a process uses one. For a run on several: gpus_per_run")
        if self.processes > 1 and self.runs_per_gpu > 1:
            several = f"gpus_per_run = {self.gpus_per_run}" if self.gpus_per_run > 1 else f"nodes = {self.nodes}"
            raise ValueError(
                f"runs_per_gpu = {self.runs_per_gpu}, {several}: several runs share one GPU, "
                "or one run has several, not both: it waits at every step for the slowest of its GPUs"
            )
        if self.warning_seconds >= self.time * 60:
            raise ValueError(f"warning_seconds = {self.warning_seconds} is not before the end of {self.time} minutes")
        if taken := sorted(set(self.extra_options) & set(OURS)):
            raise ValueError(f"extra may not set {', '.join(taken)}: `bench run` does")
        return self

    @property
    def extra_options(self) -> dict[str, str | int | bool]:
        """What `extra` says, by the names of sbatch: `mail-type` for `mail_type`."""
        return {name.replace("_", "-"): value for name, value in self.extra.items()}

    @property
    def processes(self) -> int:
        """How many processes train a run together."""
        return self.nodes * self.gpus_per_run

    @property
    def interpreter(self) -> str:
        """The Python of a job as its batch script calls it: one word of shell, or with a container several."""
        own = shlex.quote(sys.executable) if not self.container else "python3"
        return " ".join([*map(_in_shell, self.container), _in_shell(self.python) if self.python else own])

    @property
    def shell(self) -> tuple[str, ...]:
        """What of these resources is shell, and so code that somebody has to be trusted for."""
        return (*self.setup, *([self.interpreter] if self.container or self.python else ()))

    def sbatch(self, runs: int = 1) -> dict[str, Any]:
        """These resources as parameters of submitit's SlurmExecutor. runs: that share a job."""
        asked = {name: getattr(self, name) for name in ("partition", "account", "qos", "constraint")}
        return {
            **{name: value for name, value in asked.items() if value is not None},
            **({"gpus_per_node": self.gpus * self.gpus_per_run} if self.gpus else {}),
            **({"nodes": self.nodes, "ntasks_per_node": self.gpus_per_run} if self.processes > 1 else {}),
            "cpus_per_task": self.cpus * runs,
            "mem": f"{self.memory}M",
            "time": self.time,
            "signal_delay_s": self.warning_seconds,
            "array_parallelism": self.array_parallelism,
            "setup": [*self.setup, *([f"export {SCRATCH}={_in_shell(self.scratch)}"] if self.scratch else [])],
        }


class Profile(BaseModel):
    """A cluster: resources by default, and what is different for the jobs of a stage, or of a model.

    stages: by the data a stage trains on, the fields of `Resources` that it changes (`extra` adds to that of all).
    models: likewise by the model, and in that by the data: what is limited to a model wins over what is not.
    array_size: the longest array the cluster takes (MaxArraySize - 1).
    seconds_per_document: of training, by `MODEL.DATA`, `MODEL` or `all`, for `bench run --dry-run --estimate`; and
    packed_slowdown: how many times as long a run takes beside the others of its GPU, where that was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    all: dict[str, Any]
    stages: dict[Section, dict[str, Any]] = {}
    models: dict[str, dict[str, Any]] = {}
    array_size: Count = 1000
    seconds_per_document: dict[str, Annotated[float, BeforeValidator(_no_flag), Field(gt=0)]] = {}
    packed_slowdown: Annotated[float, BeforeValidator(_no_flag), Field(ge=1)] | None = None

    def with_runs_per_gpu(self, runs: int) -> Profile:
        """The same, with so many runs on a GPU whatever the job is. Raises UsageError where that cannot be."""
        changed = self.model_copy(
            update={
                "all": self.all | {"runs_per_gpu": runs},
                "stages": {name: _without(stage, "runs_per_gpu") for name, stage in self.stages.items()},
                "models": {name: _without(table, "runs_per_gpu") for name, table in self.models.items()},
            }
        )
        try:
            changed.kinds()
        except ValidationError as error:
            raise UsageError(f"--runs-per-gpu {runs}: {'; '.join(_problems(error, ''))}") from None
        return changed

    def resources(self, section: Section, model: str | None = None) -> Resources:
        """What a job of this kind asks for; where a model is named, one of its own."""
        own = next((table for name, table in self.models.items() if model is not None and _is(name, model)), {})
        of_model = {key: value for key, value in own.items() if key not in SECTIONS}
        layers = [self.all, self.stages.get(section, {}), of_model, own.get(section, {})]
        extra = {key: value for layer in layers for key, value in layer.get("extra", {}).items()}
        merged = {key: value for layer in layers for key, value in layer.items()}
        return Resources.model_validate({**merged, **({"extra": extra} if extra else {})})

    def kinds(self) -> list[tuple[str, Resources]]:
        """Every kind of job, in words (`human`, `human of ttmre`), and what it asks for, where a model changes it."""
        kinds = [(str(section), self.resources(section)) for section in SECTIONS]
        for name in self.models:
            model = name.rpartition(":")[2]
            own = ((section, self.resources(section, model)) for section in SECTIONS)
            kinds += [(f"{section} of {model}", asked) for section, asked in own if asked != self.resources(section)]
        return kinds


def _in_shell(word: str) -> str:
    """A word for a shell, which is to put in variables and the home folder and to do nothing else with it."""
    word = re.sub(r"^~(?=/|$)", "$HOME", word)
    if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII):
        return word
    return '"' + re.sub(r'(["\\`]|\$\()', r"\\\1", word) + '"'


def _without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Settings, and tables of them in it, without the one of that name."""
    kept = {key: value for key, value in settings.items() if key != name}
    return {key: _without(value, name) if isinstance(value, dict) else value for key, value in kept.items()}


def commands_of(profile: Profile) -> list[str]:
    """The lines of shell that its jobs run before all else, and what they call their Python with."""
    return list(dict.fromkeys(line for _, resources in profile.kinds() for line in resources.shell))


def load_profile(name: str, folders: tuple[Path, ...] | None = None) -> Profile:
    """The profile in the file `name`, or of that name in `slurm/profiles/`. Raises UsageError."""
    folders = profile_folders() if folders is None else folders
    path = Path(name).expanduser()
    if path.suffix != ".toml" and "/" not in name:
        known = {file.stem: file for folder in reversed(folders) for file in folder.glob("*.toml")}
        if name not in known:
            raise unknown("SLURM profile", name, known, "Your own: --profile ./my_cluster.toml (see slurm/README.md)")
        path = known[name]
    try:
        return make_profile(path.stem, tomllib.loads(path.read_text(encoding="utf-8-sig")), str(path))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: a folder, expected a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None


def profile_folders() -> tuple[Path, ...]:
    """Where names of profiles are looked up: `slurm/profiles` here, then that of the checkout or installation."""
    checkout = Path(__file__).parents[2] / "slurm" / "profiles"
    return Path("slurm/profiles"), checkout, *installed_folders("slurm/profiles")


def make_profile(name: str, content: dict[str, Any], where: str) -> Profile:
    """Check all of `content`, also what no stage of today needs. Raises UsageError with every problem found."""
    content = dict(content)
    own = {key: content.pop(key) for key in Profile.model_fields if key not in ("name", "all") and key in content}
    problems: list[str] = []
    try:
        profile = Profile(name=name, all=content, **own)
    except ValidationError as error:
        raise UsageError(_report(where, _problems(error, ""))) from None
    try:
        Resources.model_validate(content)
    except ValidationError as error:
        problems += _problems(error, "")
    for section in profile.stages:
        try:
            profile.resources(section)
        except ValidationError as error:
            prefix = f"stages.{section}."
            told = {problem.partition(": ")[0] for problem in problems}
            problems += [p for p in _problems(error, prefix) if p.partition(": ")[0].removeprefix(prefix) not in told]
    problems += [problem for model in profile.models for problem in _problems_of_model(profile, model, problems)]
    # Any other name may be that of somebody's own model.
    swallowed = {*Resources.model_fields, *Profile.model_fields} & set(profile.seconds_per_document)
    problems += [f"seconds_per_document.{name}: {ABOVE}" for name in sorted(swallowed - {"all"})]
    problems += [
        f"seconds_per_document.{name}: no stage trains on {data!r}; there are {', '.join(SPLIT_OF)}"
        for name in profile.seconds_per_document
        if (data := name.rpartition(".")[2]) != name and data not in SPLIT_OF and name not in registered()
    ]
    if not problems:
        problems = _set_twice(profile)
    if problems:
        raise UsageError(_report(where, problems))
    return profile


def _set_twice(profile: Profile) -> list[str]:
    """What extra says in the place of a setting. Of a file alone: a submission from before this was asked goes on."""
    told = []
    for _, resources in profile.kinds():
        options = resources.extra_options
        if str(options.get("mem")) == "0":  # all memory of a node, which `memory` has no word for
            del options["mem"]
        told += [f"extra.{option}: here it is the setting {SET_BY[option]!r}" for option in options if option in SET_BY]
    return list(dict.fromkeys(told))


def _problems_of_model(profile: Profile, name: str, before: Sequence[str]) -> Iterator[str]:
    """What is wrong with a model's part of a profile. before: what is wrong with the rest."""
    known = sorted(registered())
    place, own, cls = name.rpartition(":")
    if not own and name not in known:
        yield (
            f"models.{name}: no such model.{_meant(name, known)} "
            f'There are {", ".join(known)}; your own: "./my_model.py:MyModel"'
        )
    elif own and not cls.isidentifier():
        yield f"models.{name}: {cls!r} is no class: what is said of a model is said of all its variants"
    elif place.endswith(".py") and not Path(place).expanduser().is_file():
        yield f"models.{name}: no file {place} here"
    table = profile.models[name]
    if wrong := [key for key in SECTIONS if not isinstance(table.get(key, {}), dict)]:
        yield from (f"models.{name}.{key}: expected a table, [models.{name}.{key}]" for key in wrong)
        return
    rest = {key: value for key, value in table.items() if key not in SECTIONS}
    parts = {"": rest, **{f"{key}.": table[key] for key in SECTIONS if key in table}}
    for part, settings in parts.items():
        try:
            Resources.model_validate({**({} if before else profile.all), **settings})
        except ValidationError as error:
            yield from _problems(error, f"models.{name}.{part}")


def _is(name: str, model: str) -> bool:
    """Whether a name in a profile is that of a model, as its runs have it: of one's own, the class."""
    return name.rpartition(":")[2] == model


def _problems(error: ValidationError, prefix: str) -> list[str]:
    problems = []
    for detail in error.errors():
        place, message, found = detail["loc"], detail["msg"].removeprefix("Value error, "), detail["input"]
        value = ""
        if detail["type"] == "extra_forbidden":
            message = _no_such_setting(str(place[-1]), prefix)
        elif place[:1] == ("extra",) and len(place) > 2:
            # Of a value that has none of several types, pydantic tells once for each that it has not.
            place = place[:2]
            message = f"expected a text, a whole number, true or false, found {json.dumps(found, default=str)}"
        elif place and isinstance(found, str | int | float):
            value, message = f" = {shown(found)}", message.replace("valid tuple", "valid list")
        key = (prefix + ".".join(str(part) for part in place)).rstrip(".") + value
        problems.append(f"{key}: {message}" if key else message)
    return list(dict.fromkeys(problems))


def _no_such_setting(name: str, prefix: str) -> str:
    """What to say of a name in a profile, or under `prefix` in it, that means nothing there."""
    of_all = {key for key in Profile.model_fields if key not in ("name", "all")}
    if prefix and name in of_all:
        return ABOVE
    known = sorted({*Resources.model_fields} | (set() if prefix else of_all))
    return f"no such setting.{_meant(name, known)} There are {', '.join(known)} (any other option of sbatch: [extra])"


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _report(where: str, problems: list[str]) -> str:
    return f"{where}: {plural(len(problems), 'problem')} in this SLURM profile\n" + "\n".join(
        f"  {problem}" for problem in problems
    )
