"""`bench run`: plan an experiment, carry out what is missing of it, print its table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bench.plan import RunPlan

DEFAULT_OUT = Path("results")
OutOption = Annotated[Path, typer.Option(help="Where runs, their records and tables are kept.")]


class Launch(StrEnum):
    """Where runs are carried out."""

    INLINE = "inline"
    LOCAL = "local"


def run(
    models: Annotated[
        str | None,
        typer.Option(help="Comma-separated: ttmre,ssrpu; a variant ttmre:layers=2; your own ./my_model.py:MyModel."),
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
    max_length: Annotated[int | None, typer.Option(help="Word pieces per document, specials included.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, for one model MODEL.key=value, for one stage's data distant.key=value."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any of these options; see the README.")] = None,
    out: OutOption = DEFAULT_OUT,
    launcher: Annotated[
        Launch, typer.Option(help="inline: in this process; local: one process per GPU, or per core.")
    ] = Launch.LOCAL,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes of the local launcher.")] = None,
    checkpoint_seconds: Annotated[float, typer.Option(min=0, help="At least this long between checkpoints.")] = 60.0,
    download: Annotated[bool, typer.Option("--download", help="Fetch the encoder from the hub if needed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what of it exists; run nothing.")
    ] = False,
) -> None:
    """Train and evaluate models, several seeds each. Does only what is missing: run it again after an interruption."""
    from bench.aggregate import load_cells
    from bench.commands.output import make_console
    from bench.config import make_experiments
    from bench.data.catalog import open_dataset
    from bench.display import RunDisplay
    from bench.errors import BenchError
    from bench.execute import announce
    from bench.launch import failures, launch
    from bench.nn.load import find_encoder
    from bench.plan import describe, make_plan
    from bench.records import RunFolder
    from bench.tables import print_tables, write_tables
    from bench.training.interrupt import Interrupted

    console = make_console()
    (experiment,) = make_experiments(
        models=models,
        seeds=seeds,
        dataset=dataset,
        settings=settings,
        encoder=encoder,
        max_length=max_length,
        changes=changes or (),
        config=config,
    )
    opened = open_dataset(experiment.dataset)
    plans = make_plan(experiment, opened, find_encoder(experiment.encoder, opened.documents("train"), download))
    if dry_run:
        _print_plan(console, plans, out)
        return
    announce(out, plans)
    done = sum(RunFolder.of(out, plan).record() is not None for plan in plans)
    before = f"; {done} done before" if done else ""
    console.print(
        f"{describe(plans)} on {experiment.dataset} with {experiment.encoder}, in {out}{before}", soft_wrap=True
    )
    try:
        failed = launch(plans, out, launcher.value, jobs, RunDisplay(plans, console, done), checkpoint_seconds)
    except (Interrupted, KeyboardInterrupt) as interrupted:
        raise BenchError(
            f"stopped ({str(interrupted) or 'SIGINT'}). Run the same command again to go on where it stopped"
        ) from interrupted
    cells = load_cells(out)
    print_tables(console, [c for c in cells if {p.key for p in c.plans} & {p.key for p in plans}])
    console.print(f"also in {write_tables(out, cells)}; any time again: bench table --out {out}", soft_wrap=True)
    if failed:
        raise BenchError(f"{len(failed)} of {len(plans)} runs failed:\n{failures(failed)}")


def _print_plan(console: Console, plans: Sequence[RunPlan], out: Path) -> None:
    from rich.table import Table

    from bench.execute import stage_folder
    from bench.plan import describe, distinct_stages
    from bench.records import RunFolder
    from bench.training.stage import stage_result

    users: dict[str, list[str]] = {}
    for plan in plans:
        for stage in plan.stages:
            users.setdefault(stage.key, []).append(plan.setting)
    table = Table("Stage", "Data", "Seed", "Epochs", "Starts from", "For", "State", box=None, pad_edge=False)
    names = {stage.key: f"{stage.model}-{stage.data}-s{stage.seed}" for stage in distinct_stages(plans)}
    for stage in distinct_stages(plans):
        state = "done" if stage_result(stage_folder(out, stage)) else "to do"
        before = names[stage.after] if stage.after else stage.encoder
        settings = ", ".join(dict.fromkeys(users[stage.key]))
        epochs = str(stage.training.epochs)
        table.add_row(f"{stage.model} {stage.key[:8]}", stage.data, str(stage.seed), epochs, before, settings, state)
    console.print(table)
    done = sum(RunFolder.of(out, plan).record() is not None for plan in plans)
    console.print(f"{describe(plans)}; {done} runs already have their record in {out}", soft_wrap=True)
