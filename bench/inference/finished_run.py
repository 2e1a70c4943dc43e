"""A finished run on new documents, or once more on its own. It needs nothing but the output folder it was made in."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.catalog.dataset import open_dataset
from bench.data.documents import Document
from bench.data.features.cache import PartMaker, features_of
from bench.data.formats.chunks import DocumentChunks
from bench.data.formats.detect import read_documents
from bench.data.formats.folder import checksum_of_files
from bench.data.formats.pair_order import FIRST_IN_TEXT, first_in_text
from bench.errors import BenchError, UsageError
from bench.inference.counting import fitted_again, predicted
from bench.inference.load import predictor_of
from bench.inference.model_code import UnusableModelError, model_code
from bench.inference.reader import reading
from bench.inference.trust import INSTALLED_ONLY, Trust, UntrustedCodeError
from bench.metrics.submission import Prediction, write_submission
from bench.runs.interrupt import Interrupted, handling_signals
from bench.runs.names import made_anew
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, not_finished
from bench.runs.triple_scores import scores_path


@dataclass(frozen=True)
class Predicted:
    """What was predicted: triples, of how many documents; mentions that lay past the length limit; by which run."""

    triples: int
    documents: int
    mentions_cut: int
    plan: RunPlan


def predict_file(
    run: Path, documents: Path, to: Path, trust: Trust = INSTALLED_ONLY, batch_size: int | None = None
) -> Predicted:
    """Write the predictions of a run's model on the file `documents` to `to`. trust: whose code the model may be.

    batch_size: how many documents are read at once; None for as many as a batch of its training. It changes nothing
    but rounding, save for a model whose pairs see those of other documents (`ttmre-released`).

    Raises UsageError for a run that is not finished, `UnusableModelError` for one whose model is, `NotFiniteError`.
    """
    out = run.resolve().parent.parent
    folder = RunFolder(out, run.resolve().name)
    found = folder.verdict()
    plan, record = found.plan, found.record
    if plan is not None and found.damage:
        raise UsageError(f"{run}: {found.why}\n{made_anew(out, folder.name, plan.origin)}")
    if plan is None or record is None:
        raise UsageError(f"{run} is not a finished run: {not_finished(folder)}")
    # A label need not be of a relation the model knows: it is of no use here.
    read = [replace(document, labels=()) for document in read_documents(documents)]
    if record.conventions.get("order") == FIRST_IN_TEXT:
        read = list(map(first_in_text, read))
    if plan.last is not None and plan.last.is_counted:
        trusted = trust.trusted(plan, run)
        with handling_signals():
            predictions = predicted(fitted_again(trusted, open_dataset(plan.dataset)), read, str(documents))
        write_submission(to, predictions)
        return Predicted(len(predictions), len(read), 0, plan)
    with tempfile.TemporaryDirectory() as scratch, handling_signals() as interrupt:
        try:
            predictor = predictor_of(out, plan, interrupt, trust, batch_size=batch_size)
        except UntrustedCodeError:
            raise
        except UnusableModelError as error:
            raise UnusableModelError(f"{run}: {error}") from error
        stage, words = predictor.reader.stage, predictor.reader.source.words()
        chunks, content = DocumentChunks(lambda: read), checksum_of_files(documents)
        keep_words = predictor.reader.system.model.reads_words
        maker = PartMaker(Path(scratch), words, "", stage.relations, stage.max_length, keep_words)
        features = features_of(chunks, content, maker)
        try:
            with reading(str(documents)), model_code(f"{run}: its model failed on {documents}"):
                predictions = predictor.predict(read, features, record.decision)
        except Interrupted as interrupted:
            raise BenchError(f"stopped ({interrupted}); nothing was written") from interrupted
    write_submission(to, predictions)
    return Predicted(len(predictions), len(read), features.mentions_cut, plan)


def score_again(
    run: RunFolder,
    plan: RunPlan,
    split: str,
    documents: Sequence[Document],
    predictions: Sequence[Prediction],
    trust: Trust = INSTALLED_ONLY,
) -> None:
    """Give a finished run the scores it lacks, from its weights. predictions: what it made of `documents`, its `split`.

    trust: whose code its model may be. Raises `UnusableModelError`, `NotFiniteError`; OSError where none can be kept.
    """
    with handling_signals() as interrupt:
        predictor = predictor_of(run.path.parent.parent, plan, interrupt, trust, same_code=True)
        keeper = predictor.keeper(documents)
        try:
            with reading(split), model_code(f"its model failed on {split}"):
                keeper.read(predictor.reader.score, predictions)
                ranking = keeper.ranking()
        except Interrupted as interrupted:
            raise BenchError(f"stopped ({interrupted}); nothing was written") from interrupted
    keeper.write(scores_path(run.path, split), ranking)
