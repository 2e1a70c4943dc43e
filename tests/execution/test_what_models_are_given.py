"""A model in a file of its own that uses all it may be given: in training, evaluation, prediction, and scored anew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_experiments import documents, execute, plans, results, stopped

from bench.data.catalog.dataset import add_dataset
from bench.data.documents import Document
from bench.data.formats.docred import write_documents
from bench.execution.checks import check
from bench.filesystem import load_state
from bench.inference.finished_run import predict_file
from bench.inference.trust import Trust
from bench.registry import find
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, predictions_path
from bench.runs.stage_folder import SELECTED, stage_folder
from bench.runs.triple_scores import scores_path

MODEL = """
import torch
from torch import nn

from bench.interface import PairModel, Recipe, Stage
from bench.nn.segments import segment_logsumexp


class Words(PairModel):
    '''Whoever is named Ada knows everybody; one of a type that was seen in training leads another.'''

    recipe = Recipe.one_then_the_other(Stage(data="human"), Stage(data="distant"), Stage(data="ext"))
    reads_words = True
    reads_relation_texts = True

    def __init__(self, hp, task):
        super().__init__()
        self.task = task
        self.weight = nn.Parameter(torch.zeros(1))
        self.types = nn.Embedding(len(task.entity_types) + 1, 1)
        self.knows = next(i for i, r in enumerate(task.relations) if "met" in task.relation_descriptions.get(r, ""))
        assert task.relation_names[task.relations[self.knows]] == "is acquainted with"
        assert (task.dataset, task.seed) == ("described", 0)

    def logits(self, layouts, like):
        rows = []
        for d in layouts:
            words = [word for sentence in d.words for word in sentence]
            first = {e: i for i, e in reversed(list(enumerate(d.mention_entity.tolist())))}
            named = []
            for entity in range(d.entities):
                at = d.mention_position[first[entity]] + 1  # past the marker
                word = int((d.word_starts == at).nonzero()[0, 0])
                sentence = int(d.mention_sentence[first[entity]])
                assert words[word] in d.words[sentence]
                named.append(words[word])
            known = d.entity_types < len(self.task.entity_types)
            for head, tail in d.pairs.tolist():
                row = [-5.0, -5.0]
                row[self.knows] = 5.0 if named[head] == "Ada" else -5.0
                row[1 - self.knows] = 5.0 if known[head] and known[tail] else -5.0
                rows.append(row)
        logits = torch.tensor(rows).reshape(-1, 2).to(like)
        types = torch.cat([d.entity_types[d.pairs[:, 0]] for d in layouts])
        return logits + 0.001 * (self.weight + self.types(types)).tanh()

    def batch_loss(self, logits, inputs, batch):
        step, steps = batch.update
        fit = nn.functional.binary_cross_entropy_with_logits(logits, batch.labels.to(logits.dtype))
        return {"fit": fit, "annealed": torch.full_like(fit, step / steps)}

    def decode(self, logits):
        return logits > 0


class Pooled(Words):
    pooled_tokens = True

    def forward(self, pairs):
        entities = [
            segment_logsumexp(states[d.mention_position], d.mention_entity, d.entities)
            for states, d in zip(pairs.states, pairs.documents, strict=True)
        ]
        torch.testing.assert_close(torch.cat(entities), pairs.entities)
        return self.logits(pairs.documents, pairs.context)


class OfTokens(Words):
    reads = "tokens"

    def forward(self, tokens):
        return self.logits(tokens.documents, tokens.states[0])


class OfPieces(Words):
    reads = "pieces"

    def forward(self, tokens):
        return self.logits(tokens.documents, self.weight)
