"""`bench data`: list, add, fetch, validate, stats, thin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.command import Command
from bench.cli.completion import complete_dataset, complete_format
from bench.cli.options import PairsOption
from bench.cli.thin import thin

if TYPE_CHECKING:
    from rich.table import Table

    from bench.data.catalog.dataset import Dataset
    from bench.data.catalog.statistics import SplitStatistics

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="docred, docred-tables (Parquet, Arrow), docgnre, linked-docred, hacred, dwie, chemdisgene (JSON, or "
        "PubTator abstracts with their tables beside them), cdr, gda (17 columns), bc5cdr, biored (PubTator, BioC); "
        "found from the content if not given.",
        autocompletion=complete_format,
    ),
]

app = typer.Typer(help="Data sets: list them, add your own files, fetch published ones, check files, count.")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command("list", cls=Command)
def list_datasets(as_json: JsonFlag = False) -> None:
    """The data sets known here, and how to get those that are not here yet."""
    from bench.data.catalog.dataset import dataset_names, home, state_of
    from bench.data.catalog.registration import load_registration, registration_path
    from bench.data.catalog.releases import OFFICIAL

    rows: list[dict[str, object]] = []
    table = _table("data set", "state", "documents", numbers=False)
    for name in dataset_names():
        state = state_of(name)
        splits: dict[str, int] = {}
        registration = None
        if state in ("registered", "fetched"):
            registration = load_registration(registration_path(name))
            splits = {split: file.documents for split, file in registration.splits.items()}
        text = ", ".join(f"{split} {count:,}" for split, count in splits.items())
        if registration is not None and registration.source is not None:
            text += f"; {registration.source}"
        if state == "generated":
            text = "made on first use"
        elif state == "not fetched":
            text = f"{OFFICIAL[name].description}; get it: bench data fetch {name}"
        rows.append({"name": name, "state": state, "splits": splits})
        table.add_row(*_plain(name, state, text))
    if as_json:
        _print_json(rows)
        return
    _show(table)
    typer.echo(f"kept in {home()} (BENCH_HOME)")


@app.command(cls=Command)
def add(
    name: Annotated[str, typer.Argument(help="What to call it: bench run --dataset NAME.")],
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="PLACE",
            help="Where all of its files lie: a folder, or hf://OWNER/NAME (a data set of the Hub; @REVISION after it, "
            "and a folder of it, as you like). The options name other files for their splits.",
        ),
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Human-labelled training documents.")] = None,
    test: Annotated[
        Path | None, typer.Option(help="Test documents; without labels they can only be predicted on.")
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(help="Development documents; of the file of --train where --train-ids or --dev-ids is given."),
    ] = None,
    train_ids: Annotated[
        Path | None,
        typer.Option(
            help="Ids (titles) of the documents to train on, one a line, or a file of documents with these titles; "
            "the others of the file of --train are dev."
        ),
    ] = None,
    dev_ids: Annotated[
        Path | None, typer.Option(help="The same of the development documents; the others of that file are trained on.")
    ] = None,
    test_ids: Annotated[
        Path | None, typer.Option(help="The same of the test documents; the others of --test are left out.")
    ] = None,
    distant: Annotated[Path | None, typer.Option(help="Distantly labelled training documents.")] = None,
    ext: Annotated[
        Path | None, typer.Option(help="Extremely unlabeled training documents; derived from --train if not given.")
    ] = None,
    dev_ext: Annotated[
        Path | None,
        typer.Option(help="The same for dev. Documents whose title is not in --dev are left out (and counted)."),
    ] = None,
    facts: Annotated[
        Path | None, typer.Option(help="Training facts for Ign F1, a .fact file; computed from --train if not given.")
    ] = None,
    relations: Annotated[
        list[Path] | None,
        typer.Option(help="rel2id.json (gives the order) or rel_info.json (gives names); may be given twice."),
    ] = None,
    ext_seed: Annotated[int, typer.Option(help="Seed of a derived ext split.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Accept files that share documents with test.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a data set of the same name.")] = False,
    form: FormatOption = None,
    pairs: PairsOption = None,
    hypernyms: Annotated[
        Path | None,
        typer.Option(
            help="BC5CDR: MeSH's tree (NLM's d2017.bin, or a table of tree numbers), to leave out pairs whose disease "
            "stands above one that the chemical induces. All pairs if not given."
        ),
    ] = None,
) -> None:
    """Register your own files under a name, after checking all of them. They stay where they are.

    A file may be a folder with a document in each of its JSON files, where the corpus has it so (DWIE), a folder of
    Parquet files or of save_to_disk, or a pattern for the parts of a split ('train-*.parquet').
    """
    from bench.cli.progress import showing_progress
    from bench.data.catalog import hub
    from bench.data.catalog.dataset import add_dataset
    from bench.data.formats.detect import format_of
    from bench.data.formats.pair_order import checked_order

    found: dict[str, Path] = {}
    source = None
    if place is not None:
        if place.startswith(hub.SCHEME):
            found, of_relations, source = hub.fetched(place)
        else:
            found, of_relations = hub.in_folder(Path(place))
        relations = relations or of_relations
    paths = {"train": train, "dev": dev, "test": test, "distant": distant, "ext": ext, "dev_ext": dev_ext}
    lists = {"train": train_ids, "dev": dev_ids, "test": test_ids}
    with showing_progress() as doing:
        dataset, notes = add_dataset(
            name,
            found | {split: path for split, path in paths.items() if path is not None},
            form=None if form is None else format_of(form),
            facts=facts,
            relations=relations or [],
            ext_seed=ext_seed,
            pairs=checked_order(pairs),
            hypernyms=hypernyms,
            ids={split: path for split, path in lists.items() if path is not None},
            source=source,
            force=force,
            replace=replace,
            doing=doing,
        )
    _say_registered(dataset, notes)


@app.command(cls=Command)
def fetch(
    name: Annotated[
        str, typer.Argument(help="A published data set (`bench data list`).", autocompletion=complete_dataset)
    ],
    force: Annotated[bool, typer.Option("--force", help="Accept files that share documents with test.")] = False,
) -> None:
    """Download a published data set, or say which file to put where; go on where an earlier download ended."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from bench.data.catalog.dataset import Dataset
    from bench.data.catalog.download import fetch as fetch_files

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def show(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file)
            bar.update(tasks[file], completed=done, total=total)

        registration, notes = fetch_files(name, force, show)
    _say_registered(Dataset(registration), notes)


