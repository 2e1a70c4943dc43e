"""A loss in place of a model's own: `atlop:loss=atgl`, from what the user types to the plan."""

from __future__ import annotations

import pytest
from small_experiments import plans

from bench.errors import UsageError
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.variants import resolve_stages, split_models, variants_of

pytestmark = pytest.mark.usefixtures("small")

MINE = """
from bench.interface import Loss


class Mine(Loss):
    def forward(self, logits, labels):
        return {"mine": (logits[:, 1:] - logits[:, :1]).where(~labels, 0.0).square().sum()}
"""


def stage(models: str, *changes: str, **options):
    (run,) = plans(models, *changes, **options)
    return run, run.stages[-1]


def refused(*arguments: str, **options) -> str:
    with pytest.raises(UsageError) as caught:
        plans(*arguments, **options)
    return str(caught.value)


def test_a_loss_is_in_the_plan_with_its_settings_and_in_the_name():
    run, planned = stage("atlop:loss=hinge-abl:margin=3")
    assert planned.loss is not None
    assert (planned.loss.name, planned.loss.class_name) == ("hinge-abl", "HingeAbl")
    assert planned.loss.hyperparameters["margin"] == 3
    assert "loss=hinge-abl" in run.variant
    assert "margin=3" in run.variant


def test_settings_of_the_models_own_loss_are_not_in_the_plan_beside_another_one():
    _, planned = stage("ttmre:loss=sat", "memory=8", "layers=1")
    assert planned.hyperparameters["memory"] == 8
    assert not {"margin", "prior_multiple", "loss"} & set(planned.hyperparameters)


def test_a_plan_with_the_models_own_loss_says_nothing_of_losses():
    assert "loss" not in stage("atlop")[1].model_dump(mode="json")


def test_the_key_depends_on_the_loss_its_settings_and_its_code_and_on_nothing_it_is_called():
    _, one = stage("atlop:loss=atgl:alpha=5")
    others = [stage(f"atlop{change}")[1] for change in ("", ":loss=sat", ":loss=atgl:alpha=6")]
    assert len({one.key, *(other.key for other in others)}) == 4
    assert one.loss is not None
    moved = one.loss.model_copy(update={"name": "other", "reference": "./x.py:Atgl"})
    assert one.model_copy(update={"loss": moved}).key == one.key
    changed = one.loss.model_copy(update={"code": "0" * 16})
    assert one.model_copy(update={"loss": changed}).key != one.key


def test_values_of_a_models_own_hyperparameter_loss_stay_its_own():
    run, planned = stage("ttmre:loss=pu")
    assert planned.loss is None
    assert planned.hyperparameters["loss"] == "pu"
    assert "loss=pu" in run.variant


def test_a_loss_is_told_something_for_all_models_by_its_name():
    planned = plans("atlop:loss=atgl,ttmre:loss=atgl,atlop:loss=sat", "atgl.alpha=9", "atgl.at_most=null")
    losses = [run.stages[-1].loss for run in planned]
    assert [loss.hyperparameters.get("alpha") for loss in losses if loss] == [9, 9, None]
    assert [loss.hyperparameters["at_most"] for loss in losses if loss] == [None, None, 4]


def test_what_is_said_of_a_model_by_its_name_is_said_of_its_own_loss():
    # The preset of Table 3 has ttmre.margin = 1 for TTM-RE's loss: it is not HingeABL's.
    (experiment,) = make_experiments(CommandLine(config="table3", models="ttmre", settings="human"))
    (variant,) = variants_of("ttmre:loss=hinge-abl")
    (resolved,) = resolve_stages(variant, "human", experiment.overrides)
    assert resolved.loss is not None
    assert resolved.loss.hyperparameters.model_dump()["margin"] == 5.0


def test_a_change_of_a_setting_that_the_loss_asked_for_does_not_have_is_an_error():
    assert "unknown hyperparameter of atlop with the loss atgl 'num_labels'" in refused(
        "atlop:loss=atgl:alpha=2:num_labels=2"
    )
    assert "unknown hyperparameter of the loss atgl 'margin'" in refused("atlop:loss=atgl", "atgl.margin=2")
    assert "unknown" in refused("ttmre:loss=hinge-abl", "ttmre.margin=2")


def test_a_setting_without_default_is_asked_for_with_what_it_is():
    message = refused("atlop:loss=atgl")
    assert "loss atgl: alpha has no default and has to be given: weight of a positive" in message


@pytest.mark.parametrize("model", ["spu", "pn", "bran", "prior"])
def test_a_model_without_a_threshold_class_says_why_it_takes_no_other_loss(model):
    (variant,) = variants_of(f"{model}:loss=sat")
    with pytest.raises(UsageError, match=f"{model} cannot be trained with the loss sat: it"):
        resolve_stages(variant, "human", [])


def test_a_model_without_bilinear_head_says_why_it_takes_no_contrastive_term():
    message = refused("kd_docre:loss=pemscl")
    assert "kd_docre cannot be trained with the contrastive term of the loss pemscl" in message
    assert stage("kd_docre:loss=pemscl:contrastive=0", "axial_layers=1")[1].loss is not None


def test_stages_of_unlike_threshold_columns_are_refused():
    message = refused("atlop", "distant.loss=amtl", settings="human+distant")
    assert "the losses of its stages have 4, 1 threshold columns" in message


def test_a_loss_may_be_asked_for_of_some_stages():
    first, second = stage("atlop", "distant.loss=sat", "distant.at_most=2", settings="human+distant")[0].stages
    assert first.loss is not None
    assert second.loss is None
    assert second.hyperparameters["num_labels"] == 4


def test_a_loss_in_a_file_is_found_and_shown_by_its_class(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    run, planned = stage(f"atlop:loss={tmp_path}/mine.py:Mine:at_most=2")
    assert planned.loss is not None
    assert planned.loss.reference == f"{tmp_path}/mine.py:Mine"
    assert planned.loss.hyperparameters["at_most"] == 2
    assert "loss=Mine" in run.variant


def test_a_name_with_a_loss_in_a_file_is_one_of_a_list():
    assert split_models("atlop:loss=./a.py:A:margin=1,ttmre:loss=atgl") == [
        "atlop:loss=./a.py:A:margin=1",
        "ttmre:loss=atgl",
    ]


def test_an_unknown_loss_names_the_choices():
    message = refused("atlop:loss=atgll")
    assert "unknown loss 'atgll'" in message
    assert "atgl" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Mine: pass", "is not a subclass of bench.interface.Loss"),
        (
            MINE.replace("import Loss", "import Loss, LossHyperparameters")
            + "    class Hyperparameters(LossHyperparameters):\n        epochs: int = 1\n",
            "its hyperparameters have names of other settings: epochs",
        ),
    ],
)
def test_a_class_that_is_no_loss_is_refused(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    assert said in refused(f"atlop:loss={tmp_path}/mine.py:Mine")
