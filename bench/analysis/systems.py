"""What is compared and tabled: all seeds of one configuration, ours or published, under one name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from bench.analysis import stats
from bench.analysis.aggregate import ALL, Cell, Score, labels
from bench.analysis.published import PublishedRow
from bench.analysis.robust import interquartile_mean
from bench.analysis.stats import Array, Summary
from bench.runs.names import NO_ENCODER, model_name
from bench.runs.plan import RunPlan
from bench.runs.settings import parts_of


class Condition(NamedTuple):
    """What systems share where they can be compared."""

    dataset: str
    setting: str
    encoder: str

    @classmethod
    def of(cls, plan: RunPlan) -> Condition:
        """The condition of a run."""
        return cls(plan.dataset, plan.setting, plan.encoder)

    @property
    def heading(self) -> str:
        """`redocred, roberta-large, human`: how the report heads tables and figures."""
        return f"{self.dataset}, {self.encoder}, {self.setting}"

    def __str__(self) -> str:
        return ", ".join(self)


@dataclass(frozen=True, eq=False)
class System:
    """All seeds of one configuration: a cell of the records, or a published row.

    name: `ttmre (layers=2) #1a2b`, as tables show it; of a published row with the table that prints it.
    expected: seeds planned, or claimed by who published it (None: not told).
    cell: its plans and records, none of a published row.   row: the published row; None of a cell.
    notes: what its numbers are to be read with: failed seeds, doubts about a published row.
    """

    name: str
    encoder: str
    expected: int | None
    cell: Cell
    row: PublishedRow | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of_cell(cls, cell: Cell, label: str) -> System:
        """The system of a cell. label: what tells it from others of its name (`bench.analysis.aggregate.labels`)."""
        plan = cell.plans[0]
        return cls(model_name(plan.model, plan.variant) + label, plan.encoder, cell.expected, cell, notes=cell.errors)

    @classmethod
    def of_row(cls, row: PublishedRow, notes: Sequence[str] = ()) -> System:
        """The system of a published row. notes: what is known against it."""
        return cls(f"{row.name} ({row.place})", row.encoder, row.seeds, Cell((), (), ()), row, tuple(notes))

    @property
    def published(self) -> bool:
        """Whether it is a published row, not a cell of our records."""
        return self.row is not None

    @property
    def plan(self) -> RunPlan:
        """The plan of its first seed. A published row has none: IndexError."""
        return self.cell.plans[0]

    @property
    def is_without_encoder(self) -> bool:
        """Whether no encoder of ours is part of it: its model has none, or its predictions were made elsewhere."""
        return self.plan.outside is not None or self.plan.encoder == NO_ENCODER

    @property
    def seeds(self) -> str:
        """How many of the planned seeds are finished: `4 of 5`."""
        return f"{len(self.cell.records)} of {self.expected}"

    def lacks_seeds(self, scores: Iterable[tuple[str, str]]) -> bool:
        """Whether planned seeds are not finished, or lack one of these scores (split, metric) that others have."""
        return len(self.cell.records) < self.cell.expected or any(self.is_partial(*score) for score in scores)

    def is_partial(self, split: str, metric: str = "f1", part: str = ALL) -> bool:
        """Whether a score is a mean over fewer seeds than were planned."""
        score = self.score(split, metric, part)
        return score is not None and score.n < score.expected

    def seeds_with(self, split: str, metric: str = "f1") -> str:
        """How many of the planned seeds have a score: `2 of 5` of which three predict on dev alone."""
        return f"{len(self.values(split, metric))} of {self.expected}"

    def score(self, split: str, metric: str, part: str = ALL) -> Score | None:
        """What our records say of a score, None where they have no such score. part: a slice of the split."""
        return self._scores.get((split, part, metric))

    @cached_property
    def _scores(self) -> dict[tuple[str, str, str], Score]:
        scores = () if self.published else self.cell.scores
        return {(score.split, score.slice, score.metric): score for score in scores}

    def values(self, split: str, metric: str, part: str = ALL) -> list[float]:
        """One score per finished seed; none of a published row."""
        score = self.score(split, metric, part)
        return list(score.seeds.values()) if score else []

    def summary(self, split: str, metric: str) -> Summary | None:
        """Mean, deviation and seeds of a score of a whole split; None where nobody has it."""
        if self.row is None:
            values = self.values(split, metric)
            return stats.summarize(values) if values else None
        printed = self.row.scores.get(metric)
        if printed is None or (self.row.split, self.row.slice) != (split, ALL):
            return None
        return Summary(float(printed.mean), None if printed.std is None else float(printed.std), self.row.seeds or 0)

    def interquartile_mean(self, split: str, metric: str) -> float | None:
        """The mean of the middle half of the seeds' scores; None without four of them, which have no other middle."""
        values = self.values(split, metric)
        return float(interquartile_mean(np.array(values))) if len(values) > 3 else None

    def counts(self, split: str) -> Array | None:
        """Of each document correct, predicted, gold, correct in facts: [seeds, documents, 4].

        None without a record, or where not all records have the split, of the same documents; and where one of them
        predicts of documents that the split lacks, since those count in its score and in no document's.
        """
        if self.titles(split) is None or self.predicts_elsewhere(split):
            return None
        documents = [record.splits[split].documents for record in self.cell.records]
        columns = [(of.correct, of.predicted, of.gold, of.correct_in_facts) for of in documents]
        return np.stack([np.array(of_seed, dtype=float).T for of_seed in columns])

    def titles(self, split: str) -> list[str] | None:
        """The documents of a split, where all records have the same; else, and without a record, None."""
        records = self.cell.records
        titles = [record.splits[split].documents.titles if split in record.splits else None for record in records]
        return titles[0] if titles and all(of_seed == titles[0] for of_seed in titles) else None

    def predicts_elsewhere(self, split: str) -> bool:
        """Whether a record has predictions of documents that the split lacks, as one of another file may."""
        return any(record.splits[split].unknown_titles for record in self.cell.records if split in record.splits)

    def as_json(self, split: str, metric: str) -> dict[str, Any]:
        """Everything of one score but the documents' counts."""
        mean, std, n = self.summary(split, metric) or (None, None, 0)
        return {
            "name": self.name, "encoder": self.encoder, "published": self.published, "mean": mean, "std": std, "n": n,
            "expected": self.expected, "seeds": self.values(split, metric), "notes": list(self.notes),
            "interquartile_mean": self.interquartile_mean(split, metric),
        }  # fmt: skip


