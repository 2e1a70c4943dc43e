from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from small_experiments import SMALL, plans

from bench.cli.gpu_hours import gpu_hours_here
from bench.data.catalog.dataset import open_dataset
from bench.errors import BenchError
from bench.execution import probe
from bench.execution.estimate import READ_SHARE, Estimate, estimate, given_pace, in_time
from bench.execution.probe import Pace, pace
from bench.inference import encodings
from bench.inference.document_model import DocumentModel
from bench.nn.encoder_source import find_encoder
from bench.runs.plan import RunPlan

pytestmark = pytest.mark.usefixtures("small", "nothing_probed")

TRAIN, DEV, TEST, DISTANT = 5, 2, 3, 4
"""Documents of the data set `small`."""
RUN = ["run", "--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--dry-run", "--estimate"]


@pytest.fixture
def nothing_probed(small) -> None:
    """No pace that another test measured is kept: all tests of a process share the home of `small`."""
    shutil.rmtree(small / "probes", ignore_errors=True)


def estimated(runs: Sequence[RunPlan], pace_of=lambda stage, teacher: Pace(1.0, 0.1), trained=(), done=()) -> Estimate:
    dataset = open_dataset("small")
    return estimate([(dataset, run) for run in runs], pace_of, lambda s: s.key in trained, lambda run: run.key in done)


def test_a_stage_costs_its_documents_and_an_evaluation_every_epoch_and_a_run_one_of_dev_and_test():
    cost = estimated(plans("atlop", "epochs=3"))
    assert list(cost.stages.values()) == [pytest.approx(3 * (TRAIN + 0.1 * DEV))]
    assert cost.evaluations == pytest.approx(0.1 * (DEV + TEST))
    assert cost.total == pytest.approx(sum(cost.stages.values()) + cost.evaluations)
    assert cost.saved == 0


def test_a_stage_that_runs_share_is_counted_once_and_told_as_saved():
    cost = estimated(plans("atlop", "epochs=3", settings="distant,human+distant,ext+distant", seeds="2"))
    assert cost.saved == pytest.approx(2 * 2 * 3 * (DISTANT + 0.1 * DEV))


def test_what_is_trained_and_evaluated_costs_nothing_any_more():
    (run,) = plans("atlop", settings="human+distant")
    first, second = run.stages
    cost = estimated([run], trained=[first.key], done=[run.key])
    assert cost.stages[first.key] == 0 < cost.stages[second.key]
    assert cost.evaluations == 0


def test_a_student_is_charged_with_what_its_teacher_says_of_every_document():
    (run,) = plans("dreeam", "epochs=3", settings="human+distant")
    teacher, student, _ = run.stages
    asked = []

    def pace_of(stage, teacher):
        asked.append((stage.key, teacher.key if teacher else None))
        return Pace(1.0, 0.1)

    cost = estimated([run], pace_of)
    assert cost.stages[student.key] == pytest.approx(3 * (DISTANT + 0.1 * DEV) + 0.1 * DISTANT)
    assert (student.key, teacher.key) in asked


def test_documents_are_encoded_once_for_all_seeds_of_a_frozen_encoder():
    runs = plans("atlop", "freeze_encoder=true", "epochs=3", seeds="3")
    cost = estimated(runs, lambda stage, teacher: Pace(0.0, 0.0, encode=2.0))
    assert cost.total == pytest.approx(2.0 * TRAIN)


@pytest.mark.parametrize("frozen_first", [True, False])
def test_an_encoder_that_learns_beside_a_frozen_one_has_not_encoded_for_it(frozen_first):
    (learning,), (frozen,) = plans("atlop"), plans("atlop", "freeze_encoder=true")
    runs = [frozen, learning] if frozen_first else [learning, frozen]

    def pace_of(stage, teacher):
        return Pace(0.0, 0.0, encode=10.0 if stage.training.freeze_encoder else 0.0)

    assert estimated(runs, pace_of).total == 10.0 * TRAIN


def test_a_stage_whose_pace_is_not_known_is_told_and_left_out():
    def pace_of(stage, teacher):
        if stage.data == "distant":
            raise LookupError(stage.model)
        return Pace(1.0, 0.1)

    (run,) = plans("atlop", settings="human+distant")
    cost = estimated([run], pace_of)
    assert cost.unknown == 1
    assert set(cost.stages) == {run.stages[1].key}


def test_figures_are_looked_up_by_model_and_data_then_by_model_then_for_all():
    figures = given_pace({"atlop.distant": 1.0, "atlop": 2.0, "all": 3.0})

    def train(model: str, data: str) -> float:
        return figures(SimpleNamespace(model=model, data=data), None).train

    assert [train("atlop", "distant"), train("atlop", "human"), train("ssrpu", "human")] == [1.0, 2.0, 3.0]
    assert figures(SimpleNamespace(model="ssrpu", data="ext"), None).read == pytest.approx(3 * READ_SHARE)


