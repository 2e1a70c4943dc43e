"""`bench evaluate`: score a submission file against a labelled file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import plural

if TYPE_CHECKING:
    from rich.table import Table

    from bench.data.documents import Document, Fact
    from bench.data.formats.detect import Format
    from bench.metrics.official import Evaluation
    from bench.metrics.ranking import Ranking
    from bench.metrics.slices import Protocol, SlicedEvaluation
    from bench.metrics.submission import Prediction
    from bench.metrics.submission_checks import SubmissionChecks

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
            "--format", help="Of the documents: docred, chemdisgene or cdr; found from the content if not given."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, scores in percent, unrounded.")] = False,
) -> None:
    """Score predictions: micro F1, Ign F1, precision, recall, and slices under both protocols.

    AUC too, where every prediction has a "score".

    Raises `UsageError` where a file is missing, malformed or without labels.
    """
    from bench.data.documents import no_cycle_search
    from bench.data.formats.detect import detect, format_of
    from bench.errors import UsageError

    chosen = format_of(form) if form else detect(gold)
    if not chosen.ign_f1 and (train_facts or distant_facts):
        raise UsageError(f"{gold}: facts are for Ign F1, which is no part of {chosen.name}; leave them out")
    # Nothing that is read has cycles, and looking for some in millions of rows takes longer than all the rest.
    with no_cycle_search():
        scored = _score(gold, chosen, pred, train_facts, distant_facts, chosen if form else None)
        _print_notes(scored.notes)
        if json:
            _print_json(scored)
        else:
            _print_tables(_score_table(scored), _slice_table(scored.sliced, scored.evaluation.has_facts))


@dataclass(frozen=True)
class _Scored:
    """A submission beside the labels. facts: how many facts there are in each file of them, None without it."""

    predictions: Sequence[Prediction]
    documents: Sequence[Document]
    evaluation: Evaluation
    sliced: SlicedEvaluation
    ranking: Ranking | None
    checks: SubmissionChecks
    facts: Mapping[str, int | None]
    notes: Sequence[str]


def _score(
    gold: Path,
    form: Format,
    pred: Path,
    train_facts: Path | None,
    distant_facts: Path | None,
    of_facts: Format | None,
) -> _Scored:
    """Read and score everything. form: of the labelled documents.   of_facts: of those with facts, None to see."""
    from bench.filesystem import checksum_path, fits_checksum
    from bench.metrics import official, slices, submission_checks
    from bench.metrics.submission import read_submission

    with _reading(pred) as (doing, on_read):
        doing(f"reading {gold.name}")
        documents = _labelled(gold, form)
        doing(f"reading {pred.name}")
        predictions = read_submission(pred, on_read)
        changed = not fits_checksum(pred)
        doing("reading facts")
        facts = None if train_facts is None else _facts(train_facts, of_facts)
        distant = None if distant_facts is None else _facts(distant_facts, of_facts)
        doing(f"scoring {plural(len(predictions), 'prediction')}")
        evaluation = official.evaluate((prediction.triple for prediction in predictions), documents, facts, distant)
        sliced = slices.evaluate_slices(evaluation.judged, documents)
        ranking = _ranking(predictions, documents, facts)
        doing(f"looking through {plural(len(predictions), 'prediction')}")
        checks = submission_checks.check(predictions, documents, evaluation.judged)
        notes = [*submission_checks.notes(checks, predictions, documents, gold.name)]

    if changed:
        notes.insert(0, f"{pred}: not what was written (its checksum is in {checksum_path(pred).name})")
    notes += _notes(predictions, documents, ranking)
    for path, used, metric in ((train_facts, facts, "Ign F1"), (distant_facts, distant, "Ign F1 (distant)")):
        if path and used is not None and (unused := submission_checks.facts_note(used, documents, path.name, metric)):
            notes.append(unused)
    if form.ign_f1 and not evaluation.has_facts:
        notes.append("no Ign F1: it needs --train-facts")
    counts = {
        name: None if of is None else len(of) for name, of in (("train_facts", facts), ("distant_facts", distant))
    }
    return _Scored(predictions, documents, evaluation, sliced, ranking, checks, counts, notes)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
    """What to tell of the work on a submission: what is being done, and of the file how many bytes more were read.

    It is shown on a terminal, where the file is so large that somebody waits for it.
    """
    from rich.console import Console

    console = Console(stderr=True)
    size = path.stat().st_size if path.is_file() else 0
    if not console.is_terminal or size < _LARGE:
        yield lambda what: None, lambda more: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=size)
        yield lambda what: bar.update(task, description=what), lambda more: bar.advance(task, more)


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


def _labelled(path: Path, form: Format) -> tuple[Document, ...]:
    """The documents of a file in the given form. Raises UsageError where none has labels."""
    from bench.data.formats.detect import scan
    from bench.data.formats.docred import no_labels
    from bench.errors import UsageError

    result = scan(path, form)
    result.refuse_problems()
    if not any(document.labels for document in result.documents):
        raise UsageError(no_labels(path, result.count))
    return result.documents


def _ranking(
    predictions: Sequence[Prediction], documents: Sequence[Document], facts: Collection[Fact] | None
) -> Ranking | None:
    """The predictions by score; None where there is none, or one of them has no score."""
    if not predictions or any(prediction.score is None for prediction in predictions):
        return None  # without numpy, which most submissions do not need
    from bench.metrics.ranking import rank_predictions

    return rank_predictions(predictions, documents, facts)


def _facts(path: Path, form: Format | None) -> frozenset[Fact]:
    """The facts of a file: a .fact file, or documents in the given form or the one they begin with."""
    from bench.data.documents import facts_of
    from bench.data.formats.detect import detect
    from bench.data.formats.docred import read_facts, read_labelled_facts

    if _holds_facts(path):
        return read_facts(path)
    form = form or detect(path)
    return read_labelled_facts(path) if form.name == "docred" else facts_of(_labelled(path, form))


def _holds_facts(path: Path) -> bool:
    """Whether the file's first row is a list, as in a .fact file, not a document; its name says nothing reliable."""
    try:
        with path.open("rb") as file:
            beginning = b"".join(file.read(4096).removeprefix(b"\xef\xbb\xbf").split())
    except OSError:
        return False  # the reader of documents says what is wrong
    return beginning.startswith((b"[[", b"[]"))


