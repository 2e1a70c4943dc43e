from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from small_experiments import document, execute, plans, register, results, stopped

from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder, stage_result
from bench.runs.status import RunStatus

# How often a small run asks whether to stop: before it starts, after each of its 6 updates, after each batch of dev in
# both epochs, and of dev and test at the end.
QUESTIONS = 12

pytestmark = pytest.mark.usefixtures("small")


def log_of(out: Path, plan: RunPlan, stage: int = 0) -> list[dict]:
    lines = (stage_folder(out, plan.stages[stage]) / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def selected(out: Path, plan: RunPlan, stage: int = -1) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(stage_folder(out, plan.stages[stage]) / "selected.safetensors")


def record_of(out: Path, plan: RunPlan):
    return RunFolder.of(out, plan).record()


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def uninterrupted(request, small_home, tmp_path_factory) -> tuple[list[RunPlan], dict[str, bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        out, planned = tmp_path_factory.mktemp("uninterrupted"), plans("atlop", f"precision={request.param}")
        assert execute(out, planned) == []
        return planned, results(out, planned)


@pytest.mark.parametrize("question", range(1, QUESTIONS))
def test_a_run_stopped_by_a_signal_anywhere_goes_on_to_the_same_bytes(question, uninterrupted, tmp_path):
    planned, expected = uninterrupted
    assert stopped(tmp_path, planned, question)
    assert execute(tmp_path, planned) == []
    assert results(tmp_path, planned) == expected


@pytest.mark.parametrize("question", range(2, QUESTIONS + 1, 3))
def test_a_run_killed_anywhere_goes_on_to_the_same_bytes(question, uninterrupted, tmp_path):
    planned, expected = uninterrupted
    assert stopped(tmp_path, planned, question, kill=True, seconds=0.0)
    assert execute(tmp_path, planned) == []
    assert results(tmp_path, planned) == expected


def test_a_run_stopped_again_and_again_gives_the_same_bytes(uninterrupted, tmp_path):
    planned, expected = uninterrupted
    attempts = 0
    while stopped(tmp_path, planned, after=2 + attempts % 4, kill=attempts % 2 == 1):
        attempts += 1
        assert attempts < 40
    assert attempts > 4
    assert results(tmp_path, planned) == expected


def test_a_run_asks_whether_to_stop_as_often_as_these_tests_think(uninterrupted, tmp_path):
    planned, _ = uninterrupted
    assert not stopped(tmp_path, planned, QUESTIONS)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_how_often_checkpoints_are_written_does_not_change_the_result(seconds, uninterrupted, tmp_path):
    planned, expected = uninterrupted
    execute(tmp_path, planned, checkpoint_seconds=seconds)
    assert results(tmp_path, planned) == expected


@pytest.mark.parametrize("question", [3, 9, 15])
def test_two_stages_with_a_frozen_part_resume_to_the_same_bytes(question, tmp_path):
    planned = plans("ttmre", "memory=4", "heads=2", "layers=1", settings="human+distant")
    execute(tmp_path / "whole", planned)
    stopped(tmp_path / "parts", planned, question)
    execute(tmp_path / "parts", planned)
    assert results(tmp_path / "parts", planned) == results(tmp_path / "whole", planned)


def test_nothing_is_trained_twice_after_an_interruption(tmp_path):
    planned = plans()
    assert stopped(tmp_path, planned, 3)
    done = len(log_of(tmp_path, planned[0]))
    steps = []
    execute(tmp_path, planned, listener=lambda folder, status: steps.append(status.step if status.epoch else None))
    assert min(step for step in steps if step is not None) == done


def test_two_fresh_runs_are_the_same_to_the_bit(uninterrupted, tmp_path):
    planned, expected = uninterrupted
    execute(tmp_path, planned)
    assert results(tmp_path, planned) == expected


def test_another_seed_gives_other_weights_and_another_order(tmp_path):
    planned = plans(seeds="0,1")
    execute(tmp_path, planned)
    first, second = (selected(tmp_path, plan)["model.classifier.weight"] for plan in planned)
    assert not torch.equal(first, second)


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(uninterrupted, tmp_path, capsys):
    planned, expected = uninterrupted
    stopped(tmp_path, planned, 4, seconds=0.0)
    folder = stage_folder(tmp_path, planned[0].stages[0]) / "checkpoints"
    newest = max(folder.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:1000])
    execute(tmp_path, planned)
    assert "damaged checkpoint, using the one before it" in capsys.readouterr().out
    assert results(tmp_path, planned) == expected


def test_a_run_whose_checkpoints_are_all_damaged_starts_again_and_ends_the_same(uninterrupted, tmp_path):
    planned, expected = uninterrupted
    stopped(tmp_path, planned, 9, seconds=0.0)
    for path in (stage_folder(tmp_path, planned[0].stages[0]) / "checkpoints").glob("*.json"):
        path.write_text(path.read_text().replace('"step": ', '"step": 1'))
    execute(tmp_path, planned)
    assert results(tmp_path, planned) == expected


def test_a_selected_model_damaged_during_training_is_told_and_made_again(uninterrupted, tmp_path, capsys):
    planned, expected = uninterrupted
    stopped(tmp_path, planned, 8)
    damage(stage_folder(tmp_path, planned[0].stages[0]) / "selected.safetensors")
    execute(tmp_path, planned)
    assert "the best model so far is damaged" in capsys.readouterr().out
    assert results(tmp_path, planned) == expected


def test_a_selected_model_damaged_after_its_stage_is_made_again_for_the_stage_that_starts_from_it(tmp_path):
    distant, both = plans(settings="distant"), plans(settings="human+distant")
    execute(tmp_path / "whole", both)
    execute(tmp_path / "damaged", distant)
    damage(stage_folder(tmp_path / "damaged", distant[0].stages[0]) / "selected.safetensors")
    assert execute(tmp_path / "damaged", both) == []
    assert results(tmp_path / "damaged", both) == results(tmp_path / "whole", both)


@pytest.mark.parametrize("name", ["result.json", "selected.json", "selected.safetensors"])
def test_a_finished_stage_that_lost_a_file_is_trained_again(name, uninterrupted, tmp_path):
    planned, expected = uninterrupted
    execute(tmp_path, planned)
    (stage_folder(tmp_path, planned[0].stages[0]) / name).unlink()
    (RunFolder.of(tmp_path, planned[0]).path / "record.json").unlink()
    execute(tmp_path, planned)
    assert results(tmp_path, planned) == expected


def test_a_result_that_was_changed_by_hand_is_not_believed(tmp_path):
    planned = plans()
    execute(tmp_path, planned)
    folder = stage_folder(tmp_path, planned[0].stages[0])
    result = (folder / "result.json").read_text()
    (folder / "result.json").write_text(result.replace('"selected_epoch": ', '"selected_epoch": 1'))
    assert stage_result(folder) is None


def test_a_finished_stage_keeps_no_checkpoints(tmp_path):
    planned = plans()
    execute(tmp_path, planned, checkpoint_seconds=0.0)
    assert list((stage_folder(tmp_path, planned[0].stages[0]) / "checkpoints").glob("*")) == []


def test_a_batch_size_that_does_not_divide_sees_every_document_once_an_epoch(tmp_path):
    planned = plans("atlop", "batch_size=2", "epochs=3")  # 5 documents
    execute(tmp_path, planned)
    assert [line["epoch"] for line in log_of(tmp_path, planned[0])] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_accumulated_batches_make_one_update(tmp_path):
    planned = plans("atlop", "batch_size=2", "accumulate=2", "epochs=2")  # 3 batches an epoch
    execute(tmp_path, planned)
    assert [line["step"] for line in log_of(tmp_path, planned[0])] == [0, 1, 2, 3]


def test_an_accumulating_run_resumes_to_the_same_bytes(tmp_path):
    planned = plans("atlop", "batch_size=1", "accumulate=2")
    execute(tmp_path / "whole", planned)
    for question in (2, 3, 4):
        stopped(tmp_path / "parts", planned, question)
    execute(tmp_path / "parts", planned)
    assert results(tmp_path / "parts", planned) == results(tmp_path / "whole", planned)


def test_one_training_document_is_enough(tmp_path):
    register(tmp_path, "one", distant=0, train=[document("only")])
    planned = plans(dataset="one")
    assert execute(tmp_path / "out", planned) == []
    assert record_of(tmp_path / "out", planned[0]).stages[0].documents == 1


def test_documents_with_a_single_entity_train_and_give_no_predictions(tmp_path):
    lonely = [replace(document(f"lonely {i}"), entities=document("x").entities[:1], labels=()) for i in range(3)]
    train = [document("train 0"), *lonely]
    register(tmp_path, "lonely", distant=0, train=train, test=[document("test 0"), replace(lonely[0], title="alone")])
    (tmp_path / "mean.py").write_text(
        "from baselines.atlop import Atlop\n\n\nclass Mean(Atlop):\n    def loss(self, logits, labels):\n"
        "        return {'mean': logits.mean()}\n"  # of no pairs: not a number
    )
    planned = plans(f"atlop,ttmre,{tmp_path}/mean.py:Mean", "batch_size=1", dataset="lonely")
    assert execute(tmp_path / "out", planned) == []


def test_the_last_epoch_is_kept_where_the_last_is_asked_for_of_the_same_training(tmp_path):
    last, best = plans("atlop", "select=last", "epochs=8"), plans("atlop", "epochs=8")
    execute(tmp_path, [*last, *best])
    kept, chosen = (record_of(tmp_path, planned[0]).stages[0] for planned in (last, best))
    assert (kept.selected_epoch, kept.dev_f1) == (8, chosen.dev_f1)
    assert log_of(tmp_path, last[0]) == log_of(tmp_path, best[0])


def test_the_first_of_the_best_epochs_is_kept_otherwise_and_is_the_one_evaluated(tmp_path):
    planned = plans("atlop", "epochs=8")
    execute(tmp_path, planned)
    record = record_of(tmp_path, planned[0])
    stage = record.stages[0]
    assert record.splits["dev"].scores.f1 == max(stage.dev_f1) > 0
    assert stage.selected_epoch == stage.dev_f1.index(max(stage.dev_f1)) + 1


def test_frozen_parameters_keep_their_value_to_the_bit(tmp_path):
    planned = plans("ttmre", "memory=4", "heads=2", "layers=1", "weight_decay=0.1", settings="human+distant")
    execute(tmp_path, planned)
    before, after = selected(tmp_path, planned[0], 0), selected(tmp_path, planned[0], 1)
    frozen = [name for name in before if name.startswith("model.read.memory")]
    assert frozen
    assert all(torch.equal(before[name], after[name]) for name in frozen)


def test_what_is_not_frozen_learns_in_the_second_stage(tmp_path):
    planned = plans("ttmre", "memory=4", "heads=2", "layers=1", "epochs=4", "select=last", settings="human+distant")
    execute(tmp_path, planned)
    before, after = selected(tmp_path, planned[0], 0), selected(tmp_path, planned[0], 1)
    assert not torch.equal(before["model.classifier.weight"], after["model.classifier.weight"])


def test_the_second_stage_starts_from_the_model_that_the_first_selected(tmp_path):
    planned = plans("atlop", "human.encoder_lr=0", "human.head_lr=0", settings="human+distant")
    execute(tmp_path, planned)
    before, after = selected(tmp_path, planned[0], 0), selected(tmp_path, planned[0], 1)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_stage_that_several_settings_use_is_trained_once(tmp_path):
    planned = plans(settings="distant,human+distant")
    trained = []

    def listen(folder: RunFolder, status: RunStatus) -> None:
        if status.stage == "distant" and status.doing == "training":
            trained.append(folder.name)

    execute(tmp_path, planned, listener=listen)
    assert len(list((tmp_path / "stages").iterdir())) == 2
    assert set(trained) == {planned[0].folder}


def test_training_that_diverges_is_a_failure_that_says_what_to_change(tmp_path):
    planned = plans("atlop", "encoder_lr=1e38", "head_lr=1e38", "clip=0", "warmup=0")
    assert execute(tmp_path, planned) == planned
    assert "training diverged" in RunFolder.of(tmp_path, planned[0]).error()


def test_the_log_holds_the_parts_of_the_loss_and_both_rates(tmp_path):
    planned = plans()
    execute(tmp_path, planned)
    assert set(log_of(tmp_path, planned[0])[0]) == {
        "step",
        "epoch",
        "encoder_lr",
        "head_lr",
        "loss",
        "loss/adaptive_threshold",
        "gradient_norm",
    }


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def losses_of(out: Path, plan: RunPlan) -> list[float]:
    return [line["loss"] for line in log_of(out, plan) if "loss" in line]


def test_order_and_dropout_have_seeds_of_their_own_where_they_are_asked_for(tmp_path):
    """Of the run's own seed they give what it gives; of others only what they are the seed of is another."""
    (own,) = plans("atlop", seeds="3,")
    (same,) = plans("atlop", "order_seed=3", "dropout_seed=3", seeds="3,")
    (other_order,) = plans("atlop", "order_seed=4", seeds="3,")
    (other_dropout,) = plans("atlop", "dropout_seed=0", seeds="3,")
    (other_weights,) = plans("atlop", "order_seed=3", "dropout_seed=3", seeds="4,")
    every = [own, same, other_order, other_dropout, other_weights]
    assert len({plan.key for plan in every}) == len(every)
    assert execute(tmp_path, every) == []
    first = losses_of(tmp_path, own)
    assert losses_of(tmp_path, same) == first
    for plan in (other_order, other_dropout, other_weights):
        assert losses_of(tmp_path, plan) != first
    weights = {plan.key: selected(tmp_path, plan) for plan in every}
    assert all(torch.equal(value, weights[same.key][name]) for name, value in weights[own.key].items())


def test_what_is_drawn_by_a_seed_is_drawn_whatever_the_run_is_called(tmp_path):
    """With the seeds of order and dropout held fixed, only the first weights are left to the run's own."""
    one, two = plans("atlop", "order_seed=0", "dropout_seed=0", seeds="1,2")
    assert [stage.order_seed for stage in (*one.stages, *two.stages)] == [0, 0]
    assert [stage.dropout_seed for stage in (*one.stages, *two.stages)] == [0, 0]
    assert {"order_seed", "dropout_seed"} <= one.stages[0].model_dump(mode="json")["training"].keys()
    (plain,) = plans("atlop", seeds="1,")
    assert not {"order_seed", "dropout_seed"} & plain.stages[0].model_dump(mode="json")["training"].keys()
