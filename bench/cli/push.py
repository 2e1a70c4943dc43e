"""`bench push`: a run, or the seeds of a row, put on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.card import BaseModelOption, HubDatasetOption, LicenseOption
from bench.cli.completion import complete_run_or_row
from bench.cli.options import DEFAULT_OUT, OutOption


def push(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A run, or runs that differ in their seed alone, as for `bench card`.",
            autocompletion=complete_run_or_row,
        ),
    ],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository, made if it is not there.")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who may see a repository that is made now.")
    ] = True,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A card that you have written. Default: that of `bench card`.")
    ] = None,
    license: LicenseOption = None,
    hub_dataset: HubDatasetOption = None,
    base_model: BaseModelOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the files and their sizes; send nothing.")] = False,
    out: OutOption = DEFAULT_OUT,
) -> None:
    """Upload finished runs to the Hugging Face Hub: their card, records, predictions and models, in one commit.

    The repository is an output folder: downloaded, `bench predict` and `bench table` take it with --out. Nothing of the
    machine is sent (no times, no host), but what runs were named with is: the encoder as it was typed, say.
    """
    from bench.cli.chosen_runs import folders_of
    from bench.errors import UsageError, plural
    from bench.hub import upload
    from bench.hub.card import Said, card_text, cell_of

    upload.check_repository(repository)
    folders = folders_of(runs, out)
    cell = cell_of(folders)
    if cell.errors:
        raise UsageError("\n".join(cell.errors))
    if card is None:
        name = repository.rpartition("/")[2]
        content = card_text(cell, Said(license, hub_dataset, base_model), name).encode()
    elif license or hub_dataset or base_model:
        raise UsageError("--card: it says by itself what --license, --hub-dataset and --base-model say")
    elif not card.is_file():
        raise UsageError(f"--card {card}: there is no such file")
    else:
        content = card.read_bytes()
    files = upload.uploads_of(folders, content)
    total = plural(sum(file.size for file in files), "byte")
    if dry_run:
        for file in files:
            print(f"{file.size:>15,}  {file.path}")
        print(f"{plural(len(files), 'file')}, {total}, would go to {repository} ({'private' if private else 'public'})")
        return
    seeds = ", ".join(str(record.seed) for record in cell.records)
    plan = cell.plans[0]
    message = f"{plan.model} on {plan.dataset}, {plan.setting}, seed{'s' * (len(cell.records) > 1)} {seeds}"
    done = upload.push(files, repository, message, private)
    print(f"{done.url}: {plural(len(files) - done.kept_readme, 'file')}, {total}")
    if not done.made:
        print("it was there before: who may see it stays as it was")
    if done.kept_readme:
        print("its README.md is no card of docre-bench, and stays; --card FILE replaces it by yours")
    elif not license and card is None:
        print("its card names no licence (--license)")
