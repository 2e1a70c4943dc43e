"""KD-DocRE against the released program's values, its matrix of pairs, and its student."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from kd_docre_values import ENTITIES, EXACT, Golden, document_of, grids, model_of
from pydantic import ValidationError
from small_experiments import execute, plans

from baselines.kd_docre import KdDocRe, KdDocReHyperparameters
from bench.data.batching import Batch
from bench.inference.load import signal_folder
from bench.inference.signals import SignalFile
from bench.nn.axial import AxialTransformer, LineAttention
from bench.nn.losses import adaptive_focal_loss
from bench.runs.stage_folder import stage_folder


@pytest.fixture
def golden(shared_file):
    return Golden(shared_file)


def test_logits_are_the_released_programs_when_its_padding_is_attended_to(golden):
    assert golden.off_diagonal.sum() == 7 * 6 + 5 * 4
    np.testing.assert_allclose(golden.logits(), golden.of["logits"], **EXACT)


def test_padding_is_what_makes_the_released_program_score_otherwise(golden):
    difference = (golden.model(golden.own) - torch.tensor(golden.of["logits"])).abs()[golden.off_diagonal]
    assert difference.max() > 0.01


def test_loss_is_the_released_programs(golden):
    (loss,) = golden.model.loss(golden.logits(), golden.labels).values()
    np.testing.assert_allclose(loss, golden.of["loss"], rtol=1e-6)


def test_loss_of_a_student_is_the_released_programs(golden, taught):
    teacher = torch.tensor(golden.of["teacher_logits"]).split([n * n for n in ENTITIES])
    parts = golden.model.batch_loss(golden.logits(), golden.padded, taught(golden.labels, teacher))
    assert set(parts) == {"adaptive_focal", "teacher"}
    np.testing.assert_allclose(sum(parts.values()), golden.of["loss_with_teacher"], rtol=1e-6)


def test_predictions_are_the_released_programs(golden):
    predicted = golden.model.decode(golden.logits())
    np.testing.assert_array_equal(predicted.numpy(), golden.of["pred_num4"][:, 1:].astype(bool))


@pytest.fixture
def taught():
    """A batch of which nothing but labels and the teacher's logits of each document matters."""

    def make(labels, teacher) -> Batch:
        nothing = torch.zeros(0)
        return Batch(nothing, nothing, (), labels, (), None if teacher is None else tuple(teacher))

    return make


@pytest.fixture
def small_model() -> KdDocRe:
    return model_of(encoder_size=16, relations=4, pair_size=8, block_size=4)


