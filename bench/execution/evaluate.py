"""From a trained model to the record of its run: predictions on dev and test, and what they are worth."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.data.documents import Document, Fact, names_in
from bench.execution.context import Context
from bench.filesystem import write_checksum
from bench.inference.predictor import Predictor
from bench.inference.reader import reading
from bench.metrics.official import Counts, evaluate, evidence_counts, evidence_of, gold_outside
from bench.metrics.ranking import Ranking
from bench.metrics.slices import PROTOCOLS, evaluate_slices
from bench.metrics.submission import Prediction, write_submission
from bench.runs.plan import RunPlan
from bench.runs.record import DocumentCounts, EvidenceScores, RunRecord, Scores, SplitRecord, StageRecord
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
        documents, features = dataset.documents(split), inputs.features(split)
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
    return RunRecord(
        key=run.key,
        configuration=run.configuration,
        model=run.model,
        variant=run.variant,
        dataset=run.dataset,
        setting=run.setting,
        encoder=run.encoder,
        seed=run.seed,
        facts=dataset.facts_source(),
        stages=stages,
        splits=splits,
        decision=decision,
    )


def split_record(
    predictions: Sequence[Prediction],
    documents: Sequence[Document],
    facts: Collection[Fact] | None,
    distant_facts: Collection[Fact] | None,
    mentions_cut: int,
    predicts_evidence: bool = False,
    ranking: Ranking | None = None,
) -> SplitRecord:
    """Official scores, macro F1, slices in both protocols, counts; evidence scores where evidence is predicted.

    facts: None where the benchmark has no Ign F1, which is then absent everywhere, not F1 under another name.
    ranking: of all candidates, for AUC; None where thresholds alone do not decide.
    """
    triples = [prediction.triple for prediction in predictions]
    evaluation = evaluate(triples, documents, facts, distant_facts)
    sliced = evaluate_slices(evaluation.judged, documents)
    rows = evaluation.counts.documents
    return SplitRecord(
        scores=Scores(
            f1=evaluation.f1,
            ign_f1=evaluation.ign_f1,
            ign_f1_distant=evaluation.ign_f1_distant,
            precision=evaluation.precision,
            recall=evaluation.recall,
            auc=ranking.auc if ranking else None,
            ign_auc=ranking.ign_auc if ranking and facts is not None else None,
        ),
        macro_f1=evaluation.macro_f1,
        slices={
            protocol: {
                part.name: _scores(part.total(protocol), facts is not None)
                for part in sliced.slices
                if part.group != "relation"
            }
            for protocol in PROTOCOLS
        },
        relations={
            relation: (counts.correct, counts.predicted, counts.gold)
            for relation, counts in sorted(evaluation.relations.items())
        },
        documents=DocumentCounts(
            titles=[document.title for document in documents],
            correct=[row.correct for row in rows],
            predicted=[row.predicted for row in rows],
            gold=[row.gold for row in rows],
            correct_in_facts=[row.correct_in_facts for row in rows],
        ),
        mentions_cut=mentions_cut,
        gold_outside=gold_outside(documents),
        evidence=_evidence_scores(predictions, documents) if predicts_evidence else None,
        highest_margin=ranking.highest if ranking else None,
    )


def _evidence_scores(predictions: Sequence[Prediction], documents: Sequence[Document]) -> EvidenceScores | None:
    """Precision, recall and F1 of predicted evidence, percent; None where no label has evidence to compare with."""
    if not any(label.evidence for document in documents for label in document.labels):
        return None
    total = evidence_counts(evidence_of(predictions), documents).total
    return EvidenceScores(f1=total.f1, precision=total.precision, recall=total.recall)


def _scores(counts: Counts, has_facts: bool) -> Scores:
    return Scores(
        f1=counts.f1, ign_f1=counts.ign_f1 if has_facts else None, precision=counts.precision, recall=counts.recall
    )