def systems_of(cells: Sequence[Cell]) -> list[System]:
    """A system for each cell, with names that differ wherever configurations do."""
    return [System.of_cell(cell, label) for cell, label in zip(cells, labels(cells), strict=True)]


def by_condition(systems: Sequence[System]) -> dict[Condition, list[System]]:
    """The systems of each condition, in their order.

    Those that no encoder of ours was trained for stand beside all others of their data set and setting, and where
    there are no others, beside each other.
    """
    conditions: dict[Condition, list[System]] = defaultdict(list)
    beside = encoders_beside(systems, lambda system: system.plan.setting)
    for system in systems:
        own = Condition.of(system.plan)
        for encoder in beside[own[:2]] if system.is_without_encoder else (own.encoder,):
            conditions[own._replace(encoder=encoder)].append(system)
    return {condition: told_apart(of_condition) for condition, of_condition in conditions.items()}


def encoders_beside(systems: Sequence[System], setting_of: Callable[[System], str]) -> dict[tuple[str, str], list[str]]:
    """By data set and setting: the encoders beside which systems are shown that no encoder of ours was trained for.

    Those that others were trained with; where there are none, the one that all of these name, or none in particular.
    """
    trained: dict[tuple[str, str], set[str]] = defaultdict(set)
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    for system in systems:
        of = system.plan.dataset, setting_of(system)
        (named if system.is_without_encoder else trained)[of].add(system.plan.encoder)
    alone = {of: sorted(encoders) if len(encoders) == 1 else [NO_ENCODER] for of, encoders in named.items()}
    return alone | {of: sorted(encoders) for of, encoders in trained.items()}


def told_apart(systems: Sequence[System]) -> list[System]:
    """The systems of a condition, those of one name by the encoder that was said of each."""
    count = Counter(system.name for system in systems)
    return [
        replace(system, name=f"{system.name} with {system.encoder}") if count[system.name] > 1 else system
        for system in systems
    ]


def most_rows_first(group: tuple[Condition, Sequence[System]]) -> tuple[int, bool]:
    """What orders conditions of which not all can be shown; shares of labels, of which there are many, give way."""
    condition, systems = group
    return -len(systems), parts_of(condition.setting).share is not None


def same_encoder(one: str, two: str) -> bool:
    """Whether two names are of one encoder: `microsoft/deberta-v3-large` is `deberta-v3-large`."""
    return one.rpartition("/")[2] == two.rpartition("/")[2]
