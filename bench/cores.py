"""The cores of this machine: how many this process may use, how many of them are free, and how threads wait on them.

Importing it loads no torch: what OpenMP is told has to be said before that is loaded.
"""

from __future__ import annotations

import math
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 0.2
"""For so long it is watched how many cores others keep busy."""
SPINS = 1000
"""How often a thread of GNU's OpenMP looks whether the others are done before it sleeps; by itself it is 300,000."""


@dataclass(frozen=True)
class Cores:
    """Cores as they were found.

    usable: those that this process may use at once.   free: those of them that nobody else keeps busy, at least 1.
    asked: how many threads a process is to have, where the user says so (OMP_NUM_THREADS).
    """

    usable: int
    free: int
    asked: int | None = None

    def threads(self, processes: int = 1) -> int:
        """How many threads each of so many processes is to have."""
        return self.asked or max(1, self.free // processes)

    def processes(self) -> int:
        """How many processes may compute at once: of one thread each, unless the user says otherwise."""
        return max(1, self.free // (self.asked or 1))

    def __str__(self) -> str:
        return f"{self.free} of {self.usable} core{'s' if self.usable > 1 else ''} free"


def find_cores() -> Cores:
    """The cores of now: where SLURM has allotted them all are free, elsewhere others are watched for a moment."""
    usable = usable_cores()
    free = usable
    if allotted_cores() is None:
        # Of a quota of 4 cores on a machine of 64, all 4 are free as long as 4 of the 64 are.
        numbers = _core_numbers()
        free = max(1, min(usable, len(numbers) - math.floor(_busy_cores(numbers) + 0.5)))
    return Cores(usable, free, asked_threads())


def usable_cores() -> int:
    """How many cores this process may use at once: by its affinity, its control group's quota, SLURM's allotment."""
    allotted = allotted_cores()
    return max(1, math.floor(min(len(_core_numbers()), _quota(), math.inf if allotted is None else allotted)))


def asked_threads() -> int | None:
    """The number of threads that OMP_NUM_THREADS asks for; None where it is not set, or says nothing that is one."""
    return _positive(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0])  # the others are for nested threads


def allotted_cores() -> int | None:
    """The cores that SLURM has given to this task alone; None outside of a job, and in one that did not ask for any."""
    return _positive(os.environ.get("SLURM_CPUS_PER_TASK", ""))


def let_threads_sleep() -> None:
    """Have threads sleep soon where they wait for each other, unless the user has said how they are to wait.

    A thread that goes on looking keeps from a core the one that it waits for, as soon as other work is on the machine.
    Call it before torch is loaded; processes that are started from here inherit it.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)


def _positive(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*0*[1-9]\d{0,5}\s*", text) else None


def _core_numbers() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _busy_cores(numbers: set[int]) -> float:
    """How many of the cores are busy, this process asleep; 0 where the machine does not say (`/proc/stat`)."""
    before = _ticks(numbers)
    if not before:
        return 0.0
    time.sleep(LOOK_SECONDS)
    shares = []
    for number, (idle, total) in _ticks(numbers).items():
        idle_before, total_before = before.get(number, (idle, total))
        if total > total_before:
            shares.append(1 - (idle - idle_before) / (total - total_before))
    return sum(shares)


def _ticks(numbers: set[int], stat: Path = Path("/proc/stat")) -> dict[int, tuple[int, int]]:
    """Of each core the time it had nothing to do, and all time, since the machine was started."""
    try:
        lines = [line.split() for line in stat.read_text().splitlines()]
    except OSError:
        return {}
    found = {}
    for name, *fields in lines:
        if (core := re.fullmatch(r"cpu(\d+)", name)) and int(core[1]) in numbers:
            # user nice system idle iowait irq softirq steal; what follows is counted in user and nice already.
            ticks = [int(field) for field in fields[:8]]
            found[int(core[1])] = sum(ticks[3:5]), sum(ticks)
    return found


def _quota(membership: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> float:
    """The cores' worth of time that the control groups of this process, and those above them, are held to.

    Infinite where there is no limit. Within a container the path of a group may be that of the host: then only the
    group at the mount is to be seen, which is the container's.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return math.inf
    limits = [math.inf]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        roots = {mounted / controllers, mounted / "cpu"} if controllers else {mounted}
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for root in roots:
            limits += [_limit(root.joinpath(*parts[:depth])) for depth in range(len(parts) + 1)]
    return min(limits)


def _limit(group: Path) -> float:
    """The limit of one control group, in cores: version 2 has it in one file, version 1 in two."""
    for files in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((group / name).read_text() for name in files).split()
            return math.inf if quota in ("max", "-1") else int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return math.inf
