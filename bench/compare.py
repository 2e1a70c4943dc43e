"""Two systems of the records, or one and a published row: how far apart they are, and what may be said of it.

Systems are compared within one data set, setting and encoder. All comparisons asked for at once are one family: their p
values are adjusted together (Holm), since whoever looks at many differences finds some.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from bench import stats
from bench.aggregate import Cell, labels
from bench.comparable import Difference, differences
from bench.errors import UsageError, unknown
from bench.published import Published, TableRow
from bench.stats import Array, Bootstrap, Metric, Permutation, Summary, Welch

PUBLISHED = "published:"
ALPHA = 0.05
TITLES: dict[Metric, str] = {"f1": "F1", "ign_f1": "Ign F1", "precision": "precision", "recall": "recall"}
Test = Literal["welch", "permutation", "randomization", "bootstrap"]
_NAME = re.compile(r"(?P<model>[^:(#]+?)\s*(?:\((?P<shown>.*)\)|:(?P<typed>[^#]*))?\s*(?:#(?P<configuration>\w+))?")


class Place(NamedTuple):
    """Where systems can be compared."""

    dataset: str
    setting: str
    encoder: str

    def __str__(self) -> str:
        return ", ".join(self)


@dataclass(frozen=True)
class Question:
    """What is asked of the systems: which score, of which split, with how many resamples of its documents."""

    metric: Metric = "f1"
    split: str = "test"
    resamples: int = stats.RESAMPLES

    @property
    def title(self) -> str:
        """`test F1`."""
        return f"{self.split} {TITLES[self.metric]}"


@dataclass(frozen=True)
class Side:
    """One system. summary: None without a finished seed.   expected: seeds planned, or claimed by who published it.

    values: one score per seed, empty where they are not told.   counts: [seeds, documents, 4], None where there are
    none.
    """

    name: str
    encoder: str
    summary: Summary | None
    expected: int | None
    values: tuple[float, ...] = ()
    counts: Array | None = None
    cell: Cell | None = None
    notes: tuple[str, ...] = ()

    @property
    def published(self) -> bool:
        """Whether it is somebody else's."""
        return self.cell is None

    @property
    def partial(self) -> bool:
        """Whether seeds that were planned are missing."""
        return not self.published and self.expected is not None and len(self.values) < self.expected

    def as_json(self) -> dict[str, Any]:
        """Everything but the documents' counts."""
        mean, std, n = self.summary or (None, None, 0)
        return {
            "name": self.name, "encoder": self.encoder, "published": self.published, "mean": mean, "std": std, "n": n,
            "expected": self.expected, "seeds": list(self.values), "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """a against b; differences are a - b, in points of percent. A test that is None could not be done.

    holm: the adjusted p of each test, over all comparisons asked for together.   family: how many those are.
    unlike: what the two should share and do not; `comparable` is False where their scores mean different things, and
    then there is neither a difference nor a test.
    """

    place: Place
    question: Question
    a: Side
    b: Side
    welch: Welch | None = None
    permutation: Permutation | None = None
    bootstrap: Bootstrap | None = None
    randomization: float | None = None
    unlike: tuple[Difference, ...] = ()
    holm: Mapping[Test, float] = field(default_factory=dict)
    family: int = 1

    @property
    def comparable(self) -> bool:
        """Whether the scores were counted in the same way on the same documents."""
        return not any(difference.kind == "evaluation" for difference in self.unlike)

    @property
    def difference(self) -> float | None:
        """Of the means; None where a side has none, or where they cannot be compared."""
        if self.a.summary is None or self.b.summary is None or not self.comparable:
            return None
        return self.a.summary.mean - self.b.summary.mean

    @property
    def p(self) -> dict[Test, float]:
        """The unadjusted p of each test that could be done."""
        tests: dict[Test, float | None] = {
            "welch": self.welch.p if self.welch else None,
            "permutation": self.permutation.p if self.permutation else None,
            "randomization": self.randomization,
            "bootstrap": self.bootstrap.p if self.bootstrap else None,
        }
        return {name: p for name, p in tests.items() if p is not None}


def compare(place: Place, question: Question, a: Side, b: Side) -> Comparison:
    """Every test of two systems that their data allow, unadjusted."""
    made = Comparison(place, question, a, b)
    if a.cell is not None and b.cell is not None:
        unlike = differences({a.name: a.cell.plans[0], b.name: b.cell.plans[0]})
        made = replace(made, unlike=tuple(d for d in unlike if d.kind != "evaluation" or _matters(d, question)))
    if a.summary is None or b.summary is None or not made.comparable:
        return made
    made = replace(made, welch=stats.welch_of_summaries(a.summary, b.summary))
    if min(len(a.values), len(b.values)) > 1:
        made = replace(made, permutation=stats.permutation(a.values, b.values))
    if a.counts is not None and b.counts is not None and a.counts.shape[1] > 1:
        made = replace(
            made,
            bootstrap=stats.paired_bootstrap(a.counts, b.counts, question.metric, question.resamples),
            randomization=stats.randomization(a.counts, b.counts, question.metric, question.resamples),
        )
    return made


def _matters(difference: Difference, question: Question) -> bool:
    """Whether what the two do not share has a part in the score that is asked for."""
    of_split = {"test documents": "test", "dev documents": "dev"}
    if difference.what in of_split:
        return question.split == of_split[difference.what]
    return difference.what != "facts for Ign F1" or question.metric == "ign_f1"


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same with Holm's adjustment of each test's p over all of them."""
    holm: list[dict[Test, float]] = [{} for _ in comparisons]
    tests: tuple[Test, ...] = ("welch", "permutation", "randomization", "bootstrap")
    for test in tests:
        tested = [(i, c.p[test]) for i, c in enumerate(comparisons) if test in c.p]
        for (i, _), p in zip(tested, stats.holm([p for _, p in tested]), strict=True):
            holm[i][test] = p
    return [replace(c, holm=p, family=len(comparisons)) for c, p in zip(comparisons, holm, strict=True)]


class Systems:
    """The systems that can be compared, found by the names that `bench table` shows."""

    def __init__(self, cells: Sequence[Cell], published: Published | None, question: Question) -> None:
        self.question = question
        self.published = published
        self.places: dict[Place, list[tuple[Cell, str]]] = defaultdict(list)
        for cell, label in zip(cells, labels(cells), strict=True):
            plan = cell.plans[0]
            self.places[Place(plan.dataset, plan.setting, plan.encoder)].append((cell, label))

        self._sides: dict[tuple[Place, str], Side] = {}

    def limit(self, dataset: str | None, setting: str | None, encoder: str | None) -> None:
        """Leave only what is of the data set, setting and encoder. Raises UsageError for one that no run has."""
        for name, wanted in (("dataset", dataset), ("setting", setting), ("encoder", encoder)):
            if wanted is None:
                continue
            there = {getattr(place, name) for place in self.places}
            if wanted not in there:
                raise unknown(f"{name} of these runs", wanted, there)
            self.places = {place: cells for place, cells in self.places.items() if getattr(place, name) == wanted}

    def pair(self, a: str, b: str) -> list[Comparison]:
        """a against b, wherever both are."""
        if a.startswith(PUBLISHED) and b.startswith(PUBLISHED):
            raise UsageError("two published rows: one of the two has to be a model of the records")
        for name in (a, b):
            self._check(name)
        found = [
            compare(place, self.question, x, y)
            for place in self.places
            for x in self._find(a, place)
            for y in self._find(b, place)
        ]
        if not found:
            told = "\n".join(f"{name}: {self._whereabouts(name)}" for name in (a, b))
            raise UsageError(f"{a} and {b} have no data set, setting and encoder in common\n{told}")
        return _comparable(found)

    def against(self, reference: str, names: Sequence[str] = ()) -> list[Comparison]:
        """Each of the named systems, or all there are, against one, wherever that is."""
        for name in (reference, *names):
            self._check(name)
        found = []
        for place in self.places:
            for other in self._find(reference, place):
                sides = [side for name in names for side in self._find(name, place)] if names else self._all(place)
                found += [compare(place, self.question, s, other) for s in sides if s.name != other.name]
        if not found:
            raise UsageError(f"nothing to compare with {reference}, which is in {self._whereabouts(reference)}")
        return _comparable(found)

    def _check(self, name: str) -> None:
        if not any(self._find(name, place) for place in self.places):
            if name.startswith(PUBLISHED):
                rows = [row for place in self.places for row in self._rows(place)]
                raise unknown(
                    "published row",
                    name.removeprefix(PUBLISHED),
                    {row.name for row in rows},
                    f"These have {self.question.title} in {'; '.join(map(str, self.places)) or 'no place'}",
                )
            raise unknown("model", name, {_name(*cell) for cells in self.places.values() for cell in cells})

    def _whereabouts(self, name: str) -> str:
        return "; ".join(str(place) for place in self.places if self._find(name, place))

    def _all(self, place: Place) -> list[Side]:
        return [self._ours(place, cell, label) for cell, label in self.places[place]]

    def _find(self, name: str, place: Place) -> list[Side]:
        if name.startswith(PUBLISHED):
            return self._find_published(name.removeprefix(PUBLISHED), place)
        there = [(cell.plans[0], cell, label) for cell, label in self.places[place]]
        found = [(c, label) for plan, c, label in there if _is(name, plan.model, plan.variant, plan.configuration)]
        if len(found) > 1:
            which = ", ".join(f"{name}#{cell.plans[0].configuration[:4]}" for cell, _ in found)
            raise UsageError(f"{name} was run in {len(found)} configurations in {place}: say which, {which}")
        return [self._ours(place, cell, label) for cell, label in found]

    def _ours(self, place: Place, cell: Cell, label: str) -> Side:
        name, question = _name(cell, label), self.question
        if (place, name) in self._sides:
            return self._sides[place, name]
        values, counts = [], []
        for record in cell.records:
            if question.split not in record.splits:
                have = ", ".join(record.splits)
                raise UsageError(f"{name} has no scores of {question.split!r}: --split {have}")
            split = record.splits[question.split]
            value = getattr(split.scores, question.metric)
            if value is None:
                raise UsageError(f"{name} has no {question.title}: there were no training facts to ignore")
            documents = split.documents
            columns = (documents.correct, documents.predicted, documents.gold, documents.correct_in_facts)
            values.append(value)
            counts.append(np.array(columns, dtype=float).T)
        side = self._sides[place, name] = Side(
            name=name,
            encoder=place.encoder,
            summary=stats.summarize(values) if values else None,
            expected=cell.expected,
            values=tuple(values),
            counts=np.stack(counts) if counts else None,
            cell=cell,
            notes=cell.errors,
        )
        return side

    def _rows(self, place: Place) -> list[TableRow]:
        """Published rows that could be compared in a place; a row that is printed in two tables once."""
        rows: dict[tuple[object, ...], TableRow] = {}
        for row in self.published.rows if self.published else ():
            score = row.scores.get(self.question.metric)
            where = (row.dataset, row.setting, row.split, row.slice)
            if score is not None and where == (place.dataset, place.setting, self.question.split, "all"):
                rows.setdefault((row.source, row.name, row.encoder, score), row)
        return list(rows.values())

    def _find_published(self, name: str, place: Place) -> list[Side]:
        """Rows with the encoder of the place where there are some; else those with others, which the claim tells."""
        model, _, source = name.partition("@")
        rows = [
            row
            for row in self._rows(place)
            if _is(model, row.model, row.variant) and source.lower() in f"{row.source} {row.place}".lower()
        ]
        return [self._theirs(row) for row in rows if same_encoder(row.encoder, place.encoder)] or list(
            map(self._theirs, rows)
        )

    def _theirs(self, row: TableRow) -> Side:
        score = row.scores[self.question.metric]
        std = None if score.std is None else float(score.std)
        notes = [
            f"{row.name} claims {row.seeds} seeds, what was released runs {len(known.seeds)} ({known.where})"
            for known in (self.published.evidence(row) if self.published else ())
            if known.seeds and len(known.seeds) < (row.seeds or 0)
        ]
        return Side(
            name=f"{row.name} ({row.place})",
            encoder=row.encoder,
            summary=Summary(float(score.mean), std, row.seeds or 0),
            expected=row.seeds,
            notes=tuple(notes),
        )


def same_encoder(one: str, two: str) -> bool:
    """Whether two names are of one encoder: `microsoft/deberta-v3-large` is `deberta-v3-large`."""
    return one.rpartition("/")[2] == two.rpartition("/")[2]


def _comparable(found: Sequence[Comparison]) -> list[Comparison]:
    """Adjusted together. Raises UsageError if none of them is a comparison."""
    if not any(made.comparable for made in found):
        told = (f"{c.a.name} and {c.b.name} have {'; '.join(map(str, c.unlike))}" for c in found)
        raise UsageError("these cannot be compared:\n" + "\n".join(told))
    return adjusted(found)


def _name(cell: Cell, label: str) -> str:
    """The system as tables show it: `ttmre (layers=2) #1a2b`."""
    plan = cell.plans[0]
    return plan.model + (f" ({plan.variant})" if plan.variant else "") + label


def _is(name: str, model: str, variant: str, configuration: str = "") -> bool:
    """Whether `ttmre`, `ttmre:layers=2`, `ttmre (layers=2)`, or one of them with `#1a2b`, is the name of a system."""
    parsed = _NAME.fullmatch(name.strip())
    if parsed is None or parsed["model"] != model or not configuration.startswith(parsed["configuration"] or ""):
        return False
    return _parts(parsed["shown"] or parsed["typed"] or "") == _parts(variant)


def _parts(variant: str) -> set[str]:
    return {part.strip() for part in re.split("[,:]", variant) if part.strip()}