@app.command(cls=Command)
def validate(
    files: Annotated[
        list[Path], typer.Argument(help="Files of documents, or folders of them (DWIE).", metavar="FILE...")
    ],
    relations: Annotated[
        list[Path] | None, typer.Option(help="rel2id.json or rel_info.json: the relations labels may have.")
    ] = None,
    form: FormatOption = None,
    distant: Annotated[
        bool, typer.Option("--distant", help="Distantly labelled documents: titles may repeat (noted, not refused).")
    ] = False,
) -> None:
    """Check files; print every problem of each. Exit status 1 if there is any."""
    from bench.data.catalog.relations import read_relations
    from bench.data.formats.detect import format_of, scan
    from bench.errors import plural

    chosen = None if form is None else format_of(form)
    known = None
    if relations:
        known, _, _, notes = read_relations(relations)
        for remark in notes:
            typer.echo(f"note: {remark}")
    wrong = False
    for path in files:
        result = scan(path, chosen, known, repeated_titles=distant)
        if result.problems:
            wrong = True
            typer.echo(f"bench data validate: {result.report()}")
        else:
            why = f"; {result.no_labels}" if result.no_labels else ""
            what = plural(result.labels, "label") if result.labelled else f"no labels (a blind file: predict only{why})"
            typer.echo(f"{path}: {plural(result.count, 'document')}, {what}: no problems")
        for note, count in [*sorted(result.notes.items()), *sorted(result.changes.items())]:
            typer.echo(f"  note: {note.of(count)}")
    if wrong:
        raise typer.Exit(1)


