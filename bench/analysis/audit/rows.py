"""Rows beside rows: the same one twice, others' ones, contradicting ones, those with another encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from bench.analysis.aggregate import ALL
from bench.analysis.audit.finding import FAR, Finding, Range, Severity, show
from bench.analysis.published import UNSTATED, PublishedRow


def repeated_rows(rows: Sequence[PublishedRow]) -> Iterator[Finding]:
    """Rows of a whole split with the same three means or more: one measurement, shown more than once."""
    groups: dict[tuple[object, ...], list[PublishedRow]] = defaultdict(list)
    for row in rows:
        means = sorted((metric, score.mean) for metric, score in row.scores.items())
        if row.slice == ALL and len(means) >= 3 and any(mean for _, mean in means):
            groups[row.dataset, row.split, tuple(means)].append(row)
    for group in groups.values():
        if len(group) < 2:
            continue
        first = group[0]
        numbers = {metric: float(score.mean) for metric, score in first.scores.items()}
        means_shown = ", ".join(f"{metric} {show(score.mean)}" for metric, score in first.scores.items())
        stds = {metric: {row.scores[metric].std for row in group} for metric in first.scores}
        severity: Severity
        if len({(row.model, row.setting) for row in group}) > 1:
            severity, what = "warning", "rows of different models or settings have the same numbers"
        elif any(len(of_metric) > 1 for of_metric in stds.values()):
            severity, what = "warning", "the same means have different deviations"
        else:
            severity, what = "note", f"one measurement is shown {len(group)} times"
        places = "; ".join(_place(row) for row in group)
        yield Finding("repeated-row", severity, first.where, f"{what} ({means_shown}): {places}", numbers)


def _place(row: PublishedRow) -> str:
    score = next(iter(row.scores.values()))
    return row.where + (f" ± {show(score.std)}" if score.std is not None else "")


def borrowed_rows(rows: Sequence[PublishedRow]) -> Iterator[Finding]:
    """Rows that a table took from elsewhere, run with other code, seeds and perhaps another encoder."""
    tables: dict[tuple[str, str], list[PublishedRow]] = defaultdict(list)
    for row in rows:
        tables[row.source, row.table].append(row)
    for of_table in tables.values():
        borrowed = [row for row in of_table if row.borrowed]
        if borrowed:
            names = ", ".join(dict.fromkeys(row.name for row in borrowed))
            what = f"{len(borrowed)} of {len(of_table)} rows are not the source's own runs: {names}"
            yield Finding("borrowed-rows", "note", borrowed[0].place, what, {"borrowed": len(borrowed)})


def disagreeing_places(rows: Sequence[PublishedRow]) -> Iterator[Finding]:
    """F1 of one model in one setting, of which two places tell different things.

    Places of one source contradict each other beyond rounding, different sources where they are far apart.
    """
    groups: dict[tuple[str, ...], list[PublishedRow]] = defaultdict(list)
    for row in rows:
        if "f1" in row.scores and UNSTATED not in (row.setting, row.encoder):
            groups[row.dataset, row.split, row.slice, row.setting, row.model, row.variant, row.encoder].append(row)
    for group in groups.values():
        means = [row.scores["f1"].mean for row in group]
        spread = max(means) - min(means)
        contradiction = any(
            one.source == two.source and not Range.of(one.scores["f1"].mean).meets(Range.of(two.scores["f1"].mean))
            for one, two in combinations(group, 2)
        )
        if contradiction or spread > FAR:
            scores = "; ".join(dict.fromkeys(f"{show(row.scores['f1'].mean)} ({row.place})" for row in group))
            what = f"F1 differs by {show(spread)} between places: {scores}"
            yield Finding("places-disagree", "warning", group[0].where, what, {"spread": float(spread)})


def mixed_encoders(rows: Sequence[PublishedRow], encoder: Callable[[PublishedRow], str]) -> Iterator[Finding]:
    """Tables whose models do not share an encoder. Every model with every encoder is a comparison of encoders: fine.

    encoder: that of a row, as far as it is known.
    """
    tables: dict[tuple[str, ...], list[PublishedRow]] = defaultdict(list)
    for row in rows:
        tables[row.source, row.table, row.dataset, row.split, row.slice, row.setting].append(row)
    for of_table in tables.values():
        models: dict[str, list[str]] = defaultdict(list)
        for row in of_table:
            models[encoder(row)].append(row.name)
        grouped = "; ".join(f"{name}: {', '.join(of_encoder)}" for name, of_encoder in models.items())
        where = f"{of_table[0].place}, {of_table[0].setting}, {of_table[0].split}"
        stated = {name: frozenset(of_encoder) for name, of_encoder in models.items() if name != UNSTATED}
        if len(set(stated.values())) > 1:
            what = f"models are compared across encoders: {grouped}"
            yield Finding("mixed-encoders", "error", where, what, {"encoders": len(models)})
        elif UNSTATED in models and len(of_table) > 1:
            severity: Severity = "warning" if stated else "note"
            yield Finding("mixed-encoders", severity, where, f"no telling whether encoders are mixed: {grouped}")
