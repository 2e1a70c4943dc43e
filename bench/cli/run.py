"""`bench run`: plan an experiment, carry out what is missing of it, print its table."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.completion import (
    complete_dataset,
    complete_models,
    complete_preset,
    complete_run_or_row,
    complete_settings,
)
from bench.cli.options import (
    DEFAULT_OUT,
    GpusPerRunOption,
    JobsOption,
    Launch,
    OutOption,
    ProfileOption,
    RunsPerGpuOption,
    TrackOption,
    TrustCodeOption,
    WaitForLocksOption,
    WaitOption,
    trust_of,
)
from bench.data.documents import no_cycle_search


def run(
    models: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: ttmre,ssrpu; a variant ttmre:loss=pu; several ttmre:layers=1..4 or "
            "ttmre:memory=10,50; your own ./my_model.py:MyModel.",
            autocompletion=complete_models,
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="How many (5), or which (66,67,68; one seed: 66,). Default 5.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="A data set of `bench data list`. Default: sample.", autocompletion=complete_dataset),
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option(
            help="human (default), distant, human+distant, ext, ext+distant, comma-separated, or all; ext@10%: as "
            "ext, on 10 % of the training labels (see bench data thin).",
            autocompletion=complete_settings,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="tiny, minilm, a folder or a Hugging Face id. Default: roberta-large; tiny on the sample."),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Word pieces per document, specials included.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="key=value. For some stages alone, with any of model, setting and data before it: ssrpu.margin=0.5, "
            "distant.epochs=2, ttmre.ext.epochs=9.",
        ),
    ] = None,
    freeze_encoder: Annotated[
        bool,
        typer.Option("--freeze-encoder", help="Train the new layers alone, on encoder outputs that are computed once."),
    ] = False,
    again: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Make a run anew, as it was planned, of which something is damaged, or whose results are not wanted: "
            "throws away its record, predictions and scores, and of its stages what is damaged. Once for each run.",
            autocompletion=complete_run_or_row,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="A TOML file with any of these options, or a published table: table3.", autocompletion=complete_preset
        ),
    ] = None,
    out: OutOption = DEFAULT_OUT,
    launcher: Annotated[
        Launch, typer.Option(help="inline: in this process; local: one process per GPU, or per core; slurm: jobs.")
    ] = Launch.LOCAL,
    profile: ProfileOption = None,
    wait: WaitOption = False,
    jobs: JobsOption = None,
    gpus_per_run: GpusPerRunOption = 1,
    runs_per_gpu: RunsPerGpuOption = None,
    wait_for_locks: WaitForLocksOption = None,
    track: TrackOption = None,
    checkpoint_seconds: Annotated[float, typer.Option(min=0, help="At least this long between checkpoints.")] = 60.0,
    trust_code: TrustCodeOption = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch the encoder from the hub if needed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what of it exists; run nothing.")
    ] = False,
    with_estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            help="With --dry-run: what it costs, from a few steps of each stage here (kept for the next time), or from "
            "the profile's seconds_per_document.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The plan of --dry-run as JSON, for a script.")] = False,
) -> None:
    """Train and evaluate models, several seeds each. Does only what is missing: run it again after an interruption.

    Exit status 0: all runs are done. 1: some failed, or it was stopped. 2: this cannot be run. 3: all are done but
    those that a newer version of the program has made, which are left as they are.
    """
    from bench.errors import UsageError

    with no_cycle_search():
        from bench.cli.launching import LaunchOptions, launching
        from bench.cli.run_experiments import DryRun, run_experiments
        from bench.experiment.config import CommandLine, trackers_in

    if track is None and not again and (named := trackers_in(config)) is not None:
        track = ",".join(named)
    how = LaunchOptions(
        launcher, profile, jobs, gpus_per_run, wait, checkpoint_seconds, wait_for_locks, track, runs_per_gpu
    )
    if again:
        from bench.cli.run_again import run_again

        planning = {
            "--seeds": seeds, "--dataset": dataset, "--settings": settings, "--encoder": encoder,
            "--max-length": max_length, "--set": changes, "--freeze-encoder": freeze_encoder, "--config": config,
            "--download": download, "--estimate": with_estimate, "--json": as_json,
        }  # fmt: skip
        if given := [name for name, value in planning.items() if value]:
            raise UsageError(f"--again makes runs as they were planned: not with {', '.join(given)}")
        run_again(again, out, launching(how), dry_run, trust_of(trust_code, models))
        return
    if trust_code:
        raise UsageError("--trust-code is for --again: what --models names is run anyway")
    changes = [*(["freeze_encoder=true"] if freeze_encoder else []), *(changes or ())]
    run_experiments(
        CommandLine(
            models=models,
            seeds=seeds,
            dataset=dataset,
            settings=settings,
            encoder=encoder,
            max_length=max_length,
            changes=changes,
            config=config,
        ),
        out,
        launching(how),
        download,
        DryRun(dry_run, with_estimate, as_json),
    )
