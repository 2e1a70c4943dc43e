"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.completion import complete_pairs, complete_profile, complete_trackers

if TYPE_CHECKING:
    from bench.inference.trust import Trust

ProfileOption = Annotated[
    str | None,
    typer.Option(
        help="What a SLURM job asks for: a TOML file, or a name in slurm/profiles (see slurm/README.md).",
        autocompletion=complete_profile,
    ),
]

WaitOption = Annotated[
    bool, typer.Option("--wait", help="With SLURM: stay until all is done, then print the table. Others always do.")
]

JobsOption = Annotated[
    int | None, typer.Option(min=1, max=4096, help="Runs that the local launcher carries out at once.")
]

GpusPerRunOption = Annotated[
    int,
    typer.Option(
        min=1, max=64, help="Processes of the local launcher that train a run together, a GPU or a core each."
    ),
]

RunsPerGpuOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="So many runs share a GPU, each a process of its own; with SLURM they are one job, whatever the profile's "
        "runs_per_gpu is.",
    ),
]

WaitForLocksOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="At most so many seconds for runs that other commands are at, which are then told; 0: not at all. "
        "Default: until they are done.",
    ),
]

TrackOption = Annotated[
    str | None,
    typer.Option(
        help="Trackers that are told of the runs, comma-separated: tensorboard, wandb, mlflow, trackio; none. Default: "
        "those of the file of --config, or of BENCH_TRACK.",
        autocompletion=complete_trackers,
    ),
]

PairsOption = Annotated[
    str | None,
    typer.Option(
        help="BC5CDR, GDA: first-in-text makes whichever of the two the text mentions first the head, as ATLOP "
        "does. Default: from the chemical, or gene, to the disease.",
        autocompletion=complete_pairs,
    ),
]

PublishedOption = Annotated[
    Path | None, typer.Option(help="A folder of published numbers. Default: those that come with the project.")
]

TrustCodeOption = Annotated[
    bool,
    typer.Option(
        "--trust-code", help="Run code that the results folder names. Only where you trust whoever wrote the folder."
    ),
]

OwnModelsOption = Annotated[
    str | None,
    typer.Option(
        "--models",
        help="Your own models, ./my_model.py:MyModel, comma-separated: taken for the classes of these names that the "
        "results folder has.",
    ),
]


def trust_of(trust_code: bool, models: str | None) -> Trust:
    """What `--trust-code` and `--models` say of the code that a results folder names. Raises UsageError."""
    from bench.inference.trust import Trust

    if models is None:
        return Trust(trust_code)
    from bench.experiment.variants import split_models
    from bench.registry import find

    return Trust(trust_code, tuple(find(name) for name in split_models(models)))


DEFAULT_OUT = Path("results")

OutOption = Annotated[Path, typer.Option(help="Where runs, their records and tables are kept.")]


class Launch(StrEnum):
    """Where runs are carried out: in this process, in processes of this machine, or in jobs of a cluster."""

    INLINE = "inline"
    LOCAL = "local"
    SLURM = "slurm"
