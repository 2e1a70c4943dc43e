"""Runs to look at without having trained any: documents with names that a careless page trips over, and what two models
would have made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import made_records
import numpy as np
import torch
from small_experiments import documents
from torch import nn

from bench.data.catalog.dataset import Dataset, add_dataset, open_dataset
from bench.data.documents import Document, Label, Mention
from bench.data.formats.docred import write_documents
from bench.execution.evaluate import split_record
from bench.inference.score_keeper import ScoreKeeper
from bench.interface import DocumentScores, PairModel
from bench.metrics.submission import Prediction, write_submission
from bench.runs.plan import InferencePlan, RunPlan
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import scores_path

SCRIPT = "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'> & \"quoted\" #1?=%41+2"
RIGHT_TO_LEFT = "مدينة القاهرة"
EMOJI = "👩‍🔬 Ada & 𝔹ert"
KNOWS = "knows <b>of</b>"
"""What relation `knows` is called."""


class Ranked(PairModel):
    """Two relations and a threshold class."""

    predicts_evidence = True

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def hostile(title: str, name: str) -> Document:
    """A document whose first entity is called `name`, beside an entity within a longer one."""
    words = (*name.split(" "), "knows", "New", "York", "City", ".")
    length = len(name.split(" "))
    first = Mention(0, 0, length, name, "PER")
    city = Mention(0, length + 1, length + 4, "New York City", "LOC")
    inner = Mention(0, length + 2, length + 3, "York", "LOC")
    again = Mention(1, 1, 1 + length, name, "PER")
    sentences = (words, ("So", *name.split(" "), "leads", "it", "."))
    return Document(
        title, sentences, ((first, again), (city,), (inner,)), (Label(0, 1, "knows", (0,)), Label(1, 2, "leads"))
    )


def all_documents(count: int = 30) -> list[Document]:
    return [hostile(SCRIPT, SCRIPT.replace(" ", "_")), hostile(RIGHT_TO_LEFT, RIGHT_TO_LEFT), hostile(EMOJI, EMOJI),
            *documents("test", count)]  # fmt: skip


def register(folder: Path) -> Dataset:
    """The data set `tricky`, whose test documents are `all_documents()`."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = {"train": documents("train", 5), "dev": documents("dev", 2), "test": all_documents()}
    paths = {split: folder / f"{split}.json" for split in splits}
    for split, given in splits.items():
        write_documents(paths[split], given)
    names = folder / "names.json"
    names.write_text(json.dumps({"knows": KNOWS, "leads": "leads"}))
    add_dataset("tricky", paths, relations=[names], replace=True)
    return open_dataset("tricky")


def predictions(of: Sequence[Document], every: int) -> list[Prediction]:
    """The labels, but each `every`-th; and in each `every`-th document the first entity leads the second."""
    found, at = [], 0
    for row, document in enumerate(of):
        for label in document.labels:
            at += 1
            if at % every:
                evidence = (0, 1) if row % 2 else (0,)
                found.append(Prediction(document.title, label.head, label.tail, label.relation, evidence))
        if not row % every:
            found.append(Prediction(document.title, 0, 1, "leads", (1,)))
    return found


def write_run(
    out: Path, dataset: Dataset, model: str, every: int, seed: int = 0, scored: bool = True, inference: str = "",
    logit: float | None = None,
) -> RunPlan:  # fmt: skip
    """A finished run in `out`. scored: with scores beside its predictions.   logit: of all triples, if given."""
    test, relations = dataset.documents("test"), dataset.relations
    plan = made_records.plan(model, seed, dataset=dataset.name, test=dataset.checksum("test"), encoder="tiny")
    own = InferencePlan(reference=model, class_name=inference, code="x") if inference else None
    stage = plan.stages[0].model_copy(update={"relations": relations})
    plan = plan.model_copy(update={"stages": (stage,), "dev_checksum": dataset.checksum("dev"), "inference": own})
    folder = RunFolder.of(out, plan)
    folder.announce(plan)
    found = predictions(test, every)
    write_submission(folder.path / "predictions-test.json", found)
    if scored:
        write_scores(folder.path, test, relations, found, not inference, logit)
    record = made_records.record(plan, [[1, 1, 1, 0]])
    judged = split_record(found, test, dataset.facts(), None, 0, predicts_evidence=True)
    record = record.model_copy(update={"splits": {"dev": record.splits["dev"], "test": judged}})
    folder.write_record(record)
    return plan


def write_scores(
    run: Path,
    of: Sequence[Document],
    relations: Sequence[str],
    found: Sequence[Prediction],
    decides: bool,
    logit: float | None = None,
) -> None:
    """Logits that the predictions would follow from, or those that are given."""
    random = np.random.default_rng(0)
    predicted = {prediction.triple: prediction.evidence for prediction in found}
    keeper = ScoreKeeper(Ranked(), of, relations, decides)
    for row, document in enumerate(of):
        n = len(document.entities)
        pairs = np.array([(h, t) for h in range(n) for t in range(n) if h != t])
        triples = [[(document.title, h, t, relation) for relation in relations] for h, t in pairs.tolist()]
        chosen = np.array([[triple in predicted for triple in row] for row in triples])
        distance = random.uniform(0.1, 5, size=chosen.shape)
        logits = np.column_stack([np.full(len(pairs), 0.5), 0.5 + np.where(chosen, distance, -distance)])
        if logit is not None:
            logits[:, 1:] = logit
        evidence = np.zeros((len(pairs), len(document.sentences)), dtype=bool)
        for p, of_pair in enumerate(triples):
            for triple in of_pair:
                evidence[p, list(predicted.get(triple) or ())] = True
        keeper.add(row, DocumentScores(pairs, logits.astype(np.float32), evidence), chosen)
    keeper.write(scores_path(run, "test"))
