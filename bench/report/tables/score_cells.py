"""Scores of runs as cells of tables: mean ± deviation, the published value below, and what may be said of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.aggregate import ALL, mean_and_std
from bench.analysis.comparability import differences
from bench.analysis.published import Printed, TableRow
from bench.analysis.systems import System
from bench.report import table as model
from bench.report.tables.verdicts import Verdict, against, signed, verdicts

COLUMNS = (("f1", "F1"), ("ign_f1", "Ign F1"), ("precision", "Precision"), ("recall", "Recall"))
EVIDENCE_COLUMN = ("evidence_f1", "Evi F1")
PUBLISHED = "published"
NOT_COMPARABLE = "published, not comparable"
DIFFERENCE = "difference"
INTERVAL = "95 % interval"


@dataclass(frozen=True)
class Beside:
    """A published row beside a system's. why_not: what makes them incomparable, empty where they can be compared."""

    row: TableRow
    why_not: str = ""


@dataclass(frozen=True)
class Entry:
    """A row of a table of scores: a system, published rows (by split and slice), or both."""

    name: str
    system: System | None = None
    published: Mapping[tuple[str, str], Beside] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A column of scores: split, slice, metric (as the records have it) and headings."""

    split: str
    metric: str
    title: str
    part: str = ALL
    group: str = ""


def places(systems: Sequence[System], splits: Sequence[str], part: str = ALL) -> list[Place]:
    """The columns that any of the systems has numbers for; evidence only of whole splits."""
    columns = [*COLUMNS, EVIDENCE_COLUMN] if part == ALL else list(COLUMNS)
    return [
        Place(split, metric, title, part, split.capitalize() if len(splits) > 1 else "")
        for split in splits
        for metric, title in columns
        if any(system.values(split, metric, part) for system in systems) or (metric == "f1" and part == ALL)
    ]


def score_rows(entries: Sequence[Entry], columns: Sequence[Place], section: str, encoders: bool) -> list[model.Row]:
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
        cells.append(_seeds_cell(entry))
        cells += [score_cell(entry, c, of_column[i]) for c, of_column in zip(columns, by_column, strict=True)]
        rows.append(model.Row(tuple(cells), section))
    return rows


def block_verdicts(values: Sequence[Sequence[float]], entries: Sequence[Entry]) -> list[Verdict]:
    """As `verdicts`, but nothing of rows whose scores mean different things."""
    plans = {e.name: e.system.plan for e in entries if e.system}
    if any(difference.kind == "evaluation" for difference in differences(plans)):
        return [Verdict()] * len(values)
    return verdicts(values)


def score_cell(entry: Entry, place: Place, verdict: Verdict) -> model.Cell:
    """Mean ± deviation; below it the published value, and the difference where both can be compared."""
    system, beside = entry.system, entry.published.get((place.split, place.part))
    number = system.number(place.split, place.metric, place.part) if system else None
    printed = beside.row.scores.get(place.metric) if beside else None  # type: ignore[call-overload]
    under: list[model.Line] = []
    data: dict[str, float | str | None] = {}
    if number is not None:
        data = {"std": number.std, "n": number.n, "expected": number.expected}
    if beside is not None and printed is not None:
        label = NOT_COMPARABLE if beside.why_not else PUBLISHED
        under.append(model.Line(label, printed_text(printed)))
        data |= {label: float(printed.mean), f"{label} std": _float(printed)}
        if number is not None and number.seeds and not beside.why_not:
            made = against(list(number.seeds.values()), printed, beside.row.seeds)
            under.append(model.Line(DIFFERENCE, f"{signed(made.difference)} {made.verdict}"))
            if made.low is not None and made.high is not None:
                under.append(model.Line(INTERVAL, f"[{signed(made.low)}, {signed(made.high)}]"))
            data |= {
                "difference": made.difference, "difference low": made.low, "difference high": made.high,
                "p": made.p, "verdict": made.verdict,
            }  # fmt: skip
    if system is not None:
        data |= {"paper's rule": "best" if verdict.bold else "", "tested": verdict.mark}
    text, mean = (mean_and_std(number), number.mean) if number else (model.MISSING, None)
    return model.Cell(text, mean, verdict.bold, verdict.mark, under=tuple(under), data=data)


def printed_text(printed: Printed) -> str:
    """As it was printed."""
    return f"{printed.mean} ± {printed.std}" if printed.std is not None else str(printed.mean)


def _float(printed: Printed) -> float | None:
    return None if printed.std is None else float(printed.std)


def not_applicable_row(name: str, encoder: str, reason: str, width: int, section: str, encoders: bool) -> model.Row:
    """The row of a setting that a model does not have. width: how many columns of scores."""
    cells = [model.Cell(name, name, notes=(reason,)), *[model.Cell(encoder, encoder)] * encoders, model.Cell("n/a")]
    return model.Row((*cells, *[model.Cell("n/a")] * width), section)


def _name_cell(entry: Entry, mixed: Sequence[str]) -> model.Cell:
    notes = [*entry.notes, *mixed]
    notes += dict.fromkeys(beside.why_not for beside in entry.published.values() if beside.why_not)
    if entry.system is None:
        notes.append("not run here")
    return model.Cell(entry.name, entry.name, notes=tuple(notes))


def _encoder_cell(entry: Entry) -> model.Cell:
    if entry.system is not None:
        return model.Cell(entry.system.plan.encoder, entry.system.plan.encoder)
    encoder = next((beside.row.encoder for beside in entry.published.values()), "")
    return model.Cell(encoder, encoder)


def _seeds_cell(entry: Entry) -> model.Cell:
    system = entry.system
    if system is None:
        return model.Cell(model.MISSING)
    notes = []
    if system.partial:
        there = f"over {system.seeds} planned seeds" if system.cell.records else "no planned seed is finished"
        notes.append("; ".join([there, *_errors(system.cell.errors)]))
    text = system.seeds + ("*" if system.partial else "")
    data = {"finished": len(system.cell.records), "planned": system.cell.expected}
    return model.Cell(text, len(system.cell.records), notes=tuple(notes), data=data)


def _errors(errors: Sequence[str]) -> list[str]:
    """`seeds 3, 4 failed: out of memory`, each error once."""
    seeds: dict[str, list[str]] = defaultdict(list)
    for error in errors:
        seed, _, message = error.removeprefix("seed ").partition(": ")
        seeds[message].append(seed)
    return [f"seed{'s' * (len(of) > 1)} {', '.join(of)} failed: {message}" for message, of in seeds.items()]


def _unlike(entry: Entry, entries: Sequence[Entry]) -> Iterator[str]:
    """What a system of a block does not share with most of the others: documents, training, encoder, selection."""
    if entry.system is None:
        return
    plans = {e.name: e.system.plan for e in entries if e.system}
    for difference in differences(plans):
        values = [value for value, names in difference.groups.items() if entry.name in names]
        most = max(difference.groups, key=lambda value: len(difference.groups[value]))
        if values != [most]:
            told = "not scored alike, so not compared with the rest" if difference.kind == "evaluation" else "mixed"
            yield f"{told}: other {difference.what} than most rows of the block"
    encoders = Counter(plan.encoder for plan in plans.values())
    if len(encoders) > 1 and entry.system.plan.encoder != encoders.most_common(1)[0][0]:
        yield f"mixed encoders: {entry.system.plan.encoder}, where most rows have {encoders.most_common(1)[0][0]}"
    frozen = {name: plan.stages[-1].training.freeze_encoder for name, plan in plans.items()}
    if frozen[entry.name] != (2 * sum(frozen.values()) > len(frozen)):
        state, others = ("frozen", "trained") if frozen[entry.name] else ("trained", "frozen")
        yield f"mixed training: the encoder is {state}, where most rows have it {others}"
    selected: dict[str, list[str]] = defaultdict(list)
    for name, plan in plans.items():
        training = plan.stages[-1].training
        rule = f"best epoch on {training.select_on}" if training.select == "best" else "last epoch"
        selected[rule].append(name)
    usual = max(selected, key=lambda rule: len(selected[rule]))
    for rule, names in selected.items():
        if entry.name in names and rule != usual:
            yield f"mixed selection: {rule}, where most rows have the {usual}"
