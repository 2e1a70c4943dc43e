"""From a trained model to the record of its run: predictions on dev and test, and what they are worth."""

from __future__ import annotations

from bench.data.documents import names_in
from bench.execution.context import Context
from bench.filesystem import write_checksum
from bench.inference.predictor import Predictor
from bench.inference.reader import reading
from bench.metrics.split_record import split_record
from bench.metrics.submission import write_submission
from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord, StageRecord
from bench.runs.run_folder import RunFolder, predictions_path
from bench.runs.triple_scores import has_newer_scores, scores_path


def evaluate_run(context: Context, run: RunPlan, stages: list[StageRecord]) -> RunRecord:
    """Predict the documents of a run with the model of its last stage, write predictions and scores, score them.

    Returns the record, which is not written yet. Raises `DamagedFileError` where the model is not what was written,
    `NotFiniteError` where its logits are no numbers.
    """
    last, folder, inputs = run.stages[-1], RunFolder.of(context.out, run), context.inputs(run)
    predictor = Predictor.of(run, context.reader(last, inputs))
    dataset, model = inputs.dataset, predictor.reader.system.model
    names = names_in(dataset.documents("dev")) | names_in(dataset.documents("test"))
    facts, distant_facts = dataset.facts(), dataset.distant_facts(names)
    context.report(folder, state="running", stage="evaluation", doing="evaluating dev")
    with reading(f"choosing on {last.training.select_on} what to decide by"):
        decision = model.decision() | predictor.tune(dataset.documents(last.training.select_on))
    splits = {}
    for split in ("dev", "test"):
        context.report(folder, state="running", stage="evaluation", doing=f"evaluating {split}")
        documents, features = dataset.documents(split), inputs.features(split, model.reads_words)
        if predictor.inference is None:
            features = context.encoded(features, predictor.reader, folder, "evaluation")
        keeper = predictor.keeper(documents)
        with reading(f"evaluation of {split}"):
            predictions = predictor.predict(documents, features, decision, keeper)
        ranking = keeper.ranking(facts)
        path = predictions_path(folder.path, split)
        write_submission(path, predictions)
        write_checksum(path)
        if not has_newer_scores(folder.path, split):
            keeper.write(scores_path(folder.path, split), ranking)
        if dataset.is_labelled(split):
            splits[split] = split_record(
                predictions, documents, facts, distant_facts, features.mentions_cut, model.predicts_evidence, ranking
            )
    return RunRecord.of(run, dataset.facts_source(), stages, splits, decision, dataset.conventions())
