"""What a node has for the runs of a profile, looked at by a job on it: the other half of `bench.slurm.preflight`.

The two talk through files of one folder below the output folder, as runs do. Nothing heavy is imported before it is
looked at: what cannot be imported there is one of the things to find out.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cores import usable_cores
from bench.errors import BenchError, plural
from bench.execution.requirements import Requirement, gpu, room
from bench.filesystem import home, read_checked, read_json, write_atomically, write_checked, write_json
from bench.locks import STALE_SECONDS, flock_shows, held
from bench.processes import age
from bench.scratch import SCRATCH
from bench.slurm.node_question import LIBRARIES, Channel, Question, Wanted, home_mark, versions
from bench.slurm.together import Member, is_one_of_several, member_of_job

ROUNDS = 5
"""How often the two clocks are compared; the quickest answer counts."""
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 120.0
"""How long the job waits for a word from the login node, which may see a new file only after a minute (NFS)."""
CLOCK_SECONDS = 5.0
"""By more than this two clocks should not differ."""
LONG_START_SECONDS = 60.0
"""From here on it is told what to do about the time that a job takes to start."""


@dataclass(frozen=True)
class NodeCheck:
    """The function that submitit pickles. Of several processes of a job the first looks, and finds the others."""

    folder: str

    def __call__(self) -> None:
        """Look at everything and write it down."""
        channel = Channel(Path(self.folder))
        if is_one_of_several() and int(os.environ["SLURM_PROCID"]) > 0:
            _find_each_other(member_of_job())
            return
        question = Question.model_validate(read_checked(channel.question))
        rows = [vars(row) for row in _rows(question, channel)]
        write_checked(channel.answer, {"node": os.environ.get("SLURMD_NODENAME", platform.node()), "rows": rows})


def _rows(question: Question, channel: Channel) -> Iterator[Requirement]:
    # Before anything slow: the login node is shown that the job has started.
    write_json(channel.node, {"number": 0})
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    imports = _imports(question)
    started = age()
    yield imports
    yield _cores(question)
    checks: list[tuple[str, Callable[[], Requirement]]] = [
        ("output folder", lambda: _output_folder(channel)),
        ("clock", lambda: _clock(channel)),
        (f"BENCH_HOME {home()}", lambda: _home(question, channel)),
        ("file locks", lambda: _locks(channel)),
        ("SLURM's commands", _commands),
    ]
    if question.gpus:
        checks.insert(0, ("GPU", _gpu))
    if is_one_of_several():
        checks.append(("processes", _processes))
    if question.scratch:
        checks.append(("scratch", lambda: _scratch(question.scratch)))
    reading = 0.0
    for wanted in question.wanted:
        checks += [
            (f"data set {wanted.dataset}", lambda wanted=wanted: _dataset(wanted)),  # type: ignore[misc]
            (f"encoder {wanted.encoder}", lambda wanted=wanted: _encoder(wanted)),  # type: ignore[misc]
        ]
    for what, check in checks:
        began = time.monotonic()
        try:
            yield check()
        except BenchError as error:
            said, _, to_do = str(error).partition("\n")
            yield Requirement(what, False, said, to_do.replace("\n", " "))
        except Exception as error:  # whatever is wrong there is what is to be found out
            yield Requirement(what, False, f"{type(error).__name__}: {error}")
        if what.startswith("encoder"):
            reading = max(reading, time.monotonic() - began)
    yield _start(started, reading)


def _imports(question: Question) -> Requirement:
    """Whether everything that a run needs can be imported, in the versions of the login node."""
    for name in ("torch", "transformers", "numpy", "bench.execution.executor"):
        try:
            importlib.import_module(name)
        except Exception as error:
            what = f"{sys.executable}: importing {name}: {type(error).__name__}: {error}"
            return Requirement("Python", False, what, "check setup, container and python in the profile")
    here = versions()
    listed = ", ".join(f"{name} {here[name]}" for name in ("Python", *LIBRARIES))
    differ = [f"{name} {question.versions[name]}" for name in here if here[name] != question.versions[name]]
    # Of Python itself no number depends on the last part.
    minor = here["Python"].rpartition(".")[0] == question.versions["Python"].rpartition(".")[0]
    same = not [name for name in differ if not (minor and name.startswith("Python "))]
    to_do = "" if same else f"the login node has {', '.join(differ)}: install the same in both"
    return Requirement("Python", same, f"{listed} ({sys.executable})", to_do)


def _cores(question: Question) -> Requirement:
    usable = usable_cores()
    enough = usable >= question.cpus
    to_do = "" if enough else f"the profile asks for {question.cpus}: is there an option of srun in extra, or a quota?"
    return Requirement("cores", enough, f"{usable} for a process", to_do)


def _gpu() -> Requirement:
    """The GPUs, on which something has been computed."""
    import torch

    found = gpu()
    if not found.here:
        if torch.version.cuda is None and torch.version.hip is None:
            why = "this torch is made for the CPU alone: install one that is made for GPUs"
        elif os.environ.get("CUDA_VISIBLE_DEVICES") == "":
            why = "CUDA_VISIBLE_DEVICES is empty: does the profile (gpus, or gres under extra) ask for one?"
        else:
            why = "no driver that torch can use; in a container: its option for GPUs (apptainer exec --nv)"
        return Requirement("GPU", False, "none that torch sees", why)
    numbers = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16 if torch.cuda.is_bf16_supported() else None)
    if (numbers @ numbers).sum().item() != 64**3:
        return Requirement("GPU", False, f"{found.state}; computes wrong sums", "tell the cluster's administrators")
    made_for = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}{_driver()}"
    return Requirement("GPU", True, f"{found.state}, {made_for}")


def _driver() -> str:
    """The version of NVIDIA's driver, where Linux says it."""
    try:
        line = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except (OSError, IndexError):
        return ""
    found = next((word for word in line.split() if word[:1].isdigit() and "." in word), "")
    return f", driver {found}" if found else ""