def _notes(predictions: Sequence[Prediction], documents: Sequence[Document], ranking: Ranking | None) -> Iterable[str]:
    from bench.metrics.official import gold_outside

    if outside := gold_outside(documents):
        are, they = (
            ("is on a pair that is no candidate", "it counts")
            if outside == 1
            else ("are on pairs that are no candidates", "they count")
        )
        yield f"{plural(outside, 'labelled triple')} {are}; {they} as missed"
    if _predicts_evidence(predictions) and not _has_evidence(documents):
        yield "no evidence F1: no label has evidence to compare with"
    scored = sum(prediction.score is not None for prediction in predictions)
    if ranking is not None:
        yield f"AUC is of the {plural(len(predictions), 'prediction')} listed; that of a model ranks all its candidates"
    elif scored:
        yield f"no AUC: only {scored:,} of {len(predictions):,} predictions have a score"


def _predicts_evidence(predictions: Sequence[Prediction]) -> bool:
    return any(prediction.evidence is not None for prediction in predictions)


def _has_evidence(documents: Sequence[Document]) -> bool:
    return any(label.evidence for document in documents for label in document.labels)


def _print_json(scored: _Scored) -> None:
    import json

    from bench.analysis.metrics import METRICS
    from bench.metrics.slices import PROTOCOLS

    scores = {name: score for name, score in _scores(scored).items() if METRICS[name].part == "scores"}
    checks = scored.checks.as_json() | dict(scored.facts)
    slices = {protocol: _slices_json(scored.sliced, protocol, scored.evaluation.has_facts) for protocol in PROTOCOLS}
    typer.echo(json.dumps({**scores, "checks": checks, "slices": slices}, indent=2))


def _scores(scored: _Scored) -> dict[str, float | None]:
    """By name, in their order, those of the scores of runs that follow from predictions and labels."""
    from bench.analysis.metrics import METRICS

    evaluation, ranking = scored.evaluation, scored.ranking
    scores: dict[str, float | None] = {n: getattr(evaluation, n) for n in METRICS if hasattr(evaluation, n)}
    scores["auc"] = ranking.auc if ranking else None
    scores["ign_auc"] = ranking.ign_auc if ranking and evaluation.has_facts else None
    return {name: scores[name] for name in METRICS if name in scores}


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
    return "-" if score is None else f"{score:.2f}"


def _score_table(scored: _Scored) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from bench.analysis.metrics import METRICS
    from bench.metrics.official import evidence_counts, evidence_of

    total, predictions, documents = scored.evaluation.counts.total, scored.predictions, scored.documents
    scores = {name: score for name, score in _scores(scored).items() if score is not None or not METRICS[name].later}
    predicted = _predicts_evidence(predictions) and _has_evidence(documents)
    scores["evidence_f1"] = evidence_counts(evidence_of(predictions), documents).total.f1 if predicted else None
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