def test_a_document_scores_the_same_alone_and_in_any_batch(small_model):
    together = grids(4, 0, 7, 1, 2)
    alone = [small_model(document_of(together, i)) for i in range(5)]
    assert [len(logits) for logits in alone] == [12, 0, 42, 0, 2]
    torch.testing.assert_close(small_model(together), torch.cat(alone), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("entities", [(0,), (1,), (1, 0, 1)])
def test_documents_without_pairs_have_no_logits_and_a_loss_of_zero(entities, small_model):
    logits = small_model(grids(*entities))
    assert logits.shape == (0, 5)
    (loss,) = small_model.loss(logits, torch.zeros(0, 4).bool()).values()
    assert loss.item() == 0


def test_only_the_candidates_are_classified_and_each_as_if_all_were(small_model):
    pairs = grids(4, 3)
    few = torch.tensor([2, 6, 17, 18])
    row_of = {cell: row for row, cell in enumerate(pairs.candidates.tolist())}
    expected = small_model(pairs)[[row_of[cell] for cell in few.tolist()]]
    torch.testing.assert_close(small_model(replace(pairs, candidates=few)), expected)


def test_every_parameter_and_input_gets_a_finite_gradient(small_model, taught):
    pairs = grids(4, 1, 3)
    pairs.entities.requires_grad_()
    pairs.context.requires_grad_()
    logits = small_model(pairs)
    labels = torch.rand(len(logits), 4, generator=torch.Generator().manual_seed(1)) < 0.2
    teacher = torch.zeros(len(logits), 5).double().split([12, 0, 6])
    sum(small_model.batch_loss(logits, pairs, taught(labels, teacher)).values()).backward()
    gradients = {name: parameter.grad for name, parameter in small_model.named_parameters()}
    gradients |= {"entities": pairs.entities.grad, "context": pairs.context.grad}
    for name, gradient in gradients.items():
        assert gradient is not None, name
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().max() > 0, name


def test_two_layers_of_axial_attention_show_a_cell_every_other_of_its_document_and_no_more():
    axial = AxialTransformer(size=8, layers=2, heads=2).double()
    cells = torch.randn(16 + 9, 8, dtype=torch.float64, requires_grad=True)
    axial(cells, [4, 3])[6].square().sum().backward()
    seen = cells.grad.abs().amax(1) > 0
    assert seen.tolist() == [True] * 16 + [False] * 9


@pytest.mark.parametrize(("along", "seen"), [("row", [3, 4, 5]), ("column", [1, 4, 7])])
def test_attention_along_a_line_sees_that_line(along, seen):
    attention = LineAttention(size=8, heads=2, along=along).double()
    cells = torch.randn(9, 8, dtype=torch.float64, requires_grad=True)
    attention(cells, [3])[4].square().sum().backward()
    assert cells.grad.abs().amax(1).nonzero()[:, 0].tolist() == seen


def test_attention_along_a_line_is_its_definition():
    attention = LineAttention(size=6, heads=3, along="row").double()
    cells = torch.randn(4, 6, dtype=torch.float64)
    query, key, value = attention.query_key_value(cells).view(2, 2, 3, 3, 2).unbind(2)
    weights = (torch.einsum("ijhe,ikhe->ihjk", query, key) / math.sqrt(2)).softmax(-1)
    mixed = torch.einsum("ihjk,ikhe->ijhe", weights, value).reshape(4, 6)
    torch.testing.assert_close(attention(cells, [2]), attention.output(mixed))


def test_heads_that_do_not_divide_the_encoders_width_are_refused():
    with pytest.raises(ValueError, match="7 attention heads do not divide the 32 features"):
        model_of(axial_heads=7)


def test_the_loss_of_a_teacher_is_the_adaptive_focal_loss_alone(small_model, taught):
    logits, labels = torch.randn(6, 5), torch.rand(6, 4) < 0.3
    parts = small_model.batch_loss(logits, None, taught(labels, None))
    assert list(parts) == ["adaptive_focal"]
    torch.testing.assert_close(parts["adaptive_focal"], adaptive_focal_loss(logits, labels, 1.0))


def test_a_students_distance_to_its_teacher_is_squared_averaged_and_weighed(taught):
    model = model_of(relations=4, teacher_weight=0.5)
    logits, labels = torch.randn(6, 5), torch.zeros(6, 4).bool()
    parts = model.batch_loss(logits, None, taught(labels, [logits[:2] + 2, logits[2:2], logits[2:]]))
    torch.testing.assert_close(parts["teacher"].item(), 0.5 * 4 * 2 / 6)


def test_gamma_is_the_losses():
    logits, labels = torch.randn(6, 5), torch.rand(6, 4) < 0.5
    (loss,) = model_of(relations=4, gamma=2.0).loss(logits, labels).values()
    torch.testing.assert_close(loss, adaptive_focal_loss(logits, labels, 2.0))


def test_num_labels_limits_the_predictions(small_model):
    logits = torch.tensor([[-9.0, 4.0, 3.0, 2.0, 1.0]])
    assert small_model.decode(logits).tolist() == [[True, True, True, True]]
    few = model_of(relations=4, num_labels=2)
    assert few.decode(logits).tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("wrong", [{"teacher_weight": -1}, {"gamma": -0.5}, {"axial_layers": 0}, {"num_labels": 0}])
def test_hyperparameters_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        KdDocReHyperparameters(**wrong)


def test_the_recipe_is_a_teacher_a_student_and_fine_tuning():
    stages = KdDocRe.recipe.stages
    assert [(stage.data, stage.signal) for stage in stages["human+distant"]] == [
        ("human", None),
        ("distant", "logits"),
        ("human", None),
    ]
    assert stages["ext+distant"][0] == stages["ext"][0]
    assert "distant" not in stages
    assert "teacher" in KdDocRe.recipe.not_applicable["distant"]


# A whole run


def small_run(out, *changes: str):
    (plan,) = plans("kd_docre", "axial_layers=1", "epochs=1", *changes, settings="human+distant")
    assert execute(out, [plan]) == []
    student = plan.stages[1]
    weights = safetensors.torch.load_file(stage_folder(out, student) / "selected.safetensors")
    return plan, SignalFile(signal_folder(out, student), range(4)), weights


@pytest.mark.usefixtures("small")
def test_a_student_learns_from_what_its_teacher_says(tmp_path):
    plan, said, weights = small_run(tmp_path)
    # The same student (seed, position, data) of a teacher that has learnt more.
    other_plan, other_said, other_weights = small_run(tmp_path, "human.human.head_lr=0.02")
    assert plan.stages[1].training == other_plan.stages[1].training
    assert plan.stages[1].hyperparameters == other_plan.stages[1].hyperparameters
    assert not np.array_equal(said[0], other_said[0])
    assert not torch.equal(weights["model.classifier.weight"], other_weights["model.classifier.weight"])


@pytest.mark.usefixtures("small")
def test_a_student_that_gives_its_teacher_no_weight_learns_the_same_from_any(tmp_path):
    deaf = "human+distant.distant.teacher_weight=0"
    _, said, weights = small_run(tmp_path, deaf)
    _, other_said, other_weights = small_run(tmp_path, deaf, "human.human.head_lr=0.02")
    assert not np.array_equal(said[0], other_said[0])
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
