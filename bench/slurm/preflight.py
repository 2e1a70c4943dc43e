"""`bench doctor --on`: one small job of a profile looks at its node, before runs wait in the queue for the same.

This is the half of it on the login node: it says what is here, submits, answers what the job asks, and puts together
what both have seen. The job is started as those of runs are: by submitit, with the profile's setup and container.
"""

from __future__ import annotations

import math
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.execution.requirements import Requirement
from bench.filesystem import last_text, read_checked, read_json, write_atomically, write_checked, write_json
from bench.locks import Lock
from bench.runs.interrupt import Interrupt
from bench.slurm.environment import clean_environment
from bench.slurm.node_checks import NodeCheck
from bench.slurm.node_question import Channel, Question, Wanted, home_mark, versions
from bench.slurm.profiles import Profile, Resources
from bench.slurm.queue import (
    TIMEOUT_SECONDS,
    ArrayIndex,
    Queued,
    SchedulerError,
    accounted_jobs,
    command,
    queued_jobs,
)
from bench.slurm.submit import ArrayExecutor, check_submittable

MINUTES = 15
"""At most this long such a job may run: it is short so that it need not wait for long."""
WARNING_SECONDS = 30
PLACES = (
    "partition",
    "account",
    "qos",
    "constraint",
    "gpus",
    "processes",
    "nodes",
    "setup",
    "container",
    "python",
    "scratch",
    "extra",
)
"""Settings by which jobs of two stages may come to different nodes, or find other things there."""
POLL_SECONDS = 0.1
"""Between two looks for a word of the job."""
ASK_SECONDS = 5.0
"""Between two questions to SLURM."""
LINES = 8
"""Of a job that ended without an answer, so many of the last lines it printed are shown."""


@dataclass(frozen=True)
class Place:
    """Kinds of jobs of a profile that are alike but for how large and how long they are; what the first asks for."""

    kinds: tuple[str, ...]
    resources: Resources


def places_of(profile: Profile) -> list[Place]:
    """The kinds of jobs of a profile, those together that one look is enough for."""
    places: list[Place] = []
    for kind, resources in profile.kinds():
        same = next((place for place in places if _alike(place.resources, resources)), None)
        if same is None:
            places.append(Place((kind,), resources))
        else:
            places[places.index(same)] = replace(same, kinds=(*same.kinds, kind))
    return places


def _alike(one: Resources, other: Resources) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in PLACES)


def acceptance(profile: Profile, out: Path) -> Iterator[Requirement]:
    """Whether SLURM would take a job of each stage as it is, and when it would start it. Submits nothing.

    Raises SchedulerError where SLURM does not answer.
    """
    check_submittable(out)
    queued_jobs()  # raises where SLURM does not answer: no profile is at fault for that
    folder = out.absolute() / "slurm" / "doctor"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, resources in profile.kinds():
        executor = ArrayExecutor(folder, "bench-doctor", resources, {})
        script = folder / f"{secrets.token_hex(6)}.sh"
        script.write_text(executor.script(), encoding="utf-8")
        try:
            taken, said = _test_only(script)
        finally:
            script.unlink()
        asked = f"{resources.time} min, {resources.memory} MB, {resources.gpus * resources.processes} GPU"
        state = f"{asked}: {said.removeprefix('sbatch: ').removeprefix('error: ')}"
        yield Requirement(f"a job of {kind}", taken, state, "" if taken else "change what the profile asks for it")


