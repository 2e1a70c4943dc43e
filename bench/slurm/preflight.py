"""`bench doctor --on`: one small job of a profile looks at its node, before runs wait in the queue for the same.

This is the half of it on the login node: it says what is here, submits, answers what the job asks, and puts together
what both have seen. The job is started as those of runs are: by submitit, with the profile's setup and container.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import BenchError
from bench.execution.requirements import Requirement
from bench.filesystem import last_text, read_checked, read_json, write_atomically, write_checked, write_json
from bench.locks import Lock
from bench.runs.interrupt import Interrupt
from bench.slurm.environment import clean_environment
from bench.slurm.node_checks import NodeCheck
from bench.slurm.node_question import Channel, Question, Wanted, home_mark, versions
from bench.slurm.profiles import Profile, Resources
from bench.slurm.queue import TIMEOUT_SECONDS, ArrayIndex, SchedulerError, accounted_jobs, command, queued_jobs
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
    """Whether SLURM would take a job of each stage as it is, and when it would start it. Submits nothing."""
    check_submittable(out)
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
            asking, capture_output=True, text=True, check=False, env=environment, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {TIMEOUT_SECONDS} s"
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if done.returncode:  # the first error is the reason; some versions tell none but the last line
        return False, next((line for line in lines if "error" in line), lines[-1] if lines else "refused")
    return True, lines[-1] if lines else "taken"


def look(
    place: Place,
    wanted: Sequence[Wanted],
    mark: str,
    out: Path,
    timeout: float,
    interrupt: Interrupt,
    say: Callable[[str], None],
) -> list[Requirement]:
    """What a job at a place has found on its node.

    wanted: what it is to read.   mark: that of `mark_of_home`.   timeout: seconds within which it has to have ended.
    say: is told how far it is.
    Raises BenchError where it takes too long, and `Interrupted`; the job is cancelled then.
    """
    check_submittable(out)
    channel = Channel(out.absolute() / "slurm" / "doctor" / secrets.token_hex(6))
    asked = place.resources
    question = Question(
        versions=versions(),
        gpus=asked.gpus,
        cpus=asked.cpus,
        scratch=asked.scratch or "",
        mark=mark,
        wanted=tuple(wanted),
    )
    write_checked(channel.question, question.model_dump(mode="json"))
    resources = asked.model_copy(update={"time": min(asked.time, MINUTES), "warning_seconds": WARNING_SECONDS})
    executor = ArrayExecutor(channel.folder / "jobs", "bench-doctor", resources, {"no-requeue": True})
    with Lock(channel.lock):
        try:
            job = ArrayIndex(executor.submit_indices(NodeCheck(str(channel.folder)), [0], 1), 0)
        except (subprocess.CalledProcessError, OSError, RuntimeError) as error:
            said = str(error).strip().splitlines()
            why = said[-1] if said else type(error).__name__
            return [Requirement(f"a job for {', '.join(place.kinds)}", False, f"SLURM did not take it: {why}")]
        say(f"job {job} submitted, for {', '.join(place.kinds)}")
        with _cancelled_on_error(job):
            rows = _Conversation(channel, job, mark, timeout, interrupt, say).rows()
    if channel.answer.exists():  # else the job's log is where to look
        shutil.rmtree(channel.folder, ignore_errors=True)  # a job that is ending may still write to it
    return rows


@contextmanager
def mark_of_home() -> Iterator[str]:
    """For the time of this block there is a file in BENCH_HOME, whose mark is given; "" where none can be written."""
    mark = secrets.token_hex(6)
    try:
        write_atomically(home_mark(mark, "login"), b"")
    except OSError:
        yield ""
        return
    try:
        yield mark
    finally:
        for side in ("login", "node"):
            home_mark(mark, side).unlink(missing_ok=True)
        with suppress(OSError):  # another doctor has a file there
            home_mark(mark, "login").parent.rmdir()


@contextmanager
def _cancelled_on_error(job: ArrayIndex) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        try:
            command(["scancel", str(job)])
        except SchedulerError as trouble:
            error.add_note(f"job {job} was not cancelled: {trouble}")
        raise


class _Conversation:
    """Answers a job until it has said what it found."""

    def __init__(
        self,
        channel: Channel,
        job: ArrayIndex,
        mark: str,
        timeout: float,
        interrupt: Interrupt,
        say: Callable[[str], None],
    ) -> None:
        self.channel, self.job, self.mark, self.interrupt, self.say = channel, job, mark, interrupt, say
        self.give_up, self.timeout = time.monotonic() + timeout, timeout
        self.asked, self.heard, self.missing = 0.0, -1, 0
        self.state = ""

    def rows(self) -> list[Requirement]:
        """What the job has found; of one that ended without an answer, how."""
        while True:
            self.interrupt.check()
            self._reply()
            if found := self._answer():
                return found
            if time.monotonic() - self.asked >= ASK_SECONDS:
                self.asked = time.monotonic()
                if self._is_over():
                    return self._answer() or [self._without_an_answer()]
            if time.monotonic() > self.give_up:
                raise BenchError(f"no answer within {self.timeout:.0f} s (--timeout); job {self.job} {self.state}")
            pause()

    def _reply(self) -> None:
        told = read_json(self.channel.node)
        number = told.get("number") if isinstance(told, dict) else None
        if number is not None and number != self.heard:
            if self.heard < 0:
                self.say(f"job {self.job} is at work")
            self.heard = number
            write_json(self.channel.login, {"number": number, "time": time.time()})

    def _answer(self) -> list[Requirement]:
        told = read_checked(self.channel.answer)
        if told is None:
            return []
        rows = [Requirement("node", True, told["node"]), *(Requirement(**row) for row in told["rows"])]
        return [_seen_from_here(row, self.mark) for row in rows]

    def _is_over(self) -> bool:
        """Whether SLURM has the job no more, as seen twice: it may not have it yet, or its answer be on its way."""
        try:
            queued = queued_jobs().get(self.job)
        except SchedulerError as error:
            self._tell(f"nobody knows: {str(error).splitlines()[-1]}")
            return False
        if queued is None:
            self.missing += 1
            return self.missing > 1
        self.missing = 0
        self._tell(f"{queued.state.lower()}{f' ({queued.reason})' if queued.reason not in ('', 'None') else ''}")
        return False

    def _tell(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.say(f"job {self.job}: {state}")

    def _without_an_answer(self) -> Requirement:
        how = "it ended"
        with suppress(SchedulerError):  # without accounting the log has to do
            account = accounted_jobs([self.job]).get(self.job)
            how = f"{account.state}, exit status {account.exit_code}, on {account.node}" if account else how
        log = self.channel.folder / "jobs" / f"{self.job}_0_log.out"
        lines = [line for line in last_text(log).splitlines() if line.strip()]
        if not lines:
            to_do = f"it printed nothing into {log}: is --out on a file system that all nodes share?"
            return Requirement(f"job {self.job}", False, how, to_do)
        return Requirement(f"job {self.job}", False, f"{how}; {log} ends:\n" + "\n".join(lines[-LINES:]))


def _seen_from_here(row: Requirement, mark: str) -> Requirement:
    """A row of the job; that on BENCH_HOME fails where the file that the job wrote there is not to be seen here."""
    if not (mark and row.here and row.what.startswith("BENCH_HOME")) or home_mark(mark, "node").exists():
        return row
    to_do = "mount it for writing on the nodes, or bind it into the container"
    return replace(row, here=False, state="what a job writes there is not seen by the login node", to_do=to_do)


def pause() -> None:
    """Pause between two looks for a word of the job."""
    time.sleep(POLL_SECONDS)
