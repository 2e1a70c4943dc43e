"""Which trackers are asked for, and whether they are here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from packaging.requirements import Requirement

from bench.errors import UsageError, unknown


class Choice(NamedTuple):
    """A tracker that there is: its module and class, and the package that it needs."""

    module: str
    cls: str
    requirement: str


TRACKERS = {
    "tensorboard": Choice("bench.tracking.tensorboard", "TensorBoard", "tensorboard>=2.15"),
    "wandb": Choice("bench.tracking.wandb", "WeightsAndBiases", "wandb>=0.31"),
    "mlflow": Choice("bench.tracking.mlflow", "MLflow", "mlflow>=3.7"),
    "trackio": Choice("bench.tracking.trackio", "Trackio", "trackio>=0.25"),
}
"""By name. The requirements are those of the extras of pyproject.toml."""
VARIABLE = "BENCH_TRACK"
"""Names trackers for every command, and for the processes that a command starts."""
NONE = "none"


def parse_trackers(text: str) -> tuple[str, ...]:
    """The trackers of a comma-separated list, each once; of `none` none. Raises UsageError for an unknown one."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if names == (NONE,):
        return ()
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS, f"Several: wandb,tensorboard; {NONE} for none")
    return names


def asked_trackers() -> tuple[str, ...]:
    """Those that BENCH_TRACK names. Raises UsageError."""
    try:
        return parse_trackers(os.environ.get(VARIABLE, ""))
    except UsageError as error:
        raise UsageError(f"{VARIABLE}: {error}") from None


def check_installed(names: Sequence[str]) -> None:
    """Raise UsageError where the package of a tracker is not here, or too old, with the command that brings it."""
    wrong = {}
    for name in names:
        requirement = Requirement(TRACKERS[name].requirement)
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong[str(requirement)] = f"{name} is not installed"
        else:
            if not requirement.specifier.contains(found, prereleases=True):
                wrong[str(requirement)] = f"{name} is version {found}, expected {requirement.specifier}"
    if wrong:
        command = " ".join(["pip install", *(f"'{requirement}'" for requirement in wrong)])
        raise UsageError(f"tracking by {', '.join(names)}: {'; '.join(wrong.values())}. This brings it: {command}")