def _output_folder(channel: Channel) -> Requirement:
    """Whether each side sees what the other writes; the login node's word has to come."""
    seconds = _ask(channel, 1)[1]
    free, _ = room(channel.folder)
    state = f"seen by both, there and back in {seconds:.1f} s; {free} GiB free"
    return Requirement("output folder", True, state, "" if free else "make room: a checkpoint takes gigabytes")


def _ask(channel: Channel, number: int) -> tuple[float, float]:
    """By how much the login node's clock is ahead, and the seconds until its word came. Raises BenchError."""
    asked = time.time()
    write_json(channel.node, {"number": number})
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        told = read_json(channel.login)
        now = time.time()
        if isinstance(told, dict) and told.get("number") == number:
            return told["time"] - (asked + now) / 2, now - asked
        if time.monotonic() > give_up:
            raise BenchError(
                f"{channel.login}: what the login node writes is not seen here within {PATIENCE_SECONDS:.0f} s\n"
                "--out has to be on a file system that all nodes share"
            )
        time.sleep(LOOK_SECONDS)


def _clock(channel: Channel) -> Requirement:
    ahead, within = min((_ask(channel, number) for number in range(2, 2 + ROUNDS)), key=lambda told: told[1])
    close = abs(ahead) - within / 2 <= CLOCK_SECONDS
    to_do = "" if close else "ask the administrators for synchronised clocks (NTP): times in logs and locks are off"
    return Requirement("clock", close, f"differs by {abs(ahead):.1f} s (to {within / 2:.1f} s)", to_do)


def _home(question: Question, channel: Channel) -> Requirement:
    free, writable = room(home())
    what = f"BENCH_HOME {home()}"
    if question.mark and not home_mark(question.mark, "login").exists():
        to_do = "set BENCH_HOME to a folder that all nodes share (and that the container binds)"
        return Requirement(what, False, "not the login node's: a file written there is not seen here", to_do)
    if not question.mark:
        return Requirement(what, True, f"cannot be written to by the login node; {free} GiB free")
    if not writable:
        to_do = "what it lacks is made there by jobs: make it writable, or have everything in it before"
        return Requirement(what, False, "cannot be written to", to_do)
    write_atomically(home_mark(question.mark, channel.node_side), b"")
    return Requirement(what, True, f"the login node's; {free} GiB free")


def _locks(channel: Channel) -> Requirement:
    shown = flock_shows(channel.lock)
    if shown:
        return Requirement("file locks", True, "flock works across nodes")
    if held(channel.lock) is None:
        to_do = "two jobs may do the same work at once: ask for flock on this file system, or use another for --out"
        return Requirement("file locks", False, "a lock that the login node holds is not seen here", to_do)
    to_do = f"nothing: a lock of a node that dies is taken over after {STALE_SECONDS:.0f} s"
    how = "has no flock" if shown is None else "keeps flock to each node"
    return Requirement("file locks", True, f"the file system {how}; a file beside each lock does it", to_do)


def _commands() -> Requirement:
    from bench.slurm.queue import command

    if shutil.which("scontrol") is None or shutil.which("squeue") is None:
        state = "not here (a container?): the batch script puts a stopped job back into the queue"
        return Requirement("SLURM's commands", True, state)
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    command(["squeue", "--noheader", f"--jobs={job}", "--format=%T"])
    return Requirement("SLURM's commands", True, "squeue answers")