@pytest.mark.parametrize(
    ("seconds", "said"), [(45, "45 s"), (720, "12 min"), (3.4 * 3600, "3.4 h"), (1250 * 3600, "1,250 h")]
)
def test_times_are_said_in_the_unit_that_suits_them(seconds, said):
    assert in_time(seconds) == said


@pytest.fixture
def seconds_of_work(monkeypatch) -> None:
    """A clock that only work moves: a batch through a model takes a second, a document to be encoded five."""
    seconds = 0.0

    def takes(work, cost):
        def timed(*arguments):
            nonlocal seconds
            seconds += cost
            return work(*arguments)

        return timed

    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: seconds))
    monkeypatch.setattr(DocumentModel, "scored", takes(DocumentModel.scored, 1.0))
    monkeypatch.setattr(encodings, "encode_alone", takes(encodings.encode_alone, 5.0))


@pytest.mark.usefixtures("seconds_of_work")
@pytest.mark.parametrize(
    ("changes", "passes"),
    [((), 3), (("freeze_encoder=true",), 3), (("tokens_per_batch=60", "accumulate=2"), 5)],
    ids=["training", "frozen", "batches by word pieces"],
)
def test_a_probe_steps_with_the_stages_own_trainer_and_is_kept_for_all_its_seeds(changes, passes, small):
    dataset = open_dataset("small")
    source = find_encoder("tiny", dataset.documents("train"))
    first, second = (run.stages[0] for run in plans("atlop", *changes, seeds="2"))
    messages: list[str] = []
    measured = pace(first, None, dataset, source, messages.append)
    assert messages == ["a few steps of atlop on human"]
    assert measured.train == pytest.approx(passes / TRAIN)
    assert measured.read == pytest.approx(3 / TRAIN)  # the same documents, two at once
    assert measured.encode == (5.0 if "freeze_encoder=true" in changes else 0.0)
    assert pace(second, None, dataset, source, messages.append) == measured
    assert len(messages) == 1
    assert not (small / "encodings").exists() or all("probes" not in str(p) for p in (small / "encodings").rglob("*"))


def test_a_probe_of_another_shape_of_step_is_another():
    (one,), (other,) = plans("atlop"), plans("atlop", "batch_size=3")
    (same,) = plans("atlop", "head_lr=0.5", "epochs=7")
    keys = [probe._key(run.stages[0], None) for run in (one, other, same)]
    assert keys[0] == keys[2] != keys[1]


def test_nothing_is_compiled_for_a_probe(small, monkeypatch):
    monkeypatch.setattr("bench.nn.encoder.Encoder.compile_model", lambda *args, **kwargs: pytest.fail("compiled"))
    dataset = open_dataset("small")
    source = find_encoder("tiny", dataset.documents("train"))
    (compiled,), (not_compiled,) = plans("atlop", "compile=true"), plans("atlop")
    cost = pace(compiled.stages[0], None, dataset, source)
    assert pace(not_compiled.stages[0], None, dataset, source) == cost
    (run,) = plans("dreeam", "compile=true", settings="human+distant")
    teacher, student, _ = run.stages
    (plain,) = plans("dreeam", settings="human+distant")
    assert pace(student, teacher, dataset, source) == pace(plain.stages[1], plain.stages[0], dataset, source)


def test_a_student_is_probed_with_signals_of_its_teacher():
    dataset = open_dataset("small")
    source = find_encoder("tiny", dataset.documents("train"))
    (run,) = plans("dreeam", settings="human+distant")
    teacher, student, _ = run.stages
    assert pace(student, teacher, dataset, source).train > 0


def test_the_dry_run_says_what_each_stage_takes_and_what_sharing_saves(bench, tmp_path):
    profile = tmp_path / "cluster.toml"
    profile.write_text("[seconds_per_document]\natlop = 3600\n")
    changes = [part for change in SMALL for part in ("--set", change)]
    arguments = ["--settings", "distant,human+distant", "--out", tmp_path, "--launcher", "slurm", "--profile", profile]
    _, out, _ = bench(*RUN, *changes, "--seeds", "1", *arguments)
    stage = 2 * (DISTANT + READ_SHARE * DEV)
    assert f"{stage:.1f} h" in out
    assert f"sharing stages between runs saves {stage:.1f} h" in out
    assert "figures of the profile 'cluster'" in out
    _, out, _ = bench(*RUN, *changes, "--seeds", "1", *arguments, "--json")
    planned = json.loads(out)
    assert planned["cost"]["saved_by_sharing"] == pytest.approx(3600 * stage)
    assert planned["experiments"][0]["cells"][0]["stages"][0]["seconds"] == pytest.approx(3600 * stage)