"""
KINDS = ("Pooled", "OfTokens", "OfPieces")
TEXTS = {"knows": {"name": "is acquainted with", "description": "they met"}, "leads": {"name": "leads"}}


def retyped(document: Document, kind: str) -> Document:
    entities = tuple(tuple(m._replace(type=kind) for m in mentions) for mentions in document.entities)
    return replace(document, entities=entities)


def describe(folder: Path, texts: object, **changed: list[Document]) -> None:
    """Register the data set `described`."""
    (folder / "texts.json").write_text(json.dumps(texts))
    sizes = {"train": 5, "dev": 2, "test": 3, "distant": 4}
    for split, count in sizes.items():
        write_documents(folder / f"{split}.json", changed.get(split, documents(split, count)))
    paths = {split: folder / f"{split}.json" for split in sizes}
    add_dataset("described", paths, relations=[folder / "texts.json"], replace=True)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Plans on `described` of one of the classes in a model file."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "mine.py").write_text(MODEL)
    describe(tmp_path, TEXTS)

    def plan(kind: str, *changes: str, **options: object) -> list[RunPlan]:
        own = ("batch_size=2", "epochs=2")
        return plans(f"{tmp_path / 'mine.py'}:{kind}", *own, *changes, dataset="described", **options)

    monkeypatch.setattr("small_experiments.SMALL", ())
    return plan


def expected(of: list[Document], known: bool = True) -> set[tuple[str, int, int, str]]:
    """What the model predicts. known: whether the entities are of types that were seen in training."""
    found = set()
    for document in of:
        pairs = [(h, t) for h in range(4) for t in range(4) if h != t]
        found |= {(document.title, h, t, "knows") for h, t in pairs if document.entities[h][0].name == "Ada"}
        found |= {(document.title, h, t, "leads") for h, t in pairs if known}
    return found


def predicted(path: Path) -> set[tuple[str, int, int, str]]:
    return {(row["title"], row["h_idx"], row["t_idx"], row["r"]) for row in json.loads(path.read_text())}


@pytest.mark.parametrize("changes", [(), ("freeze_encoder=true",)], ids=["trained", "frozen"])
@pytest.mark.parametrize("kind", KINDS)
def test_words_types_texts_and_token_states_are_there_in_training_and_in_evaluation(kind, changes, planned, tmp_path):
    if kind == "OfPieces" and changes:
        pytest.skip("it has no encoder to freeze")
    (plan,) = planned(kind, *changes)
    assert execute(tmp_path / "out", [plan]) == [], RunFolder.of(tmp_path / "out", plan).error_text()
    for split, count in ("dev", 2), ("test", 3):
        found = predicted(predictions_path(RunFolder.of(tmp_path / "out", plan).path, split))
        assert found == expected(documents(split, count))


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_there_for_new_documents_whose_types_may_be_of_no_training_document(kind, planned, tmp_path):
    (plan,) = planned(kind)
    execute(tmp_path / "out", [plan])
    new = [documents("new", 2)[0], retyped(documents("new", 2)[1], "ALIEN")]
    write_documents(tmp_path / "new.json", new, labelled=False)
    run = RunFolder.of(tmp_path / "out", plan).path
    predict_file(run, tmp_path / "new.json", tmp_path / "new-predictions.json", Trust(everything=True))
    assert predicted(tmp_path / "new-predictions.json") == expected(new[:1]) | expected(new[1:], known=False)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_there_when_scores_are_made_anew_for_the_explorer(kind, planned, tmp_path, bench):
    (plan,) = planned(kind)
    out = tmp_path / "out"
    execute(out, [plan])
    scores = scores_path(RunFolder.of(out, plan).path, "test")
    before = scores.read_bytes()
    scores.unlink()
    status, _, error = bench("explore", plan.folder, "--out", out, "--trust-code")
    assert status == 0, error
    assert scores.read_bytes() == before


def test_a_loss_is_told_the_update_and_an_interrupted_stage_goes_on_with_the_next(planned, tmp_path):
    (plan,) = planned("Pooled")
    execute(tmp_path / "whole", [plan])
    log = stage_folder(tmp_path / "whole", plan.last) / "log.jsonl"
    steps = [json.loads(line) for line in log.read_text().splitlines()]
    assert [step["loss/annealed"] for step in steps] == pytest.approx([i / len(steps) for i in range(len(steps))])
    assert stopped(tmp_path / "parts", [plan], after=3)
    execute(tmp_path / "parts", [plan])
    assert results(tmp_path / "parts", [plan]) == results(tmp_path / "whole", [plan])


def test_types_are_those_of_the_stage_whose_weights_a_model_goes_on_with(planned, tmp_path):
    describe(tmp_path, TEXTS, distant=[retyped(document, "ROBOT") for document in documents("distant", 4)])
    planned = planned("Pooled", settings="human,human+distant")
    assert execute(tmp_path / "out", planned) == []

    def types(plan: RunPlan) -> list[list[str]]:
        return [load_state(stage_folder(tmp_path / "out", s) / SELECTED)["entity_types"] for s in plan.stages]

    assert [types(plan) for plan in planned] == [[["PER"]], [["ROBOT"], ["ROBOT"]]]


def test_texts_of_relations_are_part_of_the_key_of_models_that_read_them_alone(planned, tmp_path):
    def keys() -> tuple[str, str]:
        (mine,), (atlop,) = planned("Pooled"), plans("atlop", dataset="described")
        return mine.key, atlop.key

    before = keys()
    describe(tmp_path, {**TEXTS, "leads": {"name": "leads", "description": "is the head of"}})
    after = keys()
    assert (after[0] == before[0], after[1] == before[1]) == (False, True)


NOTED = """
from baselines.atlop import Atlop


class Asks(Atlop):
    reads_words = True
    reads_relation_texts = True
    pooled_tokens = True


class Forgets(Atlop):
    '''It has no place for types that are of no training document.'''

    def __init__(self, hp, task):
        super().__init__(hp, task)
        self.known = len(task.entity_types)

    def forward(self, pairs):
        assert all((document.entity_types < self.known).all() for document in pairs.documents)
        return super().forward(pairs)
"""


def test_what_a_model_asks_for_is_noted_when_it_is_checked(tmp_path):
    (tmp_path / "noted.py").write_text(NOTED)
    findings = list(check(find(f"{tmp_path / 'noted.py'}:Asks").cls))
    assert all(finding.holds for finding in findings)
    noted = {finding.claim for finding in findings}
    assert noted >= {"NOTE, words", "NOTE, texts of relations", "NOTE, token states"}


def test_a_model_without_a_place_for_unknown_types_is_found_when_it_is_checked(tmp_path):
    (tmp_path / "noted.py").write_text(NOTED)
    (wrong,) = [f for f in check(find(f"{tmp_path / 'noted.py'}:Forgets").cls) if not f.holds]
    assert wrong.claim == "entities may be of a type that no training document has"
    assert wrong.detail.endswith(f"({tmp_path / 'noted.py'}, line 19, in forward)")
