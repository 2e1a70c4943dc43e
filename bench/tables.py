"""The table of runs as a person reads it, on the terminal and as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.aggregate import ALL, EVIDENCE, Cell, NotApplicable, Row, labels, mean_and_std, not_applicable, rows_of
from bench.filesystem import write_atomically
from bench.report import table as model
from bench.report.markdown import to_markdown

WIDE = 140
"""Columns of a terminal on which dev and test go side by side."""
WIDER = 170
"""The same for tables with evidence."""
COLUMNS = (("f1", "F1"), ("ign_f1", "Ign F1"), ("precision", "Precision"), ("recall", "Recall"))
EVIDENCE_COLUMN = (EVIDENCE + "f1", "Evi F1")


@dataclass(frozen=True)
class Block:
    """One table: a data set and a setting, one line per model. lines: name, cells, complete or not."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def blocks(cells: Sequence[Cell], splits: Sequence[str] = ("dev", "test")) -> list[Block]:
    """The cells as tables. Cells with fewer seeds than planned are marked with *, never silently averaged."""
    grouped: dict[tuple[str, str], list[tuple[Cell, str]]] = defaultdict(list)
    for cell, label in zip(cells, labels(cells), strict=True):
        grouped[cell.plans[0].dataset, cell.plans[0].setting].append((cell, label))
    impossible = not_applicable(cells)
    return [
        _block(*place, group, [none for none in impossible if (none.dataset, none.setting) == place], splits)
        for place, group in grouped.items()
    ]


def _block(
    dataset: str,
    setting: str,
    cells: Sequence[tuple[Cell, str]],
    impossible: Sequence[NotApplicable],
    splits: Sequence[str],
) -> Block:
    columns = (*COLUMNS, EVIDENCE_COLUMN) if any(_has_evidence(cell) for cell, _ in cells) else COLUMNS
    header = ["Model", "Encoder", *(f"{split} {title}" for split in splits for _, title in columns), "Seeds"]
    lines, notes = [], []
    for cell, label in cells:
        plan = cell.plans[0]
        numbers = {(row.split, row.metric): row for row in rows_of([cell]) if row.slice == ALL}
        partial = len(cell.records) < cell.expected
        name = plan.model + (f" ({plan.variant})" if plan.variant else "") + label
        values = [_shown(numbers.get((split, metric))) for split in splits for metric, _ in columns]
        lines.append((name, plan.encoder, *values, f"{len(cell.records)} of {cell.expected}{'*' if partial else ''}"))
        notes += [f"{name}, {error}" for error in cell.errors]
    if any(line[-1].endswith("*") for line in lines):
        notes.insert(0, "* not all planned seeds are there: the mean is over those that are")
    for none in impossible:
        name = none.model + (f" ({none.variant})" if none.variant else "")
        lines.append((name, none.encoder, *(["n/a"] * (len(header) - 2))))
        notes.append(f"{none.model} has no {setting!r}: {none.reason}")
    notes += dict.fromkeys(note for cell, _ in cells for note in documents_notes(cell, splits))
    return Block(f"{dataset}, {setting}", tuple(header), tuple(lines), tuple(notes))


def _has_evidence(cell: Cell) -> bool:
    return any(split.evidence is not None for record in cell.records for split in record.splits.values())


def documents_notes(cell: Cell, splits: Sequence[str]) -> Iterator[str]:
    """What of the documents no model of the cell could get right, if anything: unseen mentions, impossible pairs."""
    yield from _cut(cell, splits)
    yield from _outside(cell, splits)


def _cut(cell: Cell, splits: Sequence[str]) -> Iterator[str]:
    """Mentions the encoder never saw. The same for all seeds: the documents are."""
    if not cell.records:
        return
    record, limit = cell.records[0], cell.plans[0].stages[0].max_length
    lost = {f"{stage.data} (training)": stage.mentions_cut for stage in record.stages}
    lost |= {split: record.splits[split].mentions_cut for split in splits if split in record.splits}
    for what, count in lost.items():
        if count:
            yield f"{record.encoder}: {count:,} mentions of {what} lie past the limit of {limit:,} word pieces"


def _outside(cell: Cell, splits: Sequence[str]) -> Iterator[str]:
    """Labels that no model can predict. The same for all models and seeds: the documents are."""
    for split in splits:
        if cell.records and split in cell.records[0].splits:
            record = cell.records[0].splits[split]
            if record.gold_outside:
                gold = sum(record.documents.gold)
                yield (
                    f"{record.gold_outside:,} of {gold:,} labelled triples of {split} are on pairs that are no "
                    "candidates: counted as missed"
                )


def _shown(row: Row | None) -> str:
    return "—" if row is None else mean_and_std(row)


def for_terminal(block: Block) -> Table:
    """A rich table, for a console without markup: names and errors are shown as they are."""
    title = f"{block.title}: percent, mean ± std over seeds"
    table = Table(title=title, title_justify="left", caption_justify="left", box=None, padding=(0, 1, 0, 0))
    for i, name in enumerate(block.header):
        if i < 2:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name.replace(" ", "\n", 1), justify="right", no_wrap=True)
    for line in block.lines:
        table.add_row(*line)
    if block.notes:
        table.caption = "\n".join(block.notes)
    return table


def print_tables(console: Console, cells: Sequence[Cell]) -> None:
    """All blocks; dev and test below each other where the console is too narrow for both."""
    enough = WIDER if any(map(_has_evidence, cells)) else WIDE
    for splits in [("dev", "test")] if console.width >= enough else [("dev",), ("test",)]:
        for block in blocks(cells, splits):
            console.print(for_terminal(block), "")


def for_markdown(block: Block) -> str:
    """A Markdown table with its title and notes."""
    columns = tuple(model.Column(title, numeric=i > 1) for i, title in enumerate(block.header))
    rows = tuple(model.Row(tuple(map(model.Cell, line))) for line in block.lines)
    caption = "Percent, mean ± sample standard deviation over seeds."
    return to_markdown(model.Table(block.title, block.title, caption, columns, rows, block.notes))


def write_tables(out: Path, cells: Sequence[Cell]) -> Path:
    """`tables/runs.md` of the output folder, made anew."""
    path = out / "tables" / "runs.md"
    text = "\n".join(for_markdown(block) for block in blocks(cells))
    write_atomically(path, f"# Runs\n\n{text}".encode())
    return path
