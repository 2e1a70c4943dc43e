"""`bench export-checkpoint`: the weights of a run, as the program of its model's authors loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.chosen_runs import RunArgument
from bench.cli.options import DEFAULT_OUT, OutOption


def export_checkpoint(
    run: RunArgument,
    model: Annotated[
        str, typer.Option("--as", help="Its model: atlop, ssrpu, kd_docre-released, kd_docre, dreeam, ttmre-released.")
    ],
    to: Annotated[
        Path, typer.Option(help="Where to write it; a rel2id.json with the order of its relations goes beside it.")
    ] = Path("checkpoint.pt"),
    relations: Annotated[
        Path | None, typer.Option(help="A rel2id.json of the program whose order to take. Default: the data set's.")
    ] = None,
    out: OutOption = DEFAULT_OUT,
) -> None:
    """Write a run's weights under the names and in the shapes of the program that its model's authors released.

    `bench import-checkpoint` reads them back.
    """
    from bench.cli.chosen_runs import folder_of
    from bench.cli.output_paths import check_file
    from bench.errors import plural
    from bench.execution.exported_checkpoint import export_checkpoint
    from bench.runs.run_folder import RunFolder

    folder = folder_of(run, out).resolve()
    check_file(to, "--to")
    exported = export_checkpoint(RunFolder(folder.parent.parent, folder.name), model, to, relations)
    for told in exported.notes:
        print(f"{to}: note: {told}")
    print(f"{to}: {plural(exported.tensors, 'tensor')}; the order of its relations is in {to.parent / 'rel2id.json'}")
