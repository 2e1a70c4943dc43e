from __future__ import annotations

import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.execution.requirements import Requirement
from bench.filesystem import home, read_checked, write_checked, write_json
from bench.runs.interrupt import Interrupt, Interrupted
from bench.slurm import node_checks, preflight
from bench.slurm.profiles import make_profile

pytestmark = pytest.mark.usefixtures("small")

PROFILE = 'gpus = 0\ncpus = 1\npartition = "low"\ntime = "2d"\n'


@pytest.fixture(autouse=True)
def _environment(slurm, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "100")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    monkeypatch.setattr(preflight, "ASK_SECONDS", 0.0)
    slurm.queue("100|0|RUNNING|n7|None|bench-doctor")
    slurm.state("RUNNING")


@pytest.fixture
def node(out, monkeypatch):
    """node(change): the job of `bench doctor` is carried out, beside it, when its question has been changed so."""

    def make(change: Callable[[dict], object] = lambda question: None) -> None:
        started: list[threading.Thread] = []

        def pause() -> None:
            for pickled in out.glob("slurm/doctor/*/jobs/*_submitted.pkl"):
                if not started:
                    path = pickled.parents[1] / "question.json"
                    question = read_checked(path)
                    change(question)
                    write_checked(path, question)
                    started.append(threading.Thread(target=pickle.loads(pickled.read_bytes()).function))
                    started[0].start()
            started[0].join(0.01)

        monkeypatch.setattr(preflight, "pause", pause)

    return make


@pytest.fixture
def doctor(bench, out, tmp_path):
    """What `bench doctor --on` says of PROFILE: exit status, rows by their second word, standard error."""

    def call(*options: str, profile: str = PROFILE) -> tuple[int, dict[str, str], str]:
        path = tmp_path / "mine.toml"
        path.write_text(profile)
        status, printed, error = bench("doctor", "--on", path, "--out", out, "--dataset", "small", *options)
        rows = [line for line in printed.splitlines() if line[:4] in ("ok  ", "--  ")]
        return status, {row[4:].split("  ")[0].split(" /")[0]: row for row in rows}, error

    return call


TINY = ("--encoder", "tiny")


def test_a_node_that_has_everything_is_good_and_nothing_is_left_behind(node, doctor, slurm, out):
    node()
    status, rows, error = doctor(*TINY)
    assert status == 0, error
    assert {name for name, row in rows.items() if row.startswith("ok")} == rows.keys()
    assert list(rows)[4:] == [
        *("node", "Python", "cores", "output folder", "clock", "BENCH_HOME", "file locks", "SLURM's commands"),
        *("data set small", "encoder tiny", "start of a job"),
    ]
    assert "n7" in rows["node"]
    assert f"torch {torch.__version__}" in rows["Python"]
    assert "train, dev, test" in rows["data set small"]
    assert "job 100_0: running" in error
    assert not list(out.glob("slurm/doctor/*"))
    assert not (home() / "doctor").exists()
    (options,) = slurm.submitted().values()
    assert (options["partition"], options["time"]) == ("low", "15")
    assert "requeue" not in options


def spoil(*keys: str | int, value: object) -> Callable[[dict], None]:
    def change(question: dict) -> None:
        place = question
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "row", "said"),
    [
        (spoil("versions", "torch", value="1.0"), "Python", "the login node has torch 1.0: install the same in both"),
        (spoil("versions", "Python", value="3.1.0"), "Python", "the login node has Python 3.1.0"),
        (spoil("cpus", value=10_000), "cores", "the profile asks for 10000"),
        (spoil("mark", value="another"), "BENCH_HOME", "a file written there is not seen here"),
        (spoil("wanted", 0, "checksums", "dev", value="0"), "data set small", "not the login node's: dev"),
        (spoil("wanted", 0, "dataset", value="none"), "data set none", "unknown data set 'none'"),
        (spoil("wanted", 0, "fingerprint", value="0"), "encoder tiny", "not the login node's: fingerprint"),
        (spoil("wanted", 0, "encoder", value="no/such"), "encoder no/such", "'no/such' is not on this machine"),
    ],
)
def test_what_a_node_lacks_is_told_and_the_rest_is_looked_at(change, row, said, node, doctor):
    node(change)
    status, rows, error = doctor(*TINY)
    assert status == 1
    assert rows[row].startswith("--")
    assert said in rows[row]
    assert "start of a job" in rows
    assert "1 check failed" in error or row.startswith("data set none")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_the_profile_asks_for_and_torch_does_not_see_is_told(node, doctor):
    node()
    status, rows, _ = doctor(*TINY, profile=PROFILE.replace("gpus = 0", "gpus = 1"))
    assert status == 1
    assert "none that torch sees" in rows["GPU"]


@pytest.mark.parametrize(
    ("flock", "holder", "mark", "said"),
    [
        (False, True, "ok", "keeps flock to each node"),
        (None, True, "ok", "has no flock"),
        (False, False, "--", "a lock that the login node holds is not seen here"),
    ],
)
def test_locks_that_another_node_does_not_see_are_told(flock, holder, mark, said, node, doctor, monkeypatch):
    monkeypatch.setattr(node_checks, "flock_shows", lambda path: flock)
    monkeypatch.setattr(node_checks, "held", lambda path: "held" if holder else None)
    node()
    status, rows, _ = doctor(*TINY)
    assert rows["file locks"].startswith(mark)
    assert said in rows["file locks"]
    assert status == (mark == "--")


