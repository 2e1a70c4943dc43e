"""What a job asks SLURM for: a TOML file with the defaults of a cluster and, where they differ, those of a stage."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from bench.errors import UsageError, plural, unknown
from bench.installed import installed_folders

Section = Literal["human", "distant", "ext", "evaluation"]
"""What a job does: train on this data, or evaluate a model that another run has trained."""
SECTIONS: tuple[Section, ...] = get_args(Section)

OURS = ("array", "dependency", "error", "job-name", "open-mode", "output", "requeue", "signal")
"""Options of sbatch that the launcher sets itself."""


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


class Resources(BaseModel):
    """What one job asks for. `time` is held in minutes, `memory` in MB.

    gpus_per_run: processes on one node that train a run together, with `gpus` (one, or none) and `cpus` each; `memory`
    is that of all.   runs_per_gpu: so many runs are one job, as processes that share its GPU (or, with `gpus` 0, its
    node), with `cpus` each; `memory` is that of the job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: Annotated[int, Field(ge=0)] = 1
    gpus_per_run: Annotated[int, Field(gt=0)] = 1
    runs_per_gpu: Annotated[int, Field(gt=0)] = 1
    cpus: Annotated[int, Field(gt=0)] = 4
    memory: Annotated[int, BeforeValidator(_megabytes), Field(gt=0)] = 32 * 1024
    time: Annotated[int, BeforeValidator(_minutes), Field(gt=0)] = 24 * 60
    array_parallelism: Annotated[int, Field(gt=0)] = 16
    warning_seconds: Annotated[int, Field(ge=0)] = 120
    setup: tuple[str, ...] = ()
    extra: dict[str, str | int | bool] = {}

    @model_validator(mode="after")
    def _sensible(self) -> Resources:
        if self.gpus > 1:
            raise ValueError(f"gpus = {self.gpus}: a process uses one. For a run on several: gpus_per_run")
        if self.gpus_per_run > 1 and self.runs_per_gpu > 1:
            raise ValueError(
                f"runs_per_gpu = {self.runs_per_gpu}, gpus_per_run = {self.gpus_per_run}: several runs share one GPU, "
                "or one run has several, not both: it waits at every step for the slowest of its GPUs"
            )
        if self.warning_seconds >= self.time * 60:
            raise ValueError(f"warning_seconds = {self.warning_seconds} is not before the end of {self.time} minutes")
        taken = sorted({name.replace("_", "-") for name in self.extra} & set(OURS))
        if taken:
            raise ValueError(f"extra may not set {', '.join(taken)}: `bench run` does")
        return self

    def sbatch(self, runs: int = 1) -> dict[str, Any]:
        """These resources as parameters of submitit's SlurmExecutor. runs: that share a job."""
        asked = {name: getattr(self, name) for name in ("partition", "account", "qos", "constraint")}
        return {
            **{name: value for name, value in asked.items() if value is not None},
            **({"gpus_per_node": self.gpus * self.gpus_per_run} if self.gpus else {}),
            **({"nodes": 1, "ntasks_per_node": self.gpus_per_run} if self.gpus_per_run > 1 else {}),
            "cpus_per_task": self.cpus * runs,
            "mem": f"{self.memory}M",
            "time": self.time,
            "signal_delay_s": self.warning_seconds,
            "array_parallelism": self.array_parallelism,
            "setup": list(self.setup),
        }


class Profile(BaseModel):
    """A cluster: resources by default, and what is different for the jobs of a stage.

    stages: by the data a stage trains on, the fields of `Resources` that it changes (`extra` adds to that of all).
    array_size: the longest array the cluster takes (MaxArraySize - 1).
    seconds_per_document: of training, by `MODEL.DATA`, `MODEL` or `all`, for `bench run --dry-run --estimate`; and
    packed_slowdown: how many times as long a run takes beside the others of its GPU, where that was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    all: dict[str, Any]
    stages: dict[Section, dict[str, Any]] = {}
    array_size: Annotated[int, Field(gt=0)] = 1000
    seconds_per_document: dict[str, Annotated[float, Field(gt=0)]] = {}
    packed_slowdown: Annotated[float, Field(ge=1)] | None = None

    @model_serializer(mode="wrap")
    def _written(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and is not used, so that versions from before can read it."""
        content: dict[str, Any] = serialized(self)
        if self.packed_slowdown is None:
            del content["packed_slowdown"]
        return content

    def with_runs_per_gpu(self, runs: int) -> Profile:
        """The same, with so many runs on a GPU whatever the job is. Raises UsageError where that cannot be."""
        changed = self.model_copy(
            update={
                "all": self.all | {"runs_per_gpu": runs},
                "stages": {name: _without(stage, "runs_per_gpu") for name, stage in self.stages.items()},
            }
        )
        for section in SECTIONS:
            try:
                changed.resources(section)
            except ValidationError as error:
                raise UsageError(f"--runs-per-gpu {runs}: {'; '.join(_problems(error, ''))}") from None
        return changed

    def resources(self, section: Section) -> Resources:
        """What a job of this kind asks for."""
        own = self.stages.get(section, {})
        extra = {**self.all.get("extra", {}), **own.get("extra", {})}
        return Resources.model_validate({**self.all, **own, **({"extra": extra} if extra else {})})


def _without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}


def commands_of(profile: Profile) -> list[str]:
    """The lines of shell that its jobs run before all else."""
    return list(dict.fromkeys(line for section in SECTIONS for line in profile.resources(section).setup))


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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None


def profile_folders() -> tuple[Path, ...]:
    """Where names of profiles are looked up: `slurm/profiles` here, then that of the checkout or installation."""
    checkout = Path(__file__).parents[2] / "slurm" / "profiles"
    return Path("slurm/profiles"), checkout, *installed_folders("slurm/profiles")


def make_profile(name: str, content: dict[str, Any], where: str) -> Profile:
    """Check all of `content`, also what no stage of today needs. Raises UsageError with every problem found."""
    content = dict(content)
    stages, array_size = content.pop("stages", {}), content.pop("array_size", 1000)
    seconds, slowdown = content.pop("seconds_per_document", {}), content.pop("packed_slowdown", None)
    problems: list[str] = []
    try:
        profile = Profile(
            name=name,
            all=content,
            stages=stages,
            array_size=array_size,
            seconds_per_document=seconds,
            packed_slowdown=slowdown,
        )
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
            problems += [p for p in _problems(error, prefix) if p.removeprefix(prefix) not in problems]
    if problems:
        raise UsageError(_report(where, problems))
    return profile


def _problems(error: ValidationError, prefix: str) -> list[str]:
    problems = []
    for detail in error.errors():
        key = prefix + ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            fields = ", ".join(sorted(Resources.model_fields))
            message = f"no such setting; there are {fields} (any other option of sbatch: [extra])"
        problems.append(f"{key.rstrip('.')}: {message}" if key.rstrip(".") else message)
    return problems


def _report(where: str, problems: list[str]) -> str:
    return f"{where}: {plural(len(problems), 'problem')} in this SLURM profile\n" + "\n".join(
        f"  {problem}" for problem in problems
    )
