"""`bench retry`: go on with runs that failed, were lost or cancelled, the way they were launched before."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.chosen_runs import RunsArgument
from bench.cli.options import (
    DEFAULT_OUT,
    GpusPerRunOption,
    JobsOption,
    Launch,
    OutOption,
    OwnModelsOption,
    ProfileOption,
    RunsPerGpuOption,
    TrackOption,
    TrustCodeOption,
    WaitOption,
)


def retry(
    runs: RunsArgument = None,
    out: OutOption = DEFAULT_OUT,
    failed: Annotated[
        bool, typer.Option("--failed", help="All that failed, were lost or cancelled, and what they block.")
    ] = False,
    launcher: Annotated[Launch | None, typer.Option(help="Default: as they were launched before.")] = None,
    profile: ProfileOption = None,
    jobs: JobsOption = None,
    gpus_per_run: GpusPerRunOption = 1,
    runs_per_gpu: RunsPerGpuOption = None,
    wait: WaitOption = False,
    track: TrackOption = None,
    models: OwnModelsOption = None,
    trust_code: TrustCodeOption = False,
) -> None:
    """Try runs again. Finished stages and checkpoints are used; nothing is done twice."""
    from bench.cli.launching import LaunchOptions
    from bench.cli.options import trust_of
    from bench.cli.retry_runs import retry_runs
    from bench.errors import UsageError

    if bool(runs) == failed:
        raise UsageError("which runs? Name them (bench status shows them), or --failed for all that need it")
    options = LaunchOptions(launcher, profile, jobs, gpus_per_run, wait, track=track, runs_per_gpu=runs_per_gpu)
    retry_runs(runs or [], out, options, trust_of(trust_code, models))