def _processes() -> Requirement:
    """Whether the processes of the job can train together."""
    began = time.monotonic()
    member = member_of_job()
    backend = _find_each_other(member)
    seconds, nodes = time.monotonic() - began, os.environ.get("SLURM_JOB_NUM_NODES", "1")
    where = f"on {plural(int(nodes), 'node')}, through {os.environ.get('GLOO_SOCKET_IFNAME', 'an interface of gloo')}"
    return Requirement("processes", True, f"{member.size} {where}, found each other in {seconds:.1f} s ({backend})")


def _find_each_other(member: Member) -> str:
    """Have all processes of the job add something up together; what they do so with."""
    import torch
    import torch.distributed as dist

    from bench.runs.interrupt import Interrupt
    from bench.training.team import Group, PeerLostError, joined

    def add_up(group: Group) -> None:
        group.stop_asked(Interrupt())
        if torch.cuda.is_available():
            dist.all_reduce(torch.ones(1, device="cuda"))
            torch.cuda.synchronize()

    try:
        with joined(member.rank, member.size, member.port, member.address) as team:
            if team and member.rank:
                team.follow(lambda work: add_up)
            elif team:
                with team.stage({}) as group:
                    add_up(group)
    except PeerLostError as lost:
        to_do = "is there a firewall between the nodes? ask the cluster's administrators, or use nodes = 1"
        raise BenchError(f"{lost}\n{to_do}") from lost
    return "nccl" if torch.cuda.is_available() else "gloo"


def _scratch(asked: str) -> Requirement:
    folder = os.environ.get(SCRATCH, "")
    if not folder or not Path(folder).is_dir():
        to_do = "name a folder of the node's own disk, which the container binds; without it all is read where it is"
        return Requirement("scratch", False, f"{asked} is {folder or 'empty'}: no folder there", to_do)
    free, writable = room(Path(folder))
    state = f"{folder}, {free} GiB free{'' if writable else ', cannot be written to'}"
    return Requirement("scratch", writable, state, "" if writable else "name a folder that you can write to")


def _dataset(wanted: Wanted) -> Requirement:
    """Whether the documents are those of the login node; all of their bytes are read."""
    from bench.data.catalog.dataset import open_dataset

    what = f"data set {wanted.dataset}"
    began = time.monotonic()
    dataset = open_dataset(wanted.dataset)
    size = dataset.check_content()
    differ = [split for split in wanted.checksums if dataset.checksum(split) != wanted.checksums[split]]
    if differ:
        to_do = "register it in a BENCH_HOME that all nodes share (bench data add, bench data fetch)"
        return Requirement(what, False, f"not the login node's: {', '.join(differ)}", to_do)
    seconds = time.monotonic() - began
    splits = ", ".join(wanted.checksums)
    return Requirement(what, True, f"the login node's ({splits}); {size / 1e6:,.1f} MB read in {seconds:.1f} s")


def _encoder(wanted: Wanted) -> Requirement:
    """Whether the encoder is that of the login node, and its weights can be had without a network."""
    from bench.data.catalog.dataset import open_dataset
    from bench.nn.encoder_source import find_encoder

    what = f"encoder {wanted.encoder}"
    began = time.monotonic()
    source = find_encoder(wanted.encoder, open_dataset(wanted.dataset).documents("train"))
    if source.fingerprint != wanted.fingerprint:
        state = f"not the login node's: fingerprint {source.fingerprint}, there {wanted.fingerprint}"
        return Requirement(what, False, state, "use one folder or cache for both (HF_HOME), and the same versions")
    encoder = source.build(attention=False)
    numbers = sum(parameter.numel() for parameter in encoder.parameters())
    where = f"from {source.folder}" if source.folder else "made on the spot"
    seconds = time.monotonic() - began
    return Requirement(
        what, True, f"{numbers / 1e6:,.1f} million numbers in {seconds:.1f} s, without a network, {where}"
    )


def _start(imports: float, encoder: float) -> Requirement:
    state = f"{imports:.1f} s for the interpreter and imports, {encoder:.1f} s for the encoder"
    if imports + encoder < LONG_START_SECONDS:
        return Requirement("start of a job", True, state)
    to_do = (
        f"of every job {plural(round(imports + encoder), 'second')} are not training: an environment, or a container, "
        "on a faster file system; several runs in a job (runs_per_gpu)"
    )
    return Requirement("start of a job", True, state, to_do)