def _test_only(script: Path) -> tuple[bool, str]:
    """Whether sbatch would take a script, and what it says of it."""
    asking = ["sbatch", "--test-only", str(script)]
    environment = clean_environment()
    try:
        done = subprocess.run(
            asking,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env=environment,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {TIMEOUT_SECONDS} s"
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if done.returncode:  # the first error is the reason; some versions tell none but the last line
        return False, next((line for line in lines if "error" in line), lines[-1] if lines else "refused")
    return True, lines[-1] if lines else "taken"


def look(
    places: Sequence[Place],
    wanted: Sequence[Wanted],
    out: Path,
    timeout: float,
    interrupt: Interrupt,
    say: Callable[[str], None],
) -> Iterator[list[Requirement]]:
    """What a job at each of some places has found on its node, as they answer; they wait in the queue side by side.

    wanted: what they are to read.   timeout: seconds within which they have to have ended.   say: is told how far they
    are. Raises UsageError and `Interrupted`. Whatever ends it, jobs that have not answered are cancelled.
    """
    check_submittable(out)
    with _mark_of_home() as mark, ExitStack() as locks:
        jobs: list[_Job] = []
        try:
            for place in places:
                job = _Job(place, out, mark, say)
                locks.enter_context(Lock(job.channel.lock))
                if refusal := job.submit(wanted):
                    yield [refusal]
                else:
                    jobs.append(job)
            yield from _answers(jobs, timeout, interrupt)
        finally:
            for job in jobs:
                job.cancel()


def _answers(jobs: list[_Job], timeout: float, interrupt: Interrupt) -> Iterator[list[Requirement]]:
    """The rows of each of `jobs`, which is taken out of them then. Raises `Interrupted`."""
    give_up, asked = time.monotonic() + timeout, -math.inf
    while jobs:
        interrupt.check()
        due = time.monotonic() - asked >= ASK_SECONDS
        if due:
            asked = time.monotonic()
            try:
                queue, trouble = queued_jobs(), ""
            except SchedulerError as error:
                queue, trouble = {}, str(error).splitlines()[-1]
        for job in list(jobs):
            job.reply()
            over = due and job.is_over(queue, trouble)
            if rows := job.answer() or ([job.end()] if over else []):
                jobs.remove(job)
                job.remove_files()
                yield rows
        if time.monotonic() > give_up:
            yield [job.timed_out(timeout) for job in jobs]
            return
        pause()


@contextmanager
def _mark_of_home() -> Iterator[str]:
    """For the time of this block there is a file in BENCH_HOME, whose mark is given; "" where none can be written."""
    mark = secrets.token_hex(6)
    path = home_mark(mark, "login")
    try:
        write_atomically(path, b"")
    except OSError:
        yield ""
        return
    try:
        yield mark
    finally:
        for file in path.parent.glob(f"{mark}-*"):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # another doctor has a file there
            path.parent.rmdir()


class _Job:
    """A job that looks at its node, and what is said to it and of it. mark: of BENCH_HOME."""

    def __init__(self, place: Place, out: Path, mark: str, say: Callable[[str], None]) -> None:
        self.place, self.mark, self.say = place, mark, say
        self.channel = Channel(out.absolute() / "slurm" / "doctor" / secrets.token_hex(6))
        self.index = ArrayIndex("", 0)
        self.state = ""
        self._heard, self._missing = -1, 0

    def submit(self, wanted: Sequence[Wanted]) -> Requirement | None:
        """Submit it; a row that says why where SLURM does not take it."""
        asked = self.place.resources
        question = Question(
            versions=versions(),
            gpus=asked.gpus,
            cpus=asked.cpus,
            scratch=asked.scratch or "",
            mark=self.mark,
            wanted=tuple(wanted),
        )
        write_checked(self.channel.question, question.model_dump(mode="json"))
        resources = asked.model_copy(update={"time": min(asked.time, MINUTES), "warning_seconds": WARNING_SECONDS})
        executor = ArrayExecutor(self.channel.folder / "jobs", "bench-doctor", resources, {"no-requeue": True})
        kinds = ", ".join(self.place.kinds)
        try:
            self.index = ArrayIndex(executor.submit_indices(NodeCheck(str(self.channel.folder)), [0], 1), 0)
        except (subprocess.CalledProcessError, OSError, RuntimeError) as error:
            self.remove_files()
            said = str(error).strip().splitlines()
            why = said[-1] if said else type(error).__name__
            return Requirement(f"a job for {kinds}", False, f"SLURM did not take it: {why}")
        self.say(f"job {self.index} submitted, for {kinds}")
        return None

    def reply(self) -> None:
        """Answer the job's newest word, if it is a new one."""
        told = read_json(self.channel.node)
        number = told.get("number") if isinstance(told, dict) else None
        if number is not None and number != self._heard:
            if self._heard < 0:
                self.say(f"job {self.index} is at work")
            self._heard = number
            write_json(self.channel.login, {"number": number, "time": time.time()})

    def answer(self) -> list[Requirement]:
        """What it has found; nothing as long as it has not said so."""
        told = read_checked(self.channel.answer)
        if told is None:
            return []
        about = Requirement("node", True, f"{told['node']}, for {', '.join(self.place.kinds)}")
        return [about, *(self._seen_from_here(Requirement(**row)) for row in told["rows"])]

    def _seen_from_here(self, row: Requirement) -> Requirement:
        """A row of it; that on BENCH_HOME fails where the file that the job wrote there is not to be seen here."""
        written = self.mark and row.here and row.what.startswith("BENCH_HOME")
        if not written or home_mark(self.mark, self.channel.node_side).exists():
            return row
        to_do = "mount it for writing on the nodes, or bind it into the container"
        return replace(row, here=False, state="what a job writes there is not seen by the login node", to_do=to_do)

    def is_over(self, queue: Mapping[ArrayIndex, Queued], trouble: str) -> bool:
        """Whether SLURM has the job no more, as seen twice: it may not have it yet, or its answer be on its way.

        trouble: why its queue is not known; "" where it is.
        """
        queued = queue.get(self.index)
        if trouble:
            self._tell(f"nobody knows: {trouble}")
        elif queued is None:
            self._missing += 1
            return self._missing > 1
        else:
            self._missing = 0
            why = f" ({queued.reason})" if queued.reason not in ("", "None") else ""
            self._tell(f"{queued.state.lower()}{why}")
        return False

    def _tell(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.say(f"job {self.index}: {state}")

    def end(self) -> Requirement:
        """How a job has ended that gave no answer, with the last lines it printed."""
        how = "it ended"
        with suppress(SchedulerError):  # without accounting the log has to do
            account = accounted_jobs([self.index]).get(self.index)
            how = f"{account.state}, exit status {account.exit_code}, on {account.node}" if account else how
        how += f", for {', '.join(self.place.kinds)}"
        lines = [line for line in last_text(self._log).splitlines() if line.strip()]
        if not lines:
            to_do = "it printed nothing: is --out on a file system that all nodes share?"
            return Requirement(f"job {self.index}", False, how, to_do)
        return Requirement(f"job {self.index}", False, f"{how}; {self._log} ends:\n" + "\n".join(lines[-LINES:]))

    def timed_out(self, timeout: float) -> Requirement:
        """That it has taken too long."""
        state = f"no answer within {timeout:.0f} s, for {', '.join(self.place.kinds)}: {self.state or 'not seen'}"
        to_do = f"a longer --timeout; or see {self._log}" if self._log.exists() else "a longer --timeout"
        return Requirement(f"job {self.index}", False, state, to_do)

    def cancel(self) -> None:
        """Take it out of SLURM's queue; its files go, unless it has printed something."""
        try:
            command(["scancel", str(self.index)])
        except SchedulerError as trouble:
            self.say(f"job {self.index} was not cancelled: {trouble}")
        self.remove_files()

    def remove_files(self) -> None:
        """Remove all that was written for it. Of one without an answer the log stays: it is where to look."""
        if self.channel.answer.exists() or not last_text(self._log).strip():
            # A job that is ending may still write to it.
            shutil.rmtree(self.channel.folder, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.channel.folder / "jobs" / f"{self.index}_0_log.out"


def pause() -> None:
    """Pause between two looks for a word of the jobs."""
    time.sleep(POLL_SECONDS)
