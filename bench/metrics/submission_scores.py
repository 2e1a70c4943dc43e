"""A submission file beside a labelled file: every score, slices, and what of the submission cannot be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.documents import Document, Fact, facts_of, no_cycle_search
from bench.data.formats.detect import Format, detect, format_of, scan, with_order
from bench.data.formats.docred import no_labels, read_facts, read_labelled_facts
from bench.data.formats.pair_order import Order
from bench.data.formats.scan import Scan
from bench.errors import UsageError, plural
from bench.filesystem import checksum_path, fits_checksum
from bench.metrics import official, slices, submission_checks
from bench.metrics.official import Evaluation, gold_outside
from bench.metrics.slices import SlicedEvaluation
from bench.metrics.submission import Prediction, either_way_round, read_submission
from bench.metrics.submission_checks import SubmissionChecks

if TYPE_CHECKING:
    from bench.metrics.ranking import Ranking


@dataclass(frozen=True)
class SubmissionScores:
    """A submission beside the labels. facts: how many facts there are in each file of them, None without it.

    notes: what is odd about the submission, or has no score, in sentences.
    """

    predictions: Sequence[Prediction]
    documents: Sequence[Document]
    evaluation: Evaluation
    sliced: SlicedEvaluation
    ranking: Ranking | None
    checks: SubmissionChecks
    facts: Mapping[str, int | None]
    notes: Sequence[str]

    @property
    def evidence_f1(self) -> float | None:
        """F1 of predicted evidence in percent; None where none is predicted, or none is labelled."""
        if not (_predicts_evidence(self.predictions) and _has_evidence(self.documents)):
            return None
        return official.evidence_counts(official.evidence_of(self.predictions), self.documents).total.f1


def score_submission(
    gold: Path,
    pred: Path,
    train_facts: Path | None = None,
    distant_facts: Path | None = None,
    form: str | None = None,
    order: Order | None = None,
    doing: Callable[[str], None] = lambda what: None,
    on_read: Callable[[int], None] = lambda size: None,
) -> SubmissionScores:
    """Read and score everything. form: of the labelled documents and of those with facts; None to see by content.

    order: of the candidate pairs of the labelled documents, None for that of the corpus (`with_order`).
    train_facts, distant_facts: .fact files or documents, for Ign F1.   doing: told what is being done.
    on_read: told of every piece of the submission that has been read, in bytes.
    Raises UsageError for files that cannot be used.
    """
    chosen = with_order(format_of(form) if form else detect(gold), order)
    if not chosen.ign_f1 and (train_facts or distant_facts):
        raise UsageError(f"{gold}: facts are for Ign F1, which is no part of {chosen.name}; leave them out")
    of_facts = chosen if form else None
    # Nothing that is read has cycles, and looking for some in millions of rows takes longer than all the rest.
    with no_cycle_search():
        doing(f"reading {gold.name}")
        labelled = _labelled(gold, chosen)
        documents = labelled.documents
        doing(f"reading {pred.name}")
        predictions = read_submission(pred, on_read)
        changed = not fits_checksum(pred)
        if chosen.unordered:
            predictions = either_way_round(predictions, documents)
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
    if checks.turned_pairs and not chosen.unordered:
        first = "a system that makes head what the text mentions first is scored by --pairs"
        notes += [f"{first} {other}" for other in chosen.orders]
    if len(parts := Counter(labelled.parts.values())) > 1:
        marked = " and ".join(f"{count:,} marked {part}" for part, count in sorted(parts.items()))
        notes.append(f"{gold.name} has documents for several purposes ({marked}); all of them are scored")
    notes += _notes(predictions, documents, ranking, checks.rows - checks.duplicates)
    for path, used, metric in ((train_facts, facts, "Ign F1"), (distant_facts, distant, "Ign F1 (distant)")):
        if path and used is not None and (unused := submission_checks.facts_note(used, documents, path.name, metric)):
            notes.append(unused)
    if chosen.ign_f1 and not evaluation.has_facts:
        notes.append("no Ign F1: it needs --train-facts")
    counts = {
        name: None if of is None else len(of) for name, of in (("train_facts", facts), ("distant_facts", distant))
    }
    return SubmissionScores(predictions, documents, evaluation, sliced, ranking, checks, counts, notes)


def _labelled(path: Path, form: Format) -> Scan:
    """The documents of a file in the given form, and what it says of them. Raises UsageError where none has labels."""

    result = scan(path, form.of_split("test"))
    result.refuse_problems()
    if not any(document.labels for document in result.documents):
        raise UsageError(no_labels(path, result.count))
    return result


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

    if _holds_facts(path):
        return read_facts(path)
    if path.is_file() and not path.stat().st_size:
        raise UsageError(f"{path}: empty file: expected facts ([[head, tail, relation], ...]) or labelled documents")
    form = form or detect(path)
    return read_labelled_facts(path) if form.name == "docred" else facts_of(_labelled(path, form).documents)


def _holds_facts(path: Path) -> bool:
    """Whether the file's first row is a list, as in a .fact file, not a document; its name says nothing reliable."""
    try:
        with path.open("rb") as file:
            beginning = b"".join(file.read(4096).removeprefix(b"\xef\xbb\xbf").split())
    except OSError:
        return False  # the reader of documents says what is wrong
    return beginning.startswith((b"[[", b"[]"))


def _notes(
    predictions: Sequence[Prediction], documents: Sequence[Document], ranking: Ranking | None, distinct: int
) -> Iterator[str]:
    if outside := gold_outside(documents):
        are = "is on a pair that is no candidate" if outside == 1 else "are on pairs that are no candidates"
        yield f"{plural(outside, 'labelled triple')} {are}: missed by every model here, right where a submission has it"
    if _predicts_evidence(predictions) and not _has_evidence(documents):
        yield "no evidence F1: no label has evidence to compare with"
    scored = sum(prediction.score is not None for prediction in predictions)
    if ranking is not None:
        yield f"AUC is of the {plural(distinct, 'prediction')} listed; that of a model ranks all its candidates"
    elif scored:
        yield f"no AUC: only {scored:,} of {len(predictions):,} predictions have a score"


def _predicts_evidence(predictions: Sequence[Prediction]) -> bool:
    return any(prediction.evidence is not None for prediction in predictions)


def _has_evidence(documents: Sequence[Document]) -> bool:
    return any(label.evidence for document in documents for label in document.labels)