@pytest.mark.parametrize(
    ("folder", "mark", "said"),
    [("", "--", "$TMPDIR is empty: no folder there"), ("/nowhere", "--", "no folder there"), (".", "ok", "GiB free")],
)
def test_a_scratch_that_is_no_folder_of_the_node_is_told(folder, mark, said, node, doctor, monkeypatch):
    monkeypatch.setenv("BENCH_SCRATCH", folder)
    node()
    status, rows, _ = doctor(*TINY, profile=PROFILE + 'scratch = "$TMPDIR"')
    assert rows["scratch"].startswith(mark)
    assert said in rows["scratch"]
    assert status == (mark == "--")


def test_a_clock_that_is_off_is_told(node, doctor, monkeypatch):
    def an_hour_ahead(path: Path, value: dict) -> None:
        write_json(path, {**value, "time": value["time"] + 3600})

    monkeypatch.setattr(preflight, "write_json", an_hour_ahead)
    node()
    status, rows, _ = doctor(*TINY)
    assert status == 1
    assert re.search(r"differs by 3[56]\d\d\.\d s .*NTP", rows["clock"])


def test_what_a_job_writes_into_bench_home_has_to_be_seen_by_the_login_node(node, doctor, monkeypatch):
    monkeypatch.setattr(node_checks, "write_atomically", lambda path, content: None)
    node()
    status, rows, _ = doctor(*TINY)
    assert status == 1
    assert "what a job writes there is not seen by the login node" in rows["BENCH_HOME"]


def test_of_a_job_that_ends_without_an_answer_its_end_and_its_last_lines_are_shown(doctor, slurm, out, monkeypatch):
    def end() -> None:
        (jobs,) = out.glob("slurm/doctor/*/jobs")
        (jobs / "100_0_0_log.out").write_text("srun: error\nModuleNotFoundError: No module named 'bench'\n")
        slurm.queue()
        slurm.accounts("100_0|FAILED|1:0|n3")

    monkeypatch.setattr(preflight, "pause", end)
    status, rows, _ = doctor(*TINY)
    assert status == 1
    assert "FAILED, exit status 1:0, on n3" in rows["job 100_0"]
    assert list(out.glob("slurm/doctor/*/jobs/100_0_0_log.out")), "the log is named, and so it stays"


def test_a_job_that_prints_nothing_is_asked_about_the_file_system(doctor, slurm, monkeypatch):
    monkeypatch.setattr(preflight, "pause", slurm.queue)
    _, rows, _ = doctor(*TINY)
    assert "is --out on a file system that all nodes share?" in rows["job 100_0"]


def looked(out: Path, timeout: float, interrupt: Interrupt, *models: str) -> list[list[Requirement]]:
    settings = {"gpus": 0, "models": {model: {"partition": model} for model in models}}
    places = preflight.places_of(make_profile("p", settings, "here"))
    return list(preflight.look(places, (), out, timeout, interrupt, lambda text: None))


def test_jobs_that_take_too_long_are_cancelled_and_told(slurm, out, monkeypatch):
    slurm.queue("100|0|PENDING||Priority|bench-doctor", "101|0|PENDING||Resources|bench-doctor")
    ((one, other),) = looked(out, 0.0, Interrupt(), "ttmre")
    assert (one.what, one.here) == ("job 100_0", False)
    assert one.state == "no answer within 0 s, for human, distant, ext, evaluation: pending (Priority)"
    assert "of ttmre: pending (Resources)" in other.state
    assert slurm.commands("scancel") == ["100_0", "101_0"]
    assert not list(out.glob("slurm/doctor/*"))


def test_a_signal_cancels_the_job(slurm, out, monkeypatch):
    interrupt = Interrupt()
    monkeypatch.setattr(preflight, "pause", lambda: interrupt.request(2))
    with pytest.raises(Interrupted):
        looked(out, 600.0, interrupt)
    assert slurm.commands("scancel") == ["100_0"]
    assert not (home() / "doctor").exists()


def test_a_place_that_slurm_refuses_does_not_keep_the_others_from_being_looked_at(slurm, out, monkeypatch):
    slurm.limit(1)
    slurm.queue("100|0|PENDING||Priority|bench-doctor")
    (refused,), (waiting,) = looked(out, 0.0, Interrupt(), "ttmre")
    assert refused.state == "SLURM did not take it: sbatch: error: QOSMaxSubmitJobPerUserLimit"
    assert "of ttmre" in refused.what
    assert waiting.what == "job 100_0"
    assert slurm.commands("scancel") == ["100_0"]


def test_a_stage_that_slurm_would_not_take_is_told_with_its_words(node, doctor, slurm):
    node()
    slurm.refuses("allocation failure: Requested time limit is invalid")
    status, rows, error = doctor(*TINY)
    assert status == 1
    assert "Requested time limit is invalid" in rows["a job of distant"]
    assert "change what the profile asks for it" in rows["a job of distant"]
    assert "4 checks failed" in error


def test_where_slurm_does_not_answer_no_profile_is_called_wrong(doctor, slurm):
    slurm.down()
    status, rows, error = doctor(*TINY)
    assert (status, rows) == (1, {})
    assert error.startswith("bench: squeue: ")


def test_stages_that_differ_in_time_and_memory_alone_are_one_job():
    profile = make_profile(
        "p",
        {
            "time": "1h",
            "stages": {"distant": {"time": "2d", "memory": "99GB"}, "ext": {"setup": ["x"]}},
            "models": {"ttmre": {"human": {"partition": "large"}}},
        },
        "here",
    )
    assert [place.kinds for place in preflight.places_of(profile)] == [
        ("human", "distant", "evaluation"),
        ("ext",),
        ("human of ttmre",),
    ]


@pytest.mark.parametrize("option", [("--dataset", "small"), ("--timeout", "9"), ("--out", "x"), ("--config", "table3")])
def test_options_of_a_look_at_a_node_are_for_that(option, bench):
    status, _, error = bench("doctor", *option)
    assert status == 2
    assert f"{option[0]}: for a look at a cluster's node: --on PROFILE" in error
