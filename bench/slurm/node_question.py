"""What the login node asks a job of `bench doctor --on`, and the files through which the two talk."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bench.filesystem import home

LIBRARIES = ("docre-bench", "torch", "transformers", "numpy")
"""Those that numbers depend on."""


class Wanted(BaseModel):
    """A data set with an encoder that runs are to read it with, as the login node has them.

    checksums: of the data set's splits.   fingerprint: of the encoder.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    encoder: str
    checksums: dict[str, str]
    fingerprint: str


class Question(BaseModel):
    """What the login node has, and what is to be compared with it.

    versions: of Python and of `LIBRARIES`.   gpus, cpus: that the profile asks for, for a process.
    scratch: the folder of the node that it names; empty for none.
    mark: the name of a file that the login node has put into BENCH_HOME; empty where it cannot.
    """

    model_config = ConfigDict(frozen=True)

    versions: dict[str, str]
    gpus: int
    cpus: int
    scratch: str
    mark: str
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class Channel:
    """The files through which the two halves talk."""

    folder: Path

    @property
    def node_side(self) -> str:
        """Who the job is to `home_mark`."""
        return f"node-{self.folder.name}"

    @property
    def question(self) -> Path:
        """What the job is asked."""
        return self.folder / "question.json"

    @property
    def answer(self) -> Path:
        """What the job has found, written once, at its end."""
        return self.folder / "answer.json"

    @property
    def node(self) -> Path:
        """The newest word of the job, a number."""
        return self.folder / "node.json"

    @property
    def login(self) -> Path:
        """The newest word of the login node: the number that it has seen last, and its time then."""
        return self.folder / "login.json"

    @property
    def lock(self) -> Path:
        """A lock that the login node holds all the while."""
        return self.folder / "lock"


def home_mark(mark: str, side: str) -> Path:
    """A file in BENCH_HOME by which one side, "login" or `node_side`, shows the other that it is the same folder."""
    return home() / "doctor" / f"{mark}-{side}"


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that numbers depend on; "" for one that is not installed."""
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found
