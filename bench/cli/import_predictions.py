"""`bench import`: predictions that were made elsewhere, as rows of tables beside trained models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_OUT, OutOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.outside.importing import Imported


def import_predictions(
    name: Annotated[str, typer.Argument(help="What the system is called in tables.")],
    pred: Annotated[
        list[Path],
        typer.Option(
            "--pred",
            metavar="FILE...",
            help="Its predictions in DocRED's result form, zipped, gzipped or neither: one file for each seed.",
        ),
    ],
    dataset: Annotated[str, typer.Option(help="The data set that they are predictions on.")],
    setting: Annotated[str, typer.Option(help="What the system was trained on: the tables it stands in.")] = "human",
    split: Annotated[str, typer.Option(help="test or dev. The other one may be imported later.")] = "test",
    encoder: Annotated[str | None, typer.Option(help="The encoder it has, if it has one.")] = None,
    source: Annotated[str, typer.Option(help="Where it is from: a paper, an address.")] = "",
    note: Annotated[str, typer.Option(help="What a reader of the table should know.")] = "",
    seeds: Annotated[str | None, typer.Option(help="13,42,66: the seed of each file. Default: 0, 1, 2, ...")] = None,
    out: OutOption = DEFAULT_OUT,
) -> None:
    """Take predictions that were made elsewhere into tables, comparisons, audits and the explorer.

    Each file becomes a run without a model, scored here like any other and marked as outside. The same file again
    changes nothing; another one for the same seed is a row of its own.
    """
    from bench.cli.console import make_console
    from bench.cli.output_paths import check_folder
    from bench.data.catalog.dataset import open_dataset
    from bench.errors import UsageError, unknown
    from bench.experiment.config import parse_seeds
    from bench.metrics.submission import read_submission
    from bench.outside.importing import UNSTATED, OutsideSystem, import_predictions
    from bench.runs.recipe import SETTINGS

    if setting not in SETTINGS:
        raise unknown("setting", setting, SETTINGS)
    numbers = range(len(pred)) if seeds is None else parse_seeds(seeds)
    if len(numbers) != len(pred):
        raise UsageError(f"--seeds {seeds} is {len(numbers)} seeds, --pred {len(pred)} files: one file for each seed")
    check_folder(out, "--out")
    system = OutsideSystem(name.strip(), setting, encoder or UNSTATED, source, note)
    read = {seed: read_submission(path) for seed, path in zip(numbers, pred, strict=True)}
    imported = import_predictions(out, system, open_dataset(dataset), split, read)
    files = dict(zip(numbers, pred, strict=True))
    console = make_console()
    for of_seed in imported:
        for told in of_seed.notes:
            console.print(f"{files[of_seed.seed]}: note: {told}", markup=False)
        console.print(_said(of_seed, split), markup=False)
    _print_table(out, imported)


def _said(imported: Imported, split: str) -> str:
    f1 = f"{split} F1 {imported.record.splits[split].scores.f1:.2f}"
    return f"{imported.run}: {f1}" if imported.is_new else f"{imported.run}: {f1}, was there already"


def _print_table(out: Path, imported: Sequence[Imported]) -> None:
    from bench.cli.console import make_console

    if any(of_seed.is_new for of_seed in imported):
        make_console().print(f"bench table --out {out} shows them beside other runs", markup=False)
