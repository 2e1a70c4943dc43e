"""What stands below a table of what no model could get right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.aggregate import Cell


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
