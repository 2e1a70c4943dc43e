"""`bench data thin`: what is left of the training labels at each share, and how to train on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.completion import complete_dataset, complete_rule

if TYPE_CHECKING:
    from bench.data.catalog.dataset import Dataset
    from bench.data.catalog.statistics import LabelStatistics
    from bench.label_share import LabelShare

PRIORS = """
dev and test keep all labels. Whatever the share, models are trained as their recipes have it for ext. A recipe may
say how many positives there are for each labelled one (all / kept, where train is complete); to say it of each share:
""".lstrip()
RULE = "per-type: one of each relation type and document, then a second one; at-random; by-annotator: from the front."


def thin(
    name: Annotated[str, typer.Argument(help="A data set (`bench data list`).", autocompletion=complete_dataset)],
    keep: Annotated[
        str, typer.Option(help="Shares of the labelled training triples, in percent, comma-separated.")
    ] = "5%,10%,19%,50%,100%",
    rule: Annotated[str, typer.Option(help=RULE, autocompletion=complete_rule)] = "per-type",
    seed: Annotated[int, typer.Option(min=0, help="Of the draws; a smaller share is part of a larger one.")] = 0,
    to: Annotated[
        Path | None, typer.Option(help="A folder to write the label sets to, for other programs: DocRED's JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """What is left of the training labels at each share. Trains on them: bench run --settings ext@10%,ext@50%.

    Nothing has to be made or registered first: the share, rule and seed in a setting's name say which labels.
    """
    from bench.cli.output_paths import check_folder
    from bench.data.catalog.dataset import open_dataset
    from bench.data.catalog.statistics import label_statistics
    from bench.errors import UsageError
    from bench.label_share import parse_share

    shares = [parse_share(f"{percent.strip()}:{rule}:{seed}") for percent in keep.split(",") if percent.strip()]
    if not shares:
        raise UsageError(f"--keep {keep!r} names no share; expected percent, as in --keep 10%,50%")
    shares = sorted(dict.fromkeys(shares), key=lambda share: share.percent)
    dataset = open_dataset(name)
    if to is not None:
        check_folder(to, "--to")
        _check_form(dataset)
    before = label_statistics(dataset.documents("train"))
    kept = {share: label_statistics(dataset.documents(share.of("train"))) for share in shares}
    written = {share: _write(dataset, share, to) for share in shares} if to is not None else {}
    if as_json:
        _print_json(dataset, before, kept, written)
        return
    _show(dataset, before, kept)
    for path in written.values():
        typer.echo(f"wrote {path}")


def _check_form(dataset: Dataset) -> None:
    from bench.errors import UsageError

    documents = dataset.documents("train")
    if any(document.candidates is not None for document in documents):
        lost = "their candidate pairs"
    elif not all(document.spaced for document in documents):
        lost = "that they are written without spaces"
    else:
        return
    raise UsageError(
        f"--to writes DocRED's JSON, in which the documents of {dataset.name!r} ({dataset.form.name}) would lose "
        f"{lost}. Training on a share of their labels needs no file: bench run --settings ext@10%"
    )


def _write(dataset: Dataset, share: LabelShare, to: Path) -> Path:
    from bench.data.formats.docred import write_documents

    path = to / f"train.{share.rule}-{share.percent.normalize():f}{f'-seed-{share.seed}' if share.seed else ''}.json"
    write_documents(path, dataset.documents(share.of("train")))
    return path


def _show(dataset: Dataset, before: LabelStatistics, kept: Mapping[LabelShare, LabelStatistics]) -> None:
    from rich.table import Table

    from bench.cli.console import make_console
    from bench.errors import plural
    from bench.label_share import shown_percent

    share = next(iter(kept))
    triples, documents = plural(before.triples, "labelled triple"), plural(before.documents, "training document")
    typer.echo(f"{dataset.name}: {triples} in {documents}; rule {share.rule}, seed {share.seed}")
    one_each = f"{before.types:,} triples, {100 * before.types / max(before.triples, 1):.1f}%"
    typer.echo(f"one of each relation type and document, as in ext, would be {one_each}")
    table = Table(box=None, pad_edge=False)
    for title in ("share", "triples", "per document", "all / kept", "relations", "documents without labels"):
        table.add_column(title, justify="right")
    for share, of in kept.items():
        table.add_row(
            shown_percent(share.percent), f"{of.triples:,}", f"{of.triples / of.documents:.2f}",
            f"{before.triples / of.triples:.2f}", f"{of.relations:,} of {before.relations:,}", f"{of.unlabelled:,}",
        )  # fmt: skip
    make_console().print(table)
    settings = ",".join(f"ext@{share}" for share in kept)
    typer.echo(f"train on them: bench run --dataset {dataset.name} --models atlop,ssrpu --settings {settings}")
    priors = [f"--set ext@{share}.prior_multiple={100 / float(share.percent):.4g}" for share in kept]
    typer.echo(PRIORS + " ".join(priors))


def _print_json(
    dataset: Dataset,
    before: LabelStatistics,
    kept: Mapping[LabelShare, LabelStatistics],
    written: Mapping[LabelShare, Path],
) -> None:
    import json
    from dataclasses import asdict

    shares = [
        {
            "setting": f"ext@{share}", "percent": float(share.percent), "rule": share.rule, "seed": share.seed,
            **asdict(of), "file": str(written[share]) if share in written else None,
        }
        for share, of in kept.items()
    ]  # fmt: skip
    typer.echo(json.dumps({"dataset": dataset.name, "train": asdict(before), "shares": shares}, indent=2))
