"""`bench run`: plan an experiment, carry out what is missing of it, print its table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_OUT, GpusPerRunOption, JobsOption, Launch, OutOption, ProfileOption, WaitOption

if TYPE_CHECKING:
    from collections.abc import Iterable


def run(
    models: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: ttmre,ssrpu; a variant ttmre:loss=pu; several ttmre:layers=1..4 or "
            "ttmre:memory=10,50; your own ./my_model.py:MyModel."
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="How many (5), or which (66,67,68; one seed: 66,). Default 5.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A data set of `bench data list`. Default: sample.")] = None,
    settings: Annotated[
        str | None,
        typer.Option(help="human (default), distant, human+distant, ext, ext+distant, comma-separated, or all."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="tiny, minilm, a folder or a Hugging Face id. Default: roberta-large; tiny on the sample."),
    ] = None,
    max_length: Annotated[int | None, typer.Option(min=1, help="Word pieces per document, specials included.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value. For some stages alone: [MODEL.][SETTING.][DATA.]key=value."),
    ] = None,
    freeze_encoder: Annotated[
        bool,
        typer.Option("--freeze-encoder", help="Train the new layers alone, on encoder outputs that are computed once."),
    ] = False,
    config: Annotated[
        str | None, typer.Option(help="A TOML file with any of these options, or a published table: table3.")
    ] = None,
    out: OutOption = DEFAULT_OUT,
    launcher: Annotated[
        Launch, typer.Option(help="inline: in this process; local: one process per GPU, or per core; slurm: jobs.")
    ] = Launch.LOCAL,
    profile: ProfileOption = None,
    wait: WaitOption = False,
    jobs: JobsOption = None,
    gpus_per_run: GpusPerRunOption = 1,
    checkpoint_seconds: Annotated[float, typer.Option(min=0, help="At least this long between checkpoints.")] = 60.0,
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
    """Train and evaluate models, several seeds each. Does only what is missing: run it again after an interruption."""
    import json
    from functools import partial

    from bench.cli.console import make_console
    from bench.cli.launching import Launching, check_gpus_per_run, profile_for, start
    from bench.data.catalog.dataset import open_dataset
    from bench.errors import UsageError
    from bench.experiment.config import make_experiments
    from bench.experiment.planner import planned_runs
    from bench.nn.encoder_source import find_encoder
    from bench.runs.plan import describe
    from bench.runs.run_folder import RunFolder, announce

    console = make_console()
    gpus_per_run = check_gpus_per_run(launcher, gpus_per_run)
    how = Launching(launcher, jobs, profile_for(launcher, profile), checkpoint_seconds, wait, gpus_per_run)
    experiments = make_experiments(
        models=models,
        seeds=seeds,
        dataset=dataset,
        settings=settings,
        encoder=encoder,
        max_length=max_length,
        changes=[*(["freeze_encoder=true"] if freeze_encoder else []), *(changes or ())],
        config=config,
    )
    if with_estimate and not dry_run:
        raise UsageError("--estimate is for --dry-run; a run that goes on shows what is left of it")
    if as_json and not dry_run:
        raise UsageError("--json is for --dry-run; the results of runs: bench table --json")
    for reason in dict.fromkeys(reason for experiment in experiments for reason in experiment.left_out):
        typer.echo(f"left out: {reason}", err=as_json)
    if dry_run:
        from bench.cli.dry_run import outline_as_json, print_outline
        from bench.cli.stand_ins import StandIns

        stand_ins = StandIns()
        planned = planned_runs(experiments, stand_ins.dataset, stand_ins.encoder)
        costs = None
        if with_estimate:
            from bench.cli.dry_run_costs import costs_of

            def told(what: str) -> None:
                typer.echo(f"probing: {what}", err=True)

            costs = costs_of(planned, out, stand_ins, how.profile, launcher is Launch.LOCAL, told)
        if as_json:
            print(json.dumps(outline_as_json(planned, out, stand_ins.missing, costs)))
        else:
            print_outline(console, planned, out, stand_ins.missing, costs)
        return
    planned = planned_runs(experiments, open_dataset, partial(find_encoder, download=download))
    plans = [plan for _, runs in planned for plan in runs]
    announce(out, plans)
    done = sum(RunFolder.of(out, plan).record() is not None for plan in plans)
    before = f"; {done} done before" if done else ""
    console.print(
        f"{describe(plans)} on {_names(plan.dataset for plan in plans)} with "
        f"{_names(plan.encoder for plan in plans)}, in {out}{before}",
        soft_wrap=True,
    )
    start(plans, out, how, console, done)


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
