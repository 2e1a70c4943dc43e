"""From run records to scores: mean and sample standard deviation over seeds, and of how many of those planned."""

from __future__ import annotations

import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from bench.analysis.metrics import COUNTED, METRICS, Metric
from bench.errors import UsageError, plural
from bench.points import points_and_std
from bench.runs.archive import ARCHIVE, all_runs, is_in, nothing_planned
from bench.runs.plan import RunPlan, named_configuration
from bench.runs.record import RunRecord, SplitRecord
from bench.runs.run_folder import RunFolder
from bench.runs.settings import by_share, parts_of

ALL = "all"
RELEASED = "released:"
"""How the slices of the released protocol are called, beside the strict ones."""
PROTOCOL_PREFIXES = {"strict": "", "released": RELEASED}


@dataclass(frozen=True)
class Score:
    """One number of a table. mean, std (ddof 1) in percent; None where there are too few seeds for it.

    n: seeds with a record.   expected: seeds planned.   seeds: each one's value.
    """

    model: str
    variant: str
    dataset: str
    setting: str
    encoder: str
    configuration: str
    split: str
    slice: str
    metric: str
    mean: float | None
    std: float | None
    n: int
    expected: int
    seeds: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """All fields, as `bench table --json` prints them."""
        return {**asdict(self), "configuration": named_configuration(self.configuration)}


@dataclass(frozen=True)
class Cell:
    """All runs that differ in their seed alone, planned and recorded."""

    plans: tuple[RunPlan, ...]
    records: tuple[RunRecord, ...]
    errors: tuple[str, ...]

    @property
    def expected(self) -> int:
        """How many seeds were planned."""
        return len(self.plans)

    @cached_property
    def configuration(self) -> str:
        """A hash of everything but the seed that decides the results of its runs (`RunPlan.configuration`)."""
        return self.plans[0].configuration

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """Every number: split, slice and metric. Without a record, those of dev and test that tables show, empty."""
        if not self.records:
            return tuple(_score(self, split, ALL, metric, {}) for split in ("dev", "test") for metric in COUNTED)
        scores = []
        for split, part, metric in _recorded(self.records):
            scored = {str(record.seed): record.splits[split] for record in self.records if split in record.splits}
            values = {seed: _value(of_split, part, metric) for seed, of_split in scored.items()}
            seeds = {seed: value for seed, value in values.items() if value is not None}
            scores.append(_score(self, split, part, metric, seeds))
        return tuple(scores)


@dataclass(frozen=True)
class NotApplicable:
    """A cell that cannot be: the model has no such setting, for this reason. Not a zero, and not a missing number."""

    model: str
    variant: str
    dataset: str
    setting: str
    encoder: str
    reason: str


def not_applicable(cells: Sequence[Cell]) -> list[NotApplicable]:
    """The cells that cannot be, among the settings of `cells`, of the models that are in them with other settings."""
    settings = dict.fromkeys((cell.plans[0].dataset, cell.plans[0].setting) for cell in cells)
    absent = [
        NotApplicable(plan.model, plan.variant, plan.dataset, setting, plan.encoder, reason)
        for plan in (cell.plans[0] for cell in cells)
        for base, reason in plan.not_applicable.items()
        for dataset, setting in settings
        if dataset == plan.dataset and parts_of(setting).base == base
    ]
    return list(dict.fromkeys(absent))


def existing_cells(out: Path) -> list[Cell]:
    """`load_cells`, where there are any. Raises UsageError."""
    cells = load_cells(out)
    if not cells and (runs := all_runs(out)):
        raise UsageError(f"no run in {out} can be read ({_who_tells(runs, out, 'why')})")
    if not cells:
        raise UsageError(nothing_planned(out))
    return cells


def _who_tells(damaged: Sequence[RunFolder], out: Path, what: str) -> str:
    """Where to look for `what` of damaged runs: `bench status` knows those of the folder, not those of its archive."""
    archived = [folder.name for folder in damaged if not is_in(folder, out)]
    told = [f"in {out / ARCHIVE}: {', '.join(archived)}"] if archived else []
    if len(archived) < len(damaged):
        told.append(f"`bench status --out {out}` says {what}")
    return "; ".join(told)


def load_cells(out: Path) -> list[Cell]:
    """Every cell ever planned in `out`, in the order of setting and model, those of its archive of records among them.

    Tells what is left out on standard error.
    """
    runs: dict[tuple[str, ...], dict[int, _Run]] = defaultdict(dict)
    damaged: list[RunFolder] = []
    newer = 0
    for folder in all_runs(out):
        found = folder.verdict()
        plan = found.plan
        newer += bool(found.newer)
        if found.damage:
            damaged.append(folder)
        if plan is None:
            # Neither its model nor its seed is known: no mean could be marked as partial for it.
            file = folder.path / "run.json"
            where = file if is_in(folder, out) else f"{out / ARCHIVE}: runs/{folder.name}/run.json"
            print(
                f"{where} cannot be read ({found.why}): this run is left out, and not counted as planned",
                file=sys.stderr,
            )
            continue
        why = "" if found.record else found.why if found.newer else folder.error() or found.why
        cell = (plan.dataset, plan.setting, plan.model, plan.variant, plan.encoder, plan.configuration)
        _put(runs[cell], _Run(plan, found.record, why))
    if newer:
        print(f"made by a newer version of docre-bench, and in no mean: {plural(newer, 'run')}", file=sys.stderr)
    if damaged:
        print(
            f"damaged, and in no mean: {plural(len(damaged), 'run')} ({_who_tells(damaged, out, 'which')})",
            file=sys.stderr,
        )
    return [_cell_of([runs[cell][seed] for seed in sorted(runs[cell])]) for cell in sorted(runs, key=_place)]


