"""What `bench run` does: plan what was typed, and show the plan or carry out what is missing of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from bench.cli.console import make_console
from bench.cli.dry_run import outline_as_json, print_outline
from bench.cli.dry_run_costs import costs_of
from bench.cli.launching import Launching, start
from bench.cli.stand_ins import StandIns
from bench.data.catalog.dataset import open_dataset
from bench.data.documents import Document
from bench.errors import UsageError
from bench.experiment.config import CommandLine, Experiment, make_experiments
from bench.experiment.planner import planned_runs
from bench.nn import encoder_source
from bench.nn.encoder_source import TINY, EncoderSource
from bench.runs.names import NO_ENCODER
from bench.runs.plan import describe
from bench.runs.run_folder import RunFolder, announce

UNREAD = 0.02
"""Share of words that a tokenizer does not know, from which on it is told: of English less than a thousandth is."""


@dataclass(frozen=True)
class DryRun:
    """Whether `bench run` is to show its plan alone. with_estimate: and what it costs.   as_json: for a script."""

    wanted: bool
    with_estimate: bool
    as_json: bool

    def check(self) -> None:
        """Raise UsageError for an option of dry runs where there is none."""
        if self.with_estimate and not self.wanted:
            raise UsageError("--estimate is for --dry-run; a run that goes on shows what is left of it")
        if self.as_json and not self.wanted:
            raise UsageError("--json is for --dry-run; the results of runs: bench table --json")


def run_experiments(typed: CommandLine, out: Path, how: Launching, download: bool, dry_run: DryRun) -> None:
    """Show what the experiments take, or carry out what is missing of them; first a line for each that is left out.

    download: whether an encoder that is not here may be fetched.
    Raises UsageError, and BenchError for runs that failed.
    """
    experiments = make_experiments(typed)
    dry_run.check()
    for reason in dict.fromkeys(reason for experiment in experiments for reason in experiment.left_out):
        typer.echo(f"left out: {reason}", err=dry_run.as_json)
    if dry_run.wanted:
        show_plan(experiments, out, how, dry_run, download)
    else:
        carry_out(experiments, out, how, download)


def show_plan(experiments: Sequence[Experiment], out: Path, how: Launching, dry_run: DryRun, download: bool) -> None:
    """Print the stages that the experiments take and what of them exists, with their costs if asked for them."""
    stand_ins = StandIns(download)
    planned = planned_runs(experiments, stand_ins.dataset, _telling(stand_ins.encoder))
    costs = None
    if dry_run.with_estimate:
        costs = costs_of(planned, out, stand_ins, how, on_probe=_say_what_is_probed)
    if dry_run.as_json:
        print(json.dumps(outline_as_json(planned, out, stand_ins.missing, costs)))
    else:
        print_outline(make_console(), planned, out, stand_ins.missing, costs)


def carry_out(experiments: Sequence[Experiment], out: Path, how: Launching, download: bool) -> None:
    """Do what is missing of the experiments, and print their table (on SLURM only if asked to wait for it)."""
    found: dict[str, EncoderSource] = {}

    def find_encoder(name: str, train: Sequence[Document]) -> EncoderSource:
        found[name] = encoder_source.find_encoder(name, train, download=download)
        return found[name]

    plans = [plan for _, runs in planned_runs(experiments, open_dataset, _telling(find_encoder)) for plan in runs]
    announce(out, plans)
    done = sum(RunFolder.of(out, plan).record() is not None for plan in plans)
    before = f"; {done} done before" if done else ""
    console = make_console()
    console.print(
        f"{describe(plans)} on {_names(plan.dataset for plan in plans)} with "
        f"{_names(plan.encoder for plan in plans)}, in {out}{before}",
        soft_wrap=True,
    )
    for dataset, encoder in dict.fromkeys((plan.dataset, plan.encoder) for plan in plans):
        # `tiny` has the words of train, and is meant not to know those of dev that are not among them.
        if encoder not in (NO_ENCODER, TINY) and (note := unread_words(dataset, found[encoder])):
            typer.echo(f"note: {note}", err=True)
    start(plans, out, how, console, done)


def unread_words(dataset: str, encoder: EncoderSource) -> str:
    """That an encoder's tokenizer does not know many of the words of the dev documents; "" where it knows them.

    A vocabulary without the script of the documents reads them all as one unknown piece, and trains without a word.
    """
    documents = open_dataset(dataset).documents("dev")
    words = [word for document in documents for sentence in document.sentences for word in sentence]
    share = encoder.words().unknown(words) / max(len(words), 1)
    if share < UNREAD:
        return ""
    return (
        f"{share:.0%} of the words of {dataset} (dev) are unknown to the tokenizer of {encoder.name}, or parts are: "
        "what it does not know it reads as one piece, whatever it is. An encoder of the documents' language knows them"
    )


def _telling(
    find_encoder: Callable[[str, Sequence[Document]], EncoderSource],
) -> Callable[[str, Sequence[Document]], EncoderSource]:
    """`find_encoder`, which also prints what the user should know of an encoder."""

    def find(name: str, train: Sequence[Document]) -> EncoderSource:
        source = find_encoder(name, train)
        for note in source.notes:
            typer.echo(f"note: {note}", err=True)
        return source

    return find


def _say_what_is_probed(what: str) -> None:
    typer.echo(f"probing: {what}", err=True)


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
