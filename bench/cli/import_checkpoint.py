"""`bench import-checkpoint`: weights that the authors' programs have saved, as runs beside those trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.completion import complete_dataset
from bench.cli.options import DEFAULT_OUT, OutOption


def import_checkpoint(
    model: Annotated[str, typer.Argument(help="atlop, ssrpu, kd_docre-released, dreeam or ttmre-released.")],
    file: Annotated[Path, typer.Argument(help="What its program saved: torch.save(model.state_dict(), FILE).")],
    dataset: Annotated[
        str,
        typer.Option(
            help="The data set to evaluate it on, with the relations it was trained on.",
            autocompletion=complete_dataset,
        ),
    ],
    encoder: Annotated[
        str,
        typer.Option(
            help="The encoder it was trained with: a folder or Hugging Face id with its configuration and tokenizer. "
            "Its weights are in FILE."
        ),
    ],
    relations: Annotated[
        Path, typer.Option(help="The program's rel2id.json: which relation is which column of the logits.")
    ],
    setting: Annotated[str, typer.Option(help="What it was trained on: the tables it stands in.")] = "human",
    seed: Annotated[int, typer.Option(min=0, help="The seed it was trained with.")] = 66,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value: a hyperparameter that the program's command line had otherwise."),
    ] = None,
    max_length: Annotated[
        int, typer.Option(min=1, help="Word pieces of a document that it reads (the program's --max_seq_length).")
    ] = 1024,
    source: Annotated[str, typer.Option(help="Where it is from: an address, a paper.")] = "",
    note: Annotated[str, typer.Option(help="What a reader of the table should know.")] = "",
    out: OutOption = DEFAULT_OUT,
) -> None:
    """Evaluate a checkpoint of an author's program, and keep it as a run to be tabled, explored and predicted with.

    What the file does not say has to be said here. The same file again changes nothing.
    """
    from bench.cli.output_paths import check_folder
    from bench.data.catalog.dataset import open_dataset
    from bench.execution.imported_run import Checkpoint, import_checkpoint
    from bench.experiment.overrides import parse_changes
    from bench.runs.settings import parts_of

    setting = str(parts_of(setting))
    check_folder(out, "--out")
    changed = parse_changes(changes or [])
    said = Checkpoint(file, model, relations, setting, encoder, seed, changed, max_length, source, note)
    imported = import_checkpoint(out, said, open_dataset(dataset))
    for told in imported.notes:
        print(f"{file}: note: {told}")
    print(f"{imported.run}: {imported.record.headline}" + ("" if imported.is_new else ", was there already"))
    if imported.is_new:
        print(f"bench table --out {out} shows it beside other runs")
