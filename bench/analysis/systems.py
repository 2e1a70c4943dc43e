"""What is compared and tabled: all seeds of one configuration, found by the name that tables show."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.analysis import stats
from bench.analysis.aggregate import ALL, Cell, labels, rows_of
from bench.analysis.aggregate import Row as Number
from bench.analysis.comparison import Comparison, Place, Question, Side, adjusted, compare
from bench.analysis.published import Published, TableRow
from bench.analysis.stats import Summary
from bench.errors import UsageError, unknown

PUBLISHED = "published:"

_NAME = re.compile(r"(?P<model>[^:(#]+?)\s*(?:\((?P<shown>.*)\)|:(?P<typed>[^#]*))?\s*(?:#(?P<configuration>\w+))?")


class System:
    """A cell of the records with the name that tables give it and its numbers by split, slice and metric."""

    def __init__(self, cell: Cell, label: str) -> None:
        self.cell = cell
        self.plan = cell.plans[0]
        self.label = label
        self._numbers = {(row.split, row.slice, row.metric): row for row in rows_of([cell])}

    @property
    def name(self) -> str:
        """`ttmre (layers=2) #1a2b`."""
        return self.plan.model + (f" ({self.plan.variant})" if self.plan.variant else "") + self.label

    @property
    def seeds(self) -> str:
        """`4 of 5`."""
        return f"{len(self.cell.records)} of {self.cell.expected}"

    @property
    def partial(self) -> bool:
        """Whether seeds that were planned are missing."""
        return len(self.cell.records) < self.cell.expected

    def number(self, split: str, metric: str, part: str = ALL) -> Number | None:
        """What is known of a score, None where there is no such score."""
        return self._numbers.get((split, part, metric))

    def values(self, split: str, metric: str, part: str = ALL) -> list[float]:
        """One score per finished seed."""
        number = self.number(split, metric, part)
        return list(number.seeds.values()) if number else []


def systems_of(cells: Sequence[Cell]) -> list[System]:
    """All cells, named apart from each other."""
    return [System(cell, label) for cell, label in zip(cells, labels(cells), strict=True)]


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