@app.command(cls=Command)
def stats(
    name: Annotated[str, typer.Argument(help="A data set (`bench data list`).", autocompletion=complete_dataset)],
    as_json: JsonFlag = False,
    relations_table: Annotated[
        bool, typer.Option("--relations-table", help="Also the labels of each relation (the paper's Figure 6).")
    ] = False,
) -> None:
    """Documents, entities, labelled triples, sentences of each split (the paper's Tables 1 and 2)."""
    from dataclasses import asdict

    from bench.data.catalog.dataset import open_dataset
    from bench.data.catalog.statistics import describe

    dataset = open_dataset(name)
    described = {split: describe(dataset, split) for split in dataset.splits}
    statistics = {split: known.statistics for split, known in described.items()}
    counts = {split: known.relations for split, known in described.items()}
    if as_json:
        splits = {
            split: {
                **asdict(statistics[split]),
                "labelled": dataset.is_labelled(split),
                "derived": dataset.is_derived(split),
            }
            for split in dataset.splits
        }
        content = {"dataset": name, "relations": len(dataset.relations), "splits": splits, "labels": counts}
        content |= {"conventions": dataset.conventions()}
        _print_json({**content, "notes": [dataset.uneven_labels] if dataset.uneven_labels else []})
        return
    _show_statistics(dataset, statistics)
    if dataset.uneven_labels:
        typer.echo(f"note: {dataset.uneven_labels}")
    if relations_table:
        table = _table("relation", "name", *dataset.splits)
        for relation in counts["train"]:
            numbers = [f"{counts[split][relation]:,}" for split in dataset.splits]
            table.add_row(*_plain(relation, dataset.relation_names.get(relation, relation), *numbers))
        _show(table)


app.command(cls=Command)(thin)


def _show_statistics(dataset: Dataset, statistics: dict[str, SplitStatistics]) -> None:
    from bench.errors import plural

    table = _table("statistics", *(f"{s} (derived)" if dataset.is_derived(s) else s for s in dataset.splits))
    rows = {
        "# documents": "documents",
        "avg. # entities": "entities",
        "avg. # mentions": "mentions",
        "avg. # labelled triples": "triples",
        "avg. # sentences": "sentences",
        "avg. # words": "words",
        "avg. # pairs": "pairs",
        "avg. # pairs with a relation": "pairs_with_relation",
        "# relations used": "relations",
    }
    for title, key in rows.items():
        values = []
        for split in dataset.splits:
            value = getattr(statistics[split], key)
            blind = key in ("triples", "pairs_with_relation", "relations") and not dataset.is_labelled(split)
            if blind or value is None:
                values.append("no labels" if blind else "not given")
            else:
                values.append(f"{value:,}" if isinstance(value, int) else f"{value:,.2f}")
        table.add_row(title, *values)
    _show(table)
    typer.echo(f"{dataset.name}: {plural(len(dataset.relations), 'relation')}")
    conventions = dataset.conventions()
    for what in ("pairs", "scored"):
        typer.echo(f"{what}: {conventions[what]}")


def _say_registered(dataset: Dataset, notes: list[str]) -> None:
    from bench.errors import plural

    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo(f"registered {dataset.name!r}: {plural(len(dataset.relations), 'relation')}")
    for split in dataset.splits:
        count = plural(dataset.count(split), "document")
        how = f"derived, seed {dataset.ext_seed}" if dataset.is_derived(split) else count
        typer.echo(f"  {split}: {how}")
    source = dataset.facts_source()
    if "none" in source:
        typer.echo(f"  {source['none']}")
    else:
        typer.echo(f"  facts for Ign F1: {source.get('file') or 'computed from train'}")
    typer.echo(f"use it: bench run --dataset {dataset.name}")


def _table(*columns: str, numbers: bool = True) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and index else "left")
    return table


def _show(table: Table) -> None:
    from rich.console import Console

    # Into a file or a pipe there is no width to fit: lines as long as they are, not folded at 80.
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)


def _plain(*cells: str) -> list[str]:
    from rich.markup import escape

    return [escape(cell) for cell in cells]


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))
