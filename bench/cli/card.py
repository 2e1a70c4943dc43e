"""`bench card`: the model card of a run, or of the seeds of a row, for the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.completion import complete_run_or_row
from bench.cli.options import DEFAULT_OUT, OutOption

LicenseOption = Annotated[
    str | None,
    typer.Option(
        metavar="LICENSE",
        help="The licence of the weights, as the Hub names it (mit, cc-by-sa-4.0). Without it the card names none.",
    ),
]
HubDatasetOption = Annotated[
    str | None,
    typer.Option(metavar="OWNER/NAME", help="The data set on the Hub, if it is there, for the card to link to it."),
]
BaseModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="OWNER/NAME", help="The encoder on the Hub, where the runs know it as a folder. Default: its name."
    ),
]


def card(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A run, or runs that differ in their seed alone: by parts of their folders' names, or by the name of "
            "a row of `bench table`, which means all of its seeds.",
            autocompletion=complete_run_or_row,
        ),
    ],
    to: Annotated[
        Path, typer.Option(help="Where to write it. A README.md that is no such card is not written over.")
    ] = Path("README.md"),
    license: LicenseOption = None,
    hub_dataset: HubDatasetOption = None,
    base_model: BaseModelOption = None,
    out: OutOption = DEFAULT_OUT,
) -> None:
    """Write a model card: README.md with metadata, from the records of a run or of all seeds of a row.

    It has the scores, how it was trained, checksums of the data, and what may not be claimed from so many seeds.
    """
    from bench.cli.chosen_runs import folders_of
    from bench.cli.output_paths import check_file
    from bench.errors import UsageError, plural
    from bench.filesystem import write_atomically
    from bench.hub.card import Said, card_text, cell_of, is_card

    check_file(to, "--to")
    cell = cell_of(folders_of(runs, out))
    if to.exists() and not is_card(to):
        raise UsageError(f"--to {to}: there is such a file, and no model card of docre-bench; say another")
    text = card_text(cell, Said(license, hub_dataset, base_model))
    write_atomically(to, text.encode())
    for why in cell.errors:
        print(f"left out: {why}")
    print(f"{to}: {plural(len(cell.records), 'seed')}" + ("" if license else "; it names no licence (--license)"))
