"""How many cores a process may use, how many are free, and what threads follow from that."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from bench import cores
from bench.cores import Cores, find_cores, usable_cores


@pytest.fixture
def machine(monkeypatch):
    """machine(cores, busy, quota): what the system says of them, without a word of the user or of SLURM."""

    def make(count: int, busy: float = 0.0, quota: float = math.inf):
        monkeypatch.setattr(cores, "_core_numbers", lambda: set(range(count)))
        monkeypatch.setattr(cores, "_busy_cores", lambda numbers: busy)
        monkeypatch.setattr(cores, "_quota", lambda: quota)

    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    return make


@pytest.mark.parametrize(
    ("busy", "free"), [(0.0, 2), (0.4, 2), (0.6, 1), (1.0, 1), (2.0, 1), (9.0, 1)], ids=lambda value: str(value)
)
def test_a_core_that_others_keep_busy_is_not_free_and_one_is_always_taken(machine, busy, free):
    machine(2, busy)
    assert find_cores() == Cores(2, free)
    assert find_cores().threads() == free


def test_of_a_quota_all_is_free_as_long_as_the_machine_has_as_much(machine):
    machine(64, busy=10, quota=4.0)
    assert find_cores() == Cores(4, 4)
    machine(64, busy=62, quota=4.0)
    assert find_cores() == Cores(4, 2)


@pytest.mark.parametrize(("quota", "usable"), [(0.5, 1), (1.5, 1), (2.0, 2), (3.9, 3), (math.inf, 8)])
def test_a_part_of_a_core_is_no_core(machine, quota, usable):
    machine(8, quota=quota)
    assert usable_cores() == usable


def test_what_slurm_allots_is_free_whatever_the_rest_of_the_machine_does(machine, monkeypatch):
    machine(64, busy=64)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert find_cores() == Cores(4, 4)


def test_the_word_of_the_user_goes_first(machine, monkeypatch):
    machine(8, busy=6)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert find_cores().threads() == 3
    assert find_cores().threads(processes=4) == 3


@pytest.mark.parametrize("said", ["", "0", "-1", "many", "1.5", "9" * 30])
def test_a_number_of_threads_that_is_none_says_nothing(machine, monkeypatch, said):
    machine(4)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert find_cores() == Cores(4, 4)


def test_several_processes_have_one_thread_each_before_one_has_two():
    assert Cores(8, 4).processes() == 4
    assert Cores(8, 4).threads(4) == 1
    assert Cores(8, 4).threads(2) == 2
    assert Cores(8, 4, asked=2).processes() == 2
    assert Cores(8, 1, asked=4).processes() == 1


def test_busy_is_what_the_cores_of_this_process_did_meanwhile(monkeypatch, tmp_path):
    stat = tmp_path / "stat"

    def says(*idle: int) -> None:
        lines = (f"cpu{number} {1000 - ticks} 0 0 {ticks} 0 0 0 0 0 0" for number, ticks in enumerate(idle))
        stat.write_text("cpu  0 0 0 0 0 0 0 0 0 0\n" + "\n".join(lines) + "\nintr 12\n")

    ticks = cores._ticks
    monkeypatch.setattr(cores, "_ticks", lambda numbers: ticks(numbers, stat))
    says(500, 500, 500)
    first = {number: (idle, total) for number, (idle, total) in cores._ticks({0, 2}).items()}
    assert first == {0: (500, 1000), 2: (500, 1000)}

    def later(seconds: float) -> None:
        # 20 ticks later: core 0 had nothing to do, core 1 is not ours, core 2 was busy for three quarters of them.
        stat.write_text("cpu0 500 0 0 520 0 0 0 0\ncpu1 520 0 0 500 0 0 0 0\ncpu2 510 3 2 503 2 0 0 0\n")

    monkeypatch.setattr(cores.time, "sleep", later)
    assert cores._busy_cores({0, 2}) == pytest.approx(0.75)


def test_a_machine_that_does_not_say_what_is_busy_has_nothing_busy(monkeypatch, tmp_path):
    ticks = cores._ticks
    monkeypatch.setattr(cores, "_ticks", lambda numbers: ticks(numbers, tmp_path / "absent"))
    assert cores._busy_cores({0, 1}) == 0.0


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/user/job", {"user/job/cpu.max": "max 100000", "user/cpu.max": "250000 100000"}, 2.5),
        ("0::/", {"cpu.max": "50000 100000"}, 0.5),
        ("0::/../elsewhere", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {}, math.inf),
        ("4:memory:/a\n3:cpu,cpuacct:/a", {"cpu,cpuacct/a/cpu.cfs_quota_us": "300000",
                                          "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 3.0),
        ("3:cpu,cpuacct:/docker/of-the-host", {"cpu/cpu.cfs_quota_us": "200000",
                                               "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ("5:cpuset:/a", {"cpuset/a/cpu.max": "100000 100000"}, math.inf),
    ],
)  # fmt: skip
def test_the_tightest_limit_of_the_control_groups_above_holds(tmp_path, membership, files, quota):
    (tmp_path / "membership").write_text(membership + "\n")
    for name, content in files.items():
        path = tmp_path / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    assert cores._quota(tmp_path / "membership", tmp_path / "mounted") == quota


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert cores._quota(tmp_path / "absent", tmp_path) == math.inf


@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, "1000"), ({"OMP_WAIT_POLICY": "active"}, None), ({"GOMP_SPINCOUNT": "7"}, "7")],
    ids=["nothing", "policy", "count"],
)
def test_threads_are_told_to_sleep_before_torch_is_loaded_unless_the_user_has_said_how_they_wait(said, spins):
    program = (
        "import os, sys\n"
        "from bench.cli import main\n"
        "def look(asked):\n"
        "    assert 'torch' not in sys.modules\n"
        "    print(os.environ.get('GOMP_SPINCOUNT'))\n"
        "    return lambda prog_name: None\n"
        "main.command_line = look\n"
        "main.main()"
    )
    quiet = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run([sys.executable, "-c", program], env=quiet | said, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(spins)
