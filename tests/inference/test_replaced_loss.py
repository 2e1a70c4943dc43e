"""A model that is trained by another loss decides by it, wherever its decisions are made or looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_experiments import execute, plans

from baselines.atlop import Atlop, AtlopHyperparameters
from baselines.dreeam import Dreeam, DreeamHyperparameters
from baselines.fusion import InferenceStageFusion
from bench.execution.model_checks import Check, check_model
from bench.experiment.losses import model_and_loss
from bench.inference.changed_code import changed_code
from bench.inference.load import predictor_of
from bench.inference.replaced_loss import built_with
from bench.inference.trust import Trust, UntrustedCodeError
from bench.interface import DocumentScores, Task
from bench.losses.amtl import Amtl
from bench.losses.balanced_softmax import BalancedSoftmax
from bench.losses.separate import Sat
from bench.runs.interrupt import Interrupt
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import load_scores

RELATIONS = ("a", "b", "c")
TASK = Task(8, RELATIONS, (0.3, 0.2, 0.1))


def small(loss_cls=Sat, cls=Atlop, schema=AtlopHyperparameters, **settings):
    loss = loss_cls(loss_cls.Hyperparameters(**settings), TASK.label_rates)
    return built_with(cls, schema(pair_size=16, block_size=16), loss, TASK)


def test_the_model_stays_one_of_its_class_and_keeps_its_name():
    model = small()
    assert isinstance(model, Atlop)
    assert type(model).__name__ == "Atlop"


def test_its_head_has_as_many_thresholds_as_the_loss():
    assert len(small(Amtl, blocks=(1, 2)).classifier.weight) == 2 + len(RELATIONS)
    assert len(small().classifier.weight) == 1 + len(RELATIONS)


def test_decisions_and_what_they_are_made_against_are_the_losses():
    logits = torch.tensor([[5.0, 1.0, -1.0, 2.0]])
    model = small(BalancedSoftmax)
    assert model.decode(logits).tolist() == [[True, False, True]]
    thresholds = model.decided_against(logits, RELATIONS)
    assert (thresholds.values.item(), thresholds.what) == (0.0, "0")
    several = small(Amtl, blocks=(1, 2)).decided_against(torch.tensor([[5.0, 7.0, 1.0, 2.0, 3.0]]), RELATIONS)
    assert (several.values.tolist(), several.what) == ([[5.0, 7.0, 7.0]], "the threshold class of its block")


def test_a_loaded_model_has_the_blocks_it_was_trained_with_whatever_the_rates_now():
    trained = small(Amtl, blocks=(1, 2))
    loss = Amtl(Amtl.Hyperparameters(blocks=(1, 2)), (0.0, 0.0, 1.0))
    again = built_with(Atlop, AtlopHyperparameters(pair_size=16, block_size=16), loss, TASK)
    again.load_state_dict(trained.state_dict())
    assert again.replacing.block.tolist() == trained.replacing.block.tolist() == [0, 1, 1]


def test_fusion_takes_margins_over_what_the_loss_decides_against():
    model = small(Amtl, Dreeam, DreeamHyperparameters, blocks=(1, 2), at_most=None)
    margins = np.full((2, 2, 3), -np.inf)
    scores = DocumentScores(np.array([[0, 1]]), np.array([[5.0, 7.0, 6.0, 2.0, 8.0]], dtype=np.float32), None)
    InferenceStageFusion(model, RELATIONS).add_margins(margins, scores, np.arange(2))
    assert margins[0, 1].tolist() == [1.0, -5.0, 1.0]


def held(checks: list[Check]) -> dict[str, str]:
    return {finding.claim: finding.detail for finding in checks if not finding.holds}


@pytest.mark.parametrize(
    "name",
    ["atlop:loss=pemscl", "ttmre:loss=atgl:alpha=6", "kd_docre:loss=hinge-abl", "dreeam:loss=amtl", "ssrpu:loss=pn"],
)
def test_a_model_with_another_loss_passes_the_checks_of_models(name):
    entry, loss = model_and_loss(name)
    assert held(list(check_model(entry.cls, loss))) == {}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("model", "against"),
    [
        ("atlop:loss=balanced-softmax", "0"),
        ("ttmre:loss=amtl:blocks=[1,1]", "the threshold class of its block"),
        ("kd_docre:loss=atgl:alpha=6", "the threshold class"),
    ],
)
def test_a_run_keeps_margins_over_the_thresholds_of_its_loss_and_its_model_predicts_again(model, against, tmp_path):
    (plan,) = plans(model, "distant.epochs=1", settings="human+distant")
    assert execute(tmp_path, [plan]) == []
    scores = load_scores(RunFolder.of(tmp_path, plan).path, "test")
    assert scores.decides
    assert scores.against == against
    predictor = predictor_of(tmp_path, plan, Interrupt(), same_code=True)
    assert predictor.reader.system.model.decided_against(torch.zeros(1, 4), ("knows", "leads")).what == against


@pytest.mark.usefixtures("small")
def test_a_loss_in_a_file_that_a_results_folder_names_is_not_run_unless_it_is_trusted(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("from bench.losses.separate import Sat\n\n\nclass Mine(Sat):\n    pass\n")
    (plan,) = plans(f"atlop:loss={mine}:Mine")
    with pytest.raises(UntrustedCodeError) as caught:
        Trust().trusted(plan, tmp_path)
    assert f"names code of its own, which was not run: {mine} (Mine)" in str(caught.value)
    assert "--models" not in str(caught.value)
    assert Trust(everything=True).trusted(plan, tmp_path) == plan


@pytest.mark.usefixtures("small")
def test_a_model_of_a_loss_whose_code_has_changed_since_says_so(tmp_path):
    (plan,) = plans("atlop:loss=sat")
    stage = plan.stages[0]
    assert stage.loss is not None
    older = stage.model_copy(update={"loss": stage.loss.model_copy(update={"code": "0" * 16})})
    assert changed_code(stage) == []
    assert changed_code(older) == ["the loss sat"]
