"""`bench evaluate`: score a submission file against a labelled file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.completion import complete_format
from bench.cli.options import PairsOption
from bench.points import points

if TYPE_CHECKING:
    from rich.table import Table

    from bench.metrics.slices import Protocol, SlicedEvaluation
    from bench.metrics.submission_scores import SubmissionScores

# Wide enough for all scores and for the table of slices where the output is a file or a pipe.
_WIDTH = 140
_LARGE = 1 << 24
"""Bytes of a submission of which somebody wants to see how far it is."""


def evaluate(
    gold: Annotated[Path, typer.Option(help="Labelled documents, in any form that `bench data add` reads.")],
    pred: Annotated[Path, typer.Option(help="Predictions: a JSON list of {title, h_idx, t_idx, r}, zipped or not.")],
    train_facts: Annotated[
        Path | None, typer.Option(help="For Ign F1: a .fact file, or the human training documents themselves.")
    ] = None,
    distant_facts: Annotated[
        Path | None, typer.Option(help="For Ign F1 against distant data: a .fact file, or the distant documents.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Of the documents, as of `bench data add`; found from the content if not given.",
            autocompletion=complete_format,
        ),
    ] = None,
    pairs: PairsOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, scores in percent, unrounded.")] = False,
) -> None:
    """Score predictions: micro F1, Ign F1, precision, recall, and slices under both protocols.

    AUC too, where every prediction has a "score". A file that is missing, malformed or without labels is refused.
    """
    from bench.cli.progress import showing_progress
    from bench.data.formats.pair_order import checked_order
    from bench.metrics.submission_scores import score_submission

    order = checked_order(pairs)
    size = pred.stat().st_size if pred.is_file() else 0
    with showing_progress(size >= _LARGE) as doing:
        read = 0

        def on_read(more: int) -> None:
            nonlocal read
            read += more
            doing(f"reading {pred.name}", read, max(read, size))

        scored = score_submission(gold, pred, train_facts, distant_facts, form, order, doing, on_read)
    _print_notes(scored.notes)
    if json:
        _print_json(scored)
    else:
        _print_tables(_score_table(scored), _slice_table(scored.sliced, scored.evaluation.has_facts))


def _print_notes(notes: Iterable[str]) -> None:
    """To stderr: what `--json` prints must stay one JSON object."""
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for note in notes:
        console.print(f"note: {note}")


def _print_tables(*tables: Table) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    for table in tables:
        console.print(table)


def _print_json(scored: SubmissionScores) -> None:
    import json

    from bench.analysis.metrics import METRICS, scores_of_submission
    from bench.metrics.slices import PROTOCOLS

    scores = {name: score for name, score in scores_of_submission(scored).items() if METRICS[name].part == "scores"}
    checks = scored.checks.as_json() | dict(scored.facts)
    slices = {protocol: _slices_json(scored.sliced, protocol, scored.evaluation.has_facts) for protocol in PROTOCOLS}
    typer.echo(json.dumps({**scores, "checks": checks, "slices": slices}, indent=2))


def _slices_json(sliced: SlicedEvaluation, protocol: Protocol, has_facts: bool) -> dict[str, dict[str, dict[str, Any]]]:
    from bench.analysis.metrics import COUNTED

    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for part in sliced.slices:
        total = part.total(protocol)
        entry: dict[str, Any] = {
            **{metric.name: getattr(total, metric.name) for metric in COUNTED},
            **({} if has_facts else {"ign_f1": None}),
            "correct": total.correct,
            "predicted": total.predicted,
            "gold": total.gold,
            "share_of_labels": part.share,
        }
        if part.relations:
            entry["relations"] = list(part.relations)
        groups.setdefault(part.group, {})[part.name] = entry
    return groups


def _number(score: float | None) -> str:
    return "-" if score is None else points(score)


def _score_table(scored: SubmissionScores) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from bench.analysis.metrics import METRICS, scores_of_submission

    total = scored.evaluation.counts.total
    every = scores_of_submission(scored)
    scores = {name: score for name, score in every.items() if score is not None or not METRICS[name].later}
    scores["evidence_f1"] = scored.evidence_f1
    table = Table(box=SIMPLE_HEAD, title="Scores (percent)", title_justify="left")
    for heading in (*(METRICS[name].label for name in scores), "correct", "predicted", "gold"):
        table.add_column(heading, justify="right")
    table.add_row(*map(_number, scores.values()), f"{total.correct:,}", f"{total.predicted:,}", f"{total.gold:,}")
    return table


def _slice_table(sliced: SlicedEvaluation, has_facts: bool) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        title="Slices (percent; strict: precision over the slice's predictions, released: over all predictions)",
        title_justify="left",
        caption="Scores of single relations: --json",
        caption_justify="left",
    )
    table.add_column("slice")
    for name in ("gold", "share", "recall", "P strict", "F1", "Ign F1", "P released", "F1", "Ign F1"):
        table.add_column(name, justify="right")
    shown = [part for part in sliced.slices if part.group != "relation"]
    for index, part in enumerate(shown):
        strict, released = part.total("strict"), part.total("released")
        scores: list[float | None] = [part.share, strict.recall]
        for total in (strict, released):
            scores += [total.precision, total.f1, total.ign_f1 if has_facts else None]
        last_of_group = index + 1 == len(shown) or shown[index + 1].group != part.group
        label = f"entities: {part.name}" if part.group == "entities" else part.name
        table.add_row(label.replace("_", " "), f"{strict.gold:,}", *map(_number, scores), end_section=last_of_group)
    return table
