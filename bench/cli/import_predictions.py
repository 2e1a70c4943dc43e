"""`bench import`: predictions that were made elsewhere, as rows of tables beside trained models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.completion import complete_dataset
from bench.cli.options import DEFAULT_OUT, OutOption
from bench.points import points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.data.catalog.dataset import Dataset
    from bench.metrics.submission import Prediction
    from bench.outside.answers import Reading
    from bench.outside.importing import Imported


def import_predictions(
    name: Annotated[str, typer.Argument(help="What the system is called in tables.")],
    dataset: Annotated[
        str, typer.Option(help="The data set that they are predictions on.", autocompletion=complete_dataset)
    ],
    pred: Annotated[
        list[Path] | None,
        typer.Option(
            "--pred",
            metavar="FILE...",
            help="Its predictions in DocRED's result form, zipped, gzipped or neither: one file for each seed.",
        ),
    ] = None,
    from_llm: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-llm",
            metavar="FILE...",
            help="Or what a language model answered to `bench export --for-llm`, a JSON object a line: one file for "
            "each seed.",
        ),
    ] = None,
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
    from bench.cli.output_paths import check_folder
    from bench.data.catalog.dataset import open_dataset
    from bench.errors import UsageError
    from bench.experiment.seeds import parse_seeds
    from bench.metrics.submission import read_submission
    from bench.outside.importing import UNSTATED, OutsideSystem, import_predictions
    from bench.runs.settings import parts_of

    setting = str(parts_of(setting))
    if bool(pred) == bool(from_llm):
        raise UsageError(
            "which predictions? --pred FILE... in DocRED's result form, or --from-llm FILE... (one of both)"
        )
    files = pred or from_llm or []
    numbers = range(len(files)) if seeds is None else parse_seeds(seeds)
    if len(numbers) != len(files):
        raise UsageError(f"--seeds {seeds} is {len(numbers)} seeds, for {len(files)} files: one file for each seed")
    check_folder(out, "--out")
    system, data = OutsideSystem(name.strip(), setting, encoder or UNSTATED, source, note), open_dataset(dataset)
    read = [read_submission(path) for path in files] if pred else [_answers(path, data, split) for path in files]
    imported = import_predictions(out, system, data, split, dict(zip(numbers, read, strict=True)))
    file_of = dict(zip(numbers, files, strict=True))
    for of_seed in imported:
        for told in of_seed.notes:
            print(f"{file_of[of_seed.seed]}: note: {told}")
        print(_said(of_seed, split))
    if any(of_seed.is_new for of_seed in imported):
        print(f"bench table --out {out} shows them beside other runs")


def _answers(path: Path, dataset: Dataset, split: str) -> Sequence[Prediction]:
    """The predictions in a file of answers. Prints what of it was not read, and why."""
    from bench.outside.answers import read_answers

    reading = read_answers(path, dataset.documents(split), dataset.relations, dataset.relation_names)
    _print_reasons(path, reading)
    return reading.predictions


def _print_reasons(path: Path, reading: Reading) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from bench.cli.console import make_console
    from bench.errors import plural

    print(f"{path}: {plural(len(reading.predictions), 'triple')} read, {sum(reading.refused.values()):,} things not")
    table = Table(box=SIMPLE_HEAD)
    for heading in ("", "times", "for example"):
        table.add_column(heading, justify="right" if heading == "times" else "left")
    for what, counted in (("not read", reading.refused), ("read", reading.taken)):
        for reason, times in counted.most_common():
            table.add_row(f"{what}: {reason}", f"{times:,}", Text("; ".join(reading.examples[reason])))
    if table.rows:
        make_console().print(table)


def _said(imported: Imported, split: str) -> str:
    f1 = f"{split} F1 {points(imported.record.splits[split].scores.f1)}"
    return f"{imported.run}: {f1}" if imported.is_new else f"{imported.run}: {f1}, was there already"
