"""`bench export`: documents in forms that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.completion import complete_dataset


def export(
    for_llm: Annotated[
        str,
        typer.Option(
            "--for-llm",
            help="Documents for a language model: a file in any form that `bench data add` reads, or train, dev or "
            "test of the data set.",
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            help="The data set that says which relations there are, and their names.", autocompletion=complete_dataset
        ),
    ],
    to: Annotated[Path, typer.Option(help="Where to write them, a JSON object a line.")] = Path("prompts.jsonl"),
) -> None:
    """Write documents, without their labels, as a language model can be asked about them.

    Each line has a document's title, its text with numbered entities, their types, and the relations to look for. What
    the model answers goes back with `bench import NAME --from-llm`.
    """
    import json

    from bench.cli.output_paths import check_file
    from bench.data.catalog.dataset import open_dataset
    from bench.data.formats.detect import read_documents
    from bench.errors import plural
    from bench.filesystem import write_atomically
    from bench.outside.prompts import described_relations, prompts

    check_file(to, "--to")
    of = open_dataset(dataset)
    documents = of.documents(for_llm) if for_llm in of.splits else read_documents(Path(for_llm))
    relations = described_relations(of.relations, of.relation_names, of.relation_descriptions)
    lines = [json.dumps(prompt, ensure_ascii=False) for prompt in prompts(documents, relations)]
    write_atomically(to, "".join(f"{line}\n" for line in lines).encode("utf-8"))
    described = f", {len(of.relation_descriptions)} of them described" if of.relation_descriptions else ""
    typer.echo(f"{plural(len(lines), 'document')}, {plural(len(relations), 'relation')}{described}: {to}")
