"""Two processes with gloo on this machine, against one."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from rich.console import Console
from safetensors.torch import load_file
from small_experiments import Processes, documents, execute, plans, results, work
from trained_models import TRAINED

from baselines.atlop import Atlop
from bench.data.batching import Batch, collate
from bench.data.features.build import build_features
from bench.errors import BenchError
from bench.experiment.losses import model_and_loss
from bench.inference.document_model import BatchLosses, document_model
from bench.inference.replaced_loss import built_with
from bench.interface import PairModel, Task
from bench.launch.display import RunDisplay
from bench.launch.local import free_port, launch
from bench.nn.encoder_source import EncoderSource, find_encoder
from bench.nn.pooling import Pairs
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, announce
from bench.runs.stage_folder import stage_folder
from bench.training import team
from bench.training.distributed import bounds
from bench.training.team import LOST, StageGroup, Team, joined

RELATIONS = ("knows", "leads")
TASK = Task(128, RELATIONS, (0.05, 0.1), vocabulary=200)
pytestmark = pytest.mark.waits

LONG = "epochs=15"
OTHER_LOSSES = (
    "atlop:loss=pemscl", "ttmre:loss=hinge-abl", "dreeam:loss=amtl:blocks=[1,1]", "kd_docre:loss=ssr-pu",
    "atlop:loss=pmt-em:negatives_kept=0.5",
)  # fmt: skip
"""Whose mean over a batch is no sum over its pairs, or that draw numbers, or have columns of their own."""
OF_STATES = "of states"
COMPARED = (*TRAINED, *OTHER_LOSSES, OF_STATES)


class OfStates(Atlop):
    """Beside what is pooled it has the token states of each document."""

    pooled_tokens = True

    def forward(self, pairs: Pairs) -> torch.Tensor:
        means = torch.stack([states.tanh().mean() for states in pairs.states])
        sizes = torch.tensor(pairs.sizes)
        return super().forward(pairs) * (1 + means).repeat_interleave(sizes)[:, None]


def loss_and_gradients(losses: Callable[[Batch], dict[str, torch.Tensor]], batch: Batch, system: torch.nn.Module):
    parts = losses(batch)
    torch.stack(list(parts.values())).sum().backward()
    gradients = {name: p.grad.clone() for name, p in system.named_parameters() if p.grad is not None}
    system.zero_grad(set_to_none=True)
    return {name: part.item() for name, part in parts.items()}, gradients


def compare_all_models(folder: str, rank: int, port: int) -> None:
    """In each of two processes: what it computes of batches alone, and with the other. Differences as JSON."""
    torch.set_num_threads(1)
    made = documents("train", 5)
    source = find_encoder("tiny", made)
    rows = list(build_features(made, source.words(), RELATIONS, 512))
    # Documents of unlike size: means over the pairs of each process would not be the mean over all.
    rows[0] = next(build_features([cut(made[0])], source.words(), RELATIONS, 512))
    found: dict[str, Any] = {}
    with joined(rank, 2, port) as joint:
        for number, name in enumerate(COMPARED):
            group = StageGroup(joint, number)
            with joint._process_group(number):
                found[name] = [differences(name, group, source, rows[:size]) for size in (5, 1)]
        if rank:
            joint.follow(lambda work: lambda group: None)
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


def cut(document):
    """Its first two people."""
    labels = tuple(label for label in document.labels if max(label.head, label.tail) < 2)
    return type(document)(document.title, document.sentences, document.entities[:2], labels)


def differences(name: str, group: StageGroup, source: EncoderSource, rows) -> dict[str, float]:
    entry, loss = (None, None) if name == OF_STATES else model_and_loss(name)
    cls = OfStates if entry is None else entry.cls
    assert issubclass(cls, PairModel)
    torch.manual_seed(0)
    sizes = {"pair_size": 16, "block_size": 16, "axial_layers": 1, "layers": 1}
    changed = {key: size for key, size in sizes.items() if key in cls.Hyperparameters.model_fields}
    hp = cls.Hyperparameters(**changed)
    if loss is None:
        model = cls(hp, TASK)
    else:
        model = built_with(cls, hp, loss.entry.cls(loss.hyperparameters, TASK.label_rates), TASK)
    system = document_model(source, model, pretrained=False)
    system.eval().double()  # without dropout, and with rounding that does not hide an error
    batch = collate(rows, len(RELATIONS), source.pad_id)
    expected, by_one = loss_and_gradients(BatchLosses(system, "fp32"), batch, system)
    parts, by_two = loss_and_gradients(group.losses(system, "fp32"), batch, system)
    assert by_one.keys() == by_two.keys()
    largest = max(gradient.norm() for gradient in by_one.values())
    return {
        "loss": max(abs(parts[part] / expected[part] - 1) for part in expected if expected[part]),
        "gradient": max(((by_one[n] - by_two[n]).norm() / largest).item() for n in by_one),
    }


@pytest.fixture(scope="module")
def differing(tmp_path_factory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("models")
    port = free_port()
    with Processes() as processes:
        for rank in range(2):
            processes.start(compare_all_models, str(folder), rank, port)
        assert processes.codes() == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", COMPARED)
def test_two_processes_give_the_loss_and_gradients_of_one_with_the_same_batch(name, differing):
    for rank in range(2):
        for difference in differing[rank][name]:
            assert difference["loss"] < 1e-10
            assert difference["gradient"] < 1e-10


@pytest.mark.parametrize(("documents", "size"), [(5, 2), (4, 3), (7, 4), (3, 3)])
def test_shares_are_even_and_leave_nothing_out(documents, size):
    limits = bounds(documents, size)
    counts = [b - a for a, b in pairwise(limits)]
    assert (limits[0], limits[-1], len(counts)) == (0, documents, size)
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= 1


def together(out: Path, planned: list[RunPlan], seconds: float = 1e9, **environment: str) -> Processes:
    """Two worker processes at `planned`."""
    announce(out, planned)
    processes, port = Processes(**environment), free_port()
    for rank in range(2):
        processes.work(out, 1, seconds, math.inf, rank, 2, port, *(plan.folder for plan in planned))
    return processes


@pytest.fixture
def without_dropout(tmp_path) -> str:
    source = find_encoder("tiny", documents("train", 5))
    source.config.hidden_dropout_prob = source.config.attention_probs_dropout_prob = 0.0
    folder = tmp_path / "encoder"
    source.save(folder)
    source.build().model.save_pretrained(folder)
    return str(folder)


@pytest.mark.usefixtures("small")
def test_without_dropout_two_processes_train_what_one_does(without_dropout, tmp_path):
    planned = plans("ssrpu", encoder=without_dropout, settings="human+distant")
    execute(tmp_path / "one", planned)
    with together(tmp_path / "two", planned) as processes:
        assert processes.codes() == [0, 0]
    for stage in planned[0].stages:
        one, two = (stage_folder(tmp_path / out, stage) for out in ("one", "two"))
        logs = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in (one, two)]
        assert len(logs[0]) == len(logs[1]) > 0
        assert all(math.isclose(a["loss"], b["loss"], rel_tol=1e-4) for a, b in zip(*logs, strict=True))
        weights = [load_file(folder / "selected.safetensors") for folder in (one, two)]
        assert all(torch.allclose(weights[0][n], weights[1][n], atol=2e-4) for n in weights[0])
        said = [json.loads((folder / "provenance.json").read_text())["processes"] for folder in (one, two)]
        assert said == [1, 2]


def is_training(out: Path, plan: RunPlan, since: float) -> bool:
    status = RunFolder.of(out, plan).status()
    return status.step is not None and status.is_since(since)


@pytest.mark.usefixtures("small")
def test_signals_to_and_deaths_of_any_process_end_all_at_one_step_and_cost_nothing_but_time(tmp_path):
    planned = plans("atlop", LONG)
    with together(tmp_path / "whole", planned) as processes:
        assert processes.codes() == [0, 0]
    out = tmp_path / "disturbed"
    for rank, sent, expected in (
        (1, signal.SIGUSR2, [1, 0]),
        (1, signal.SIGKILL, [LOST, -signal.SIGKILL]),
        (0, signal.SIGKILL, [-signal.SIGKILL, LOST]),
    ):
        since = time.time()
        with together(out, planned) as processes:
            processes.wait_for(lambda since=since: is_training(out, planned[0], since))
            processes.signal(rank, sent)
            assert processes.codes() == expected
        assert RunFolder.of(out, planned[0]).error() is None
        kept = list(out.glob("stages/*/checkpoints/*.json"))
        assert len(kept) == (1 if (rank, sent) == (1, signal.SIGUSR2) else len(kept))
    with together(out, planned) as processes:
        assert processes.codes() == [0, 0]
    assert results(out, planned) == results(tmp_path / "whole", planned)


FAILING = """
import os
from baselines.atlop import Atlop


