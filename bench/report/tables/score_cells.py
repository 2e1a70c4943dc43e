"""Scores of runs as cells of tables: mean ± deviation, the published value below, and what may be said of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.aggregate import ALL, mean_and_std
from bench.analysis.comparability import differences
from bench.analysis.metrics import COLUMNS, METRICS, Metric
from bench.analysis.published import UNSTATED, Printed, PublishedRow
from bench.analysis.systems import System
from bench.report.table import MISSING, Column, Line, TableCell, TableRow
from bench.report.tables.runs import without_record
from bench.report.tables.verdicts import Verdict, against, signed, verdicts
from bench.runs.names import NO_ENCODER
from bench.runs.plan import StagePlan

PUBLISHED = "published"
NOT_COMPARABLE = "published, not comparable"
DIFFERENCE = "difference"
INTERVAL = "95 % interval"


@dataclass(frozen=True)
class Beside:
    """A published row beside a system's. why_not: what makes them incomparable, empty where they can be compared."""

    row: PublishedRow
    why_not: str = ""


@dataclass(frozen=True)
class Entry:
    """A row of a table of scores: a system, published rows (by split and slice), or both."""

    name: str
    system: System | None = None
    published: Mapping[tuple[str, str], Beside] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreColumn:
    """A column of scores. metric: its name in `bench.analysis.metrics.METRICS`.   part: a slice of the split."""

    split: str
    metric: str
    part: str = ALL
    group: str = ""

    @property
    def column(self) -> Column:
        """The column as tables have it, with its headings."""
        return Column(METRICS[self.metric].title, self.group)


def score_columns(systems: Sequence[System], splits: Sequence[str], part: str = ALL) -> list[ScoreColumn]:
    """The columns that any of the systems has numbers for, and F1 of whole splits in any case."""

    def is_shown(split: str, metric: Metric) -> bool:
        if metric.name == "f1" and part == ALL:
            return True
        return any(system.values(split, metric.name, part) for system in systems)

    return [
        ScoreColumn(split, metric.name, part, split.capitalize() if len(splits) > 1 else "")
        for split in splits
        for metric in COLUMNS
        if is_shown(split, metric)
    ]


def score_rows(
    entries: Sequence[Entry], columns: Sequence[ScoreColumn], section: str, encoders: bool
) -> list[TableRow]:
    """The rows of one block: name, encoder where they differ, seeds, scores. Verdicts are within the block."""
    by_column = [
        block_verdicts([e.system.values(c.split, c.metric, c.part) if e.system else [] for e in entries], entries)
        for c in columns
    ]
    rows = []
    for i, entry in enumerate(entries):
        mixed = tuple(_unlike(entry, entries))
        cells = [_name_cell(entry, mixed)]
        if encoders:
            cells.append(_encoder_cell(entry))
        cells.append(_seeds_cell(entry, columns))
        cells += [score_cell(entry, c, of_column[i]) for c, of_column in zip(columns, by_column, strict=True)]
        rows.append(TableRow(tuple(cells), section))
    return rows


def block_verdicts(values: Sequence[Sequence[float]], entries: Sequence[Entry]) -> list[Verdict]:
    """As `verdicts`, but nothing of rows whose scores mean different things."""
    plans = {e.name: e.system.plan for e in entries if e.system}
    if any(difference.kind == "evaluation" for difference in differences(plans)):
        return [Verdict()] * len(values)
    return verdicts(values)


def score_cell(entry: Entry, column: ScoreColumn, verdict: Verdict) -> TableCell:
    """Mean ± deviation; below it the published value, and the difference where both can be compared."""
    system, beside = entry.system, entry.published.get((column.split, column.part))
    score = system.score(column.split, column.metric, column.part) if system else None
    printed = beside.row.scores.get(column.metric) if beside else None
    under: list[Line] = []
    data: dict[str, float | str | None] = {}
    if score is not None:
        data = {"std": score.std, "n": score.n, "expected": score.expected}
    if beside is not None and printed is not None:
        label = NOT_COMPARABLE if beside.why_not else PUBLISHED
        under.append(Line(label, printed_text(printed)))
        data |= {label: float(printed.mean), f"{label} std": _float(printed)}
        if score is not None and score.seeds and not beside.why_not:
            compared = against(list(score.seeds.values()), printed, beside.row.seeds)
            under.append(Line(DIFFERENCE, f"{signed(compared.difference)} {compared.verdict}"))
            if compared.low is not None and compared.high is not None:
                under.append(Line(INTERVAL, f"[{signed(compared.low)}, {signed(compared.high)}]"))
            data |= {
                "difference": compared.difference, "difference low": compared.low, "difference high": compared.high,
                "p": compared.p, "verdict": compared.verdict,
            }  # fmt: skip
    if system is not None:
        data |= {"paper's rule": "best" if verdict.bold else "", "tested": verdict.mark}
    text, mean = (mean_and_std(score), score.mean) if score else (MISSING, None)
    return TableCell(text, mean, verdict.bold, verdict.mark, under=tuple(under), data=data)


def printed_text(printed: Printed) -> str:
    """A published score as it was printed: `84.01 ± 0.21`."""
    return f"{printed.mean} ± {printed.std}" if printed.std is not None else str(printed.mean)


def _float(printed: Printed) -> float | None:
    return None if printed.std is None else float(printed.std)