def packed_estimate(bench, tmp_path, profile, *options):
    """The line of GPU time of two seeds of ATLOP (2 h each) and KD-DocRE (4 h each), human; and the JSON of it."""
    path = tmp_path / "cluster.toml"
    hours = {"atlop": 2.0, "kd_docre": 4.0}
    per_document = {
        model: 3600 * h / (2 * (TRAIN + READ_SHARE * DEV) + READ_SHARE * (DEV + TEST)) for model, h in hours.items()
    }
    path.write_text(f"{profile}\n[seconds_per_document]\n" + "".join(f"{k} = {v}\n" for k, v in per_document.items()))
    what = ["run", "--models", "atlop,kd_docre", "--dataset", "small", "--encoder", "tiny", "--seeds", "2"]
    changes = [part for change in SMALL for part in ("--set", change)]
    arguments = [
        *what,
        *changes,
        "--out",
        tmp_path,
        "--dry-run",
        "--estimate",
        "--launcher",
        "slurm",
        "--profile",
        path,
    ]
    _, out, _ = bench(*arguments, *options)
    lines = [line for line in out.splitlines() if " time " in line and "runs on" in line]
    return lines, json.loads(bench(*arguments, *options, "--json")[1])["cost"].get("gpu_seconds")


def test_runs_that_share_a_gpu_take_it_as_long_as_the_longest_of_them(bench, tmp_path):
    (line,), cost = packed_estimate(bench, tmp_path, "runs_per_gpu = 3")
    assert line.startswith("with up to 3 runs on a GPU: GPU time 8.0 h (2 jobs) and not 12.0 h, if no run takes longer")
    assert line.endswith("; sharing pays unless a run takes more than 2.0 times as long beside others")
    assert (cost["alone"], cost["packed"]) == (pytest.approx(12 * 3600), pytest.approx(8 * 3600))
    assert (cost["jobs"], cost["packed_slowdown"]) == (2, None)


def test_what_a_run_is_slowed_by_others_is_the_profiles_to_say(bench, tmp_path):
    (line,), cost = packed_estimate(bench, tmp_path, "packed_slowdown = 1.5", "--runs-per-gpu", "2")
    assert "9.0 h (2 jobs) and not 12.0 h, if a run takes 1.5 times as long beside others (packed_slowdown" in line
    assert cost["packed"] == pytest.approx(9 * 3600)


def test_a_run_that_shares_with_none_is_slowed_by_none(bench, tmp_path):
    _, cost = packed_estimate(bench, tmp_path, "packed_slowdown = 1.5", "--runs-per-gpu", "3")
    assert cost["packed"] == pytest.approx((4 * 1.5 + 4) * 3600)


def test_without_gpus_it_is_the_time_of_jobs_and_without_sharing_nothing_is_said_of_it(bench, tmp_path):
    (line,), _ = packed_estimate(bench, tmp_path, "gpus = 0\nruns_per_gpu = 4")
    assert line.startswith("with up to 4 runs on a GPU: job time 4.0 h (1 job) and not 12.0 h")
    assert packed_estimate(bench, tmp_path, "") == ([], None)


def test_on_this_machine_runs_share_a_gpu_one_after_another():
    cost = estimated(plans("atlop", "epochs=3", seeds="4"))
    shared = gpu_hours_here(cost, 3, 4)
    assert (shared.alone, shared.packed) == (cost.total, pytest.approx(cost.total / 3))
    assert gpu_hours_here(cost, 8, 4).packed == pytest.approx(cost.total / 4)


def test_an_estimate_is_for_a_dry_run(bench):
    status, _, error = bench(*[part for part in RUN if part != "--dry-run"])
    assert status == 2
    assert "--estimate is for --dry-run" in error


def test_a_published_data_set_that_is_not_here_is_estimated_from_figures(bench, tmp_path):
    profile = tmp_path / "cluster.toml"
    profile.write_text("[seconds_per_document]\nall = 0.05\n")
    arguments = ["--out", tmp_path, "--launcher", "slurm", "--profile", profile, "--dry-run", "--estimate", "--json"]
    _, out, _ = bench("run", "--config", "table3", "--models", "ttmre", "--settings", "distant", *arguments)
    (stage,) = json.loads(out)["experiments"][0]["cells"][0]["stages"]
    assert stage["seconds"] == pytest.approx(5 * 2 * 0.05 * (101_873 + READ_SHARE * 500))


def test_a_model_that_ends_the_program_while_it_is_measured_is_told(small, tmp_path):
    body = "    def loss(self, logits, labels):\n        exit(3)\n"
    text = f"from baselines.atlop import Atlop\n\n\nclass Ending(Atlop):\n{body}"
    (tmp_path / "ending.py").write_text(text)
    (plan,) = plans(f"{tmp_path}/ending.py:Ending")
    dataset = open_dataset("small")
    source = find_encoder("tiny", dataset.documents("train"))
    with pytest.raises(BenchError, match=r"the pace of Ending on human cannot be measured: .*sys\.exit\(3\)"):
        pace(plan.stages[0], None, dataset, source)
