"""KD-DocRE against the released program's values, its matrix of pairs, and its student."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from pydantic import ValidationError
from small_experiments import execute, plans

from baselines.kd_docre import KdDocRe, KdDocReHyperparameters
from bench.data.batching import Batch
from bench.inference.load import signal_folder
from bench.inference.signals import SignalFile
from bench.interface import Task
from bench.nn.axial import AxialTransformer, LineAttention
from bench.nn.losses import adaptive_focal_loss
from bench.nn.pooling import Pairs
from bench.runs.stage_folder import stage_folder

EXACT = {"rtol": 1e-9, "atol": 1e-12}
LARGEST = 42
"""The released program fills the matrix of every document up to this many entities."""
ENTITIES = (7, 5)
"""Of the two documents of the golden sets."""


def model_of(encoder_size: int = 32, relations: int = 96, **hyperparameters) -> KdDocRe:
    torch.manual_seed(0)
    hp = KdDocReHyperparameters(**{"pair_size": 64, "block_size": 16} | hyperparameters)
    return KdDocRe(hp, Task(encoder_size, tuple(f"r{i}" for i in range(relations)), (0.01,) * relations)).double()


def released_weights(golden) -> dict[str, torch.Tensor]:
    """The released program's parameters under our names."""
    theirs = {name[6:]: torch.tensor(golden[name]) for name in golden.files if name.startswith("param.")}
    ours = {
        f"features.{side}.linear.{kind}": theirs.pop(f"{side}_extractor.{kind}")
        for side in ("head", "tail")
        for kind in ("weight", "bias")
    }
    ours["projection.weight"] = theirs.pop("projection.weight").view(32, 4, 16, 16)
    for kind in ("weight", "bias"):
        ours[f"classifier.{kind}"] = theirs.pop(f"classifier.{kind}")
        for i in range(6):
            ours[f"axial.layers.{i}.linear.{kind}"] = theirs.pop(f"axial_transformer.ffns.{i}.{kind}")
            ours[f"axial.layers.{i}.norm.{kind}"] = theirs.pop(f"axial_transformer.lns.{i}.{kind}")
    for i in range(6):
        for axis, along in enumerate(("column", "row")):
            attention = f"axial_transformer.axial_attns.{i}.axial_attentions.{axis}.fn."
            parts = [theirs.pop(f"{attention}{part}.weight") for part in ("to_q", "to_kv")]
            ours[f"axial.layers.{i}.{along}.query_key_value.weight"] = torch.cat(parts)
            for kind in ("weight", "bias"):
                ours[f"axial.layers.{i}.{along}.output.{kind}"] = theirs.pop(f"{attention}to_out.{kind}")
    assert not theirs
    return ours


class Golden:
    """The released program's two documents: its matrices of 42 x 42 pairs, and what it makes of them."""

    def __init__(self, shared_file):
        self.of = np.load(shared_file("golden/e_head_kd.npz"), allow_pickle=False)
        pooled = np.load(shared_file("golden/d_hrt.npz"), allow_pickle=False)
        self.model = model_of()
        self.model.load_state_dict(released_weights(self.of))
        matrices = {name: torch.zeros(2, LARGEST, LARGEST, 32).double() for name in ("hs", "ts", "rs")}
        inside = torch.zeros(2, LARGEST, LARGEST).bool()
        for document, n in enumerate(ENTITIES):
            inside[document, :n, :n] = True
            for name, matrix in matrices.items():
                matrix[document, :n, :n] = torch.tensor(pooled[f"kd_{name}_doc{document}"])
        heads, tails, contexts = (matrices[name].flatten(0, 2) for name in ("hs", "ts", "rs"))
        cells = torch.arange(len(contexts))
        # Every pair brings its own two entities, since those of the padding have no entity of the document.
        self.padded = Pairs(
            entities=torch.cat([heads, tails]),
            context=contexts,
            head=cells,
            tail=cells + len(cells),
            sizes=(LARGEST**2,) * 2,
            token_attention=(),
            candidates=inside.flatten().nonzero()[:, 0],
        )
        self.off_diagonal = torch.cat([~torch.eye(n).bool().flatten() for n in ENTITIES])
        self.labels = torch.tensor(self.of["labels"][:, 1:]).bool()

    def logits(self) -> torch.Tensor:
        """As the released program has them: those of the diagonal are 0."""
        return torch.where(self.off_diagonal[:, None], self.model(self.padded).detach(), 0.0)


@pytest.fixture
def golden(shared_file):
    return Golden(shared_file)


def test_logits_are_the_released_programs_when_its_padding_is_attended_to(golden):
    assert golden.off_diagonal.sum() == 7 * 6 + 5 * 4
    np.testing.assert_allclose(golden.logits(), golden.of["logits"], **EXACT)


def test_padding_is_what_makes_the_released_program_score_otherwise(golden):
    inside = golden.padded.candidates
    alone = replace(
        golden.padded,
        context=golden.padded.context[inside],
        head=golden.padded.head[inside],
        tail=golden.padded.tail[inside],
        sizes=tuple(n * n for n in ENTITIES),
        candidates=torch.arange(len(inside)),
    )
    difference = (golden.model(alone) - torch.tensor(golden.of["logits"])).abs()[golden.off_diagonal]
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


def grids(*entities: int, size: int = 16, seed: int = 0) -> Pairs:
    """Documents of so many entities each, with all their pairs as candidates that are not of the diagonal."""
    random = torch.Generator().manual_seed(seed)
    heads, tails, candidates, first_entity, first_pair = [], [], [], 0, 0
    for n in entities:
        pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n)).view(-1, 2)
        heads.append(pairs[:, 0] + first_entity)
        tails.append(pairs[:, 1] + first_entity)
        candidates.append((pairs[:, 0] != pairs[:, 1]).nonzero()[:, 0] + first_pair)
        first_entity, first_pair = first_entity + n, first_pair + n * n
    drawn = [torch.randn(rows, size, generator=random, dtype=torch.float64) for rows in (first_entity, first_pair)]
    sizes = tuple(n * n for n in entities)
    return Pairs(*drawn, torch.cat(heads), torch.cat(tails), sizes, (), torch.cat(candidates))


def document_of(pairs: Pairs, i: int) -> Pairs:
    """One document of a batch of whole grids."""
    n, rows = math.isqrt(pairs.sizes[i]), slice(sum(pairs.sizes[:i]), sum(pairs.sizes[: i + 1]))
    first = sum(math.isqrt(size) for size in pairs.sizes[:i])
    own = (pairs.candidates >= rows.start) & (pairs.candidates < rows.stop)
    return Pairs(
        entities=pairs.entities[first : first + n],
        context=pairs.context[rows],
        head=pairs.head[rows] - first,
        tail=pairs.tail[rows] - first,
        sizes=(n * n,),
        token_attention=(),
        candidates=pairs.candidates[own] - rows.start,
    )


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