class Failing(Atlop):
    def loss(self, logits, labels):
        if os.environ["BENCH_TEST_RANK"] == os.environ["BENCH_TEST_FAILS"]:
            raise ValueError("no luck")
        return super().loss(logits, labels)
"""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("rank", "said"), [("0", "ValueError: no luck"), ("1", "process 2 of 2: ValueError: no luck")])
def test_an_error_in_any_process_ends_all_and_is_what_the_run_failed_of(rank, said, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    planned = plans(f"{tmp_path / 'failing.py'}:Failing")
    with together(tmp_path, planned, BENCH_TEST_FAILS=rank) as processes:
        assert processes.codes() == [1, 0]
    assert RunFolder.of(tmp_path, planned[0]).error() == f"{said} ({tmp_path / 'failing.py'}, line 9, in loss)"


def work_beside_one_that_cannot_end(rank: int, *arguments: str) -> None:
    """A worker, whose process 1 stays where it is when it fails: its connections are not closed."""
    team.PATIENCE_SECONDS = 0.2
    if rank:
        team.os = SimpleNamespace(environ=os.environ, _exit=lambda status: threading.Event().wait())
    work(*arguments)


@pytest.mark.usefixtures("small")
def test_the_leader_fails_with_the_reason_of_another_even_where_nothing_ends_what_it_waits_in(tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    planned = plans(f"{tmp_path / 'failing.py'}:Failing")
    announce(tmp_path, planned)
    port = free_port()
    with Processes(BENCH_TEST_FAILS="1") as processes:
        for rank in range(2):
            arguments = map(str, (tmp_path, 1, 1e9, math.inf, rank, 2, port, planned[0].folder))
            processes.start(work_beside_one_that_cannot_end, rank, *arguments)
        processes.processes[0].join()
        assert [processes.processes[0].exitcode, processes.processes[1].is_alive()] == [1, True]
    assert RunFolder.of(tmp_path, planned[0]).error().startswith("process 2 of 2: ValueError: no luck (")


def test_what_fails_while_the_leader_works_alone_is_what_it_fails_of_then():
    alone = Team.__new__(Team)
    alone.rank, alone.size, alone.store, alone.works_alone = 0, 2, dist.HashStore(), False
    with pytest.raises(BenchError, match="no luck"):
        StageGroup(alone, 0).broadcast(lambda: alone.store.set("0/failed", "process 2 of 2: no luck"))


@pytest.mark.usefixtures("small")
def test_a_failed_run_leaves_the_next_to_the_same_processes_or_to_new_ones(tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text(FAILING.replace("BENCH_TEST_RANK", "BENCH_TEST_FAILS"))
    monkeypatch.setenv("BENCH_TEST_FAILS", "always")
    planned = plans(f"{tmp_path / 'failing.py'}:Failing") + plans("atlop", "encoder_lr=1e30") + plans("atlop")
    announce(tmp_path, planned)
    display = RunDisplay(planned, Console(quiet=True))
    failed = launch(planned, tmp_path, "local", 1, display, 60.0, gpus_per_run=2)
    assert [folder.name for folder in failed] == [plan.folder for plan in planned[:2]]
    assert ["no luck" in (failed[0].error() or ""), "diverged" in (failed[1].error() or "")] == [True, True]
