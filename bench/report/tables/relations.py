"""Rare relations (Appendix H of the paper), and F1 of each relation beside how frequent it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.systems import System, by_condition
from bench.metrics.official import Counts
from bench.metrics.slices import rare_relations
from bench.report.table import Column, Table
from bench.report.tables.score_cells import Entry, ScoreColumn, score_rows

PAPER_SHARE = "0.027 of the labels of the test set, precision on them 80 %"


@dataclass(frozen=True)
class RelationScores:
    """A system on the relations of a split: labels of each, and F1 in percent, a mean over seeds."""

    system: System
    labels: Mapping[str, int]
    f1: Mapping[str, float]


def relation_scores(system: System, split: str = "test") -> RelationScores | None:
    """F1 of each labelled relation, a mean over the seeds' F1s; None without a finished seed."""
    records = [record for record in system.cell.records if split in record.splits]
    if not records:
        return None
    labels = {relation: gold for relation, (_, _, gold) in records[0].splits[split].relations.items() if gold}
    f1 = {}
    for relation in labels:
        scores = [
            Counts(*record.splits[split].relations.get(relation, (0, 0, labels[relation]))).f1 for record in records
        ]
        f1[relation] = sum(scores) / len(scores)
    return RelationScores(system, labels, f1)


def rare_tables(systems: Sequence[System]) -> Iterator[Table]:
    """For each data set, encoder and setting: how the models do on the relations below the 25th percentile."""
    having = [system for system in systems if system.values("test", "f1", "below_25th_percentile")]
    for (dataset, setting, encoder), group in by_condition(having).items():
        yield _rare(dataset, encoder, setting, group)


def _rare(dataset: str, encoder: str, setting: str, systems: Sequence[System]) -> Table:
    counts = next(r.splits["test"].relations for r in systems[0].cell.records if "test" in r.splits)
    frequency = {relation: gold for relation, (_, _, gold) in counts.items()}
    group = rare_relations(frequency)
    rare = group.relations["below_25th_percentile"]
    total = sum(frequency.values())
    labels = sum(frequency[relation] for relation in rare)
    columns = [ScoreColumn("test", metric, "below_25th_percentile") for metric in ("precision", "recall", "f1")]
    share = labels / total if total else 0.0
    return Table(
        name=f"rare-{dataset}-{encoder}-{setting}",
        title=f"Rare relations: {dataset}, {encoder}, {setting}",
        caption=(
            f"The {len(rare)} relations strictly below the 25th percentile of frequency are {labels:,} of the "
            f"{total:,} labels of the test set ({share:.3f}). Precision divides by the predictions of these relations."
        ),
        columns=(Column("Model", numeric=False), Column("Seeds"), *(column.column for column in columns)),
        rows=tuple(score_rows([Entry(system.name, system) for system in systems], columns, "", encoders=False)),
        notes=(f"Appendix H of the paper, Re-DocRED with RoBERTa-large: {PAPER_SHARE}, of one model.",),
    )