def not_applicable_row(name: str, encoder: str, reason: str, width: int, section: str, encoders: bool) -> TableRow:
    """The row of a setting that a model does not have. width: how many columns of scores."""
    cells = [TableCell(name, name, notes=(reason,)), *[TableCell(encoder, encoder)] * encoders, TableCell("n/a")]
    return TableRow((*cells, *[TableCell("n/a")] * width), section)


def _name_cell(entry: Entry, mixed: Sequence[str]) -> TableCell:
    notes = [*entry.notes, *mixed]
    notes += dict.fromkeys(beside.why_not for beside in entry.published.values() if beside.why_not)
    if entry.system is None:
        notes.append("not run here")
    return TableCell(entry.name, entry.name, notes=tuple(notes))


def _encoder_cell(entry: Entry) -> TableCell:
    if entry.system is not None:
        return TableCell(entry.system.plan.encoder, entry.system.plan.encoder)
    encoder = next((beside.row.encoder for beside in entry.published.values()), "")
    return TableCell(encoder, encoder)


def _seeds_cell(entry: Entry, columns: Sequence[ScoreColumn]) -> TableCell:
    system = entry.system
    if system is None:
        return TableCell(MISSING)
    finished, planned = len(system.cell.records), system.cell.expected
    said = list(dict.fromkeys(_of_fewer(system, columns)))
    if finished < planned:
        said.insert(0, f"over {system.seeds} planned seeds" if finished else "no planned seed is finished")
        said += _errors(system.cell.errors)
    text = system.seeds + ("*" if said else "")
    notes = ("; ".join(said),) if said else ()
    return TableCell(text, finished, notes=notes, data={"finished": finished, "planned": planned})


def _of_fewer(system: System, columns: Sequence[ScoreColumn]) -> Iterator[str]:
    """Of which splits, or scores of a split, finished seeds have none: `test over 1 of 3 planned seeds`."""
    for column in columns:
        score = system.score(column.split, column.metric, column.part)
        if score is not None and score.n < len(system.cell.records):
            # A split that a seed lacks, all of its scores lack.
            whole = score.n == len(system.values(column.split, "f1", column.part))
            what = column.split if whole else f"{column.split} {METRICS[column.metric].label}"
            yield f"{what} over {score.n} of {score.expected} planned seeds"


def _errors(errors: Sequence[str]) -> list[str]:
    """`seeds 3, 4 failed: out of memory`, each error once. Damaged and newer runs have not failed, and say so."""
    seeds: dict[str, list[str]] = defaultdict(list)
    for error in errors:
        seed, _, message = error.removeprefix("seed ").partition(": ")
        seeds[message].append(seed)
    return [
        f"seed{'s' * (len(of) > 1)} {', '.join(of)}{' failed' * (without_record(message) == 'failed')}: {message}"
        for message, of in seeds.items()
    ]


def _unlike(entry: Entry, entries: Sequence[Entry]) -> Iterator[str]:
    """What a system of a block does not share with most of the others: documents, training, encoder, selection."""
    if entry.system is None:
        return
    plans = {e.name: e.system.plan for e in entries if e.system}
    for difference in differences(plans):
        values = [value for value, names in difference.groups.items() if entry.name in names]
        most = max(difference.groups, key=lambda value: len(difference.groups[value]))
        if values != [most]:
            verdict = "not scored alike, so not compared with the rest" if difference.kind == "evaluation" else "mixed"
            yield f"{verdict}: other {difference.what} than most rows of the block"
    # What was not trained with an encoder here has no say in which one the block is about.
    systems = [e.system for e in entries if e.system]
    trained = [system.plan.encoder for system in systems if not system.is_without_encoder]
    encoders = Counter(trained or [plan.encoder for plan in plans.values()])
    own, usual = entry.system.plan.encoder, encoders.most_common(1)[0][0]
    if own == NO_ENCODER != usual:
        yield "has no encoder"
    elif own != usual and entry.system.is_without_encoder:
        yield "made elsewhere, with an encoder that is not stated" if own == UNSTATED else f"made elsewhere with {own}"
    elif own != usual:
        yield f"mixed encoders: {own}, where most rows have {usual}"
    yield from _trained_unlike(entry.name, {name: plan.learnt for name, plan in plans.items() if plan.learnt})


def _trained_unlike(name: str, last: Mapping[str, StagePlan]) -> Iterator[str]:
    """What the training of the system `name` does not share with most. last: of each that learnt here, its last stage.

    Empty for one that did not: an import, or a model that counts.
    """
    if name not in last:
        return
    frozen = {of: stage.training.freeze_encoder for of, stage in last.items()}
    if frozen[name] != (2 * sum(frozen.values()) > len(frozen)):
        state, others = ("frozen", "trained") if frozen[name] else ("trained", "frozen")
        yield f"mixed training: the encoder is {state}, where most rows have it {others}"
    selected: dict[str, list[str]] = defaultdict(list)
    for of, stage in last.items():
        training = stage.training
        rule = f"best epoch on {training.select_on}" if training.select == "best" else "last epoch"
        selected[rule].append(of)
    usual = max(selected, key=lambda rule: len(selected[rule]))
    for rule, names in selected.items():
        if name in names and rule != usual:
            yield f"mixed selection: {rule}, where most rows have the {usual}"