class _Run(NamedTuple):
    """A run as it counts in its cell. why: it has no record, where that is known."""

    plan: RunPlan
    record: RunRecord | None
    why: str


def _put(runs: dict[int, _Run], run: _Run) -> None:
    """Enter a run by its seed: a folder that someone copied is still one run.

    Of two that only share the seed, as files that two machines imported under the same one, the first that is finished
    counts, and the other is told.
    """
    known = runs.get(run.plan.seed)
    takes_its_place = known is None or (known.record is None and run.record is not None)
    if known is not None and known.plan.key != run.plan.key:
        kept, left = (run, known) if takes_its_place else (known, run)
        counts = f"{kept.plan.folder} counts, {left.plan.folder} is in no mean"
        print(f"two runs are seed {run.plan.seed} of one row: {counts}", file=sys.stderr)
    if takes_its_place:
        runs[run.plan.seed] = run


def _cell_of(runs: Sequence[_Run]) -> Cell:
    return Cell(
        plans=tuple(run.plan for run in runs),
        records=tuple(run.record for run in runs if run.record is not None),
        errors=tuple(f"seed {run.plan.seed}: {run.why}" for run in runs if run.why),
    )


def _place(cell: tuple[str, ...]) -> tuple[object, ...]:
    """What orders cells: data set, setting (shares of labels after the setting they are of), then the rest."""
    dataset, setting, *rest = cell
    return dataset, parts_of(setting).base, by_share(setting), rest


def scores_of(cells: Iterable[Cell]) -> Iterator[Score]:
    """Every score of every cell, cell by cell in their order."""
    for cell in cells:
        yield from cell.scores


def _score(cell: Cell, split: str, part: str, metric: Metric, seeds: dict[str, float]) -> Score:
    plan, values = cell.plans[0], list(seeds.values())
    return Score(
        model=plan.model,
        variant=plan.variant,
        dataset=plan.dataset,
        setting=plan.setting,
        encoder=plan.encoder,
        configuration=cell.configuration,
        split=split,
        slice=part,
        metric=metric.name,
        mean=statistics.fmean(values) if values else None,
        std=_sample_std(values) if len(values) > 1 else None,
        n=len(values),
        expected=cell.expected,
        seeds=seeds,
    )


def _sample_std(values: Sequence[float]) -> float:
    """As `statistics.stdev`, which takes 50 times as long over fractions to get the last digit right."""
    mean = statistics.fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _recorded(records: Sequence[RunRecord]) -> Iterator[tuple[str, str, Metric]]:
    """Split, slice and metric of every score that any of the records has, in the order of tables.

    Of predictions from elsewhere a seed may lack a split, scores or evidence that others have, and so may the record of
    an older version.
    """
    for split in sorted({split for record in records for split in record.splits}):
        having = [record.splits[split] for record in records if split in record.splits]
        for metric in METRICS.values():
            if any(metric.of_split(scored) is not None for scored in having):
                yield split, ALL, metric
        for protocol, prefix in PROTOCOL_PREFIXES.items():
            for name in dict.fromkeys(name for scored in having for name in scored.slices[protocol]):
                scores = [scored.slices[protocol][name] for scored in having if name in scored.slices[protocol]]
                for metric in METRICS.values():
                    if any(metric.of_slice(of_seed) is not None for of_seed in scores):
                        yield split, prefix + name, metric


def _value(record: SplitRecord, part: str, metric: Metric) -> float | None:
    if part == ALL:
        return metric.of_split(record)
    protocol = "released" if part.startswith(RELEASED) else "strict"
    scores = record.slices[protocol].get(part.removeprefix(PROTOCOL_PREFIXES[protocol]))
    return None if scores is None else metric.of_slice(scores)


def mean_and_std(score: Score) -> str:
    """`48.21 ± 0.62`; without the deviation of a single seed; an em dash where no seed has the score."""
    if score.mean is None:
        return "—"
    return points_and_std(score.mean, score.std)


def labels(cells: Sequence[Cell]) -> list[str]:
    """For each cell, what tells it from others of its name: nothing, or the configuration it was run with."""
    names = [(p.dataset, p.setting, p.model, p.variant, p.encoder) for p in (cell.plans[0] for cell in cells)]
    return [
        f" #{cell.plans[0].configuration[:4]}" if names.count(name) > 1 else ""
        for cell, name in zip(cells, names, strict=True)
    ]
