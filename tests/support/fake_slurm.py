"""SLURM's commands as small scripts on PATH, which answer from files and note what they were asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import made_records

from bench.filesystem import write_json
from bench.runs.keys import stage_folder_name
from bench.runs.plan import StagePlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import SELECTED, StageResult, stage_folder

SCRIPTS = {
    "sbatch": """
        [ -e "$FAKE/down" ] && { echo "sbatch: error: Unable to contact slurm controller" >&2; exit 1; }
        n=$(ls "$FAKE/submitted" | wc -l)
        [ -e "$FAKE/limit" ] && [ "$n" -ge "$(cat "$FAKE/limit")" ] &&
            { echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }
        [ "$1" = --test-only ] && {
            [ -e "$FAKE/refused" ] && { cat "$FAKE/refused" >&2; exit 1; }
            echo "sbatch: Job 99 to start at 2026-01-01T00:00:00 using 1 processors on nodes n1" >&2; exit 0; }
        cp "$1" "$FAKE/submitted/$((100 + n)).sh"
        echo "Submitted batch job $((100 + n))" """,
    "squeue": """
        [ -e "$FAKE/down" ] && { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }
        case "$*" in *--jobs=*) cat "$FAKE/state" ;; *) cat "$FAKE/queue" ;; esac""",
    "sacct": """
        [ -e "$FAKE/sacct_fails" ] && { cat "$FAKE/sacct_fails" >&2; exit 1; }
        [ -e "$FAKE/accounts" ] || { echo "Slurm accounting storage is disabled" >&2; exit 1; }
        cat "$FAKE/accounts" """,
    "scontrol": """
        [ -e "$FAKE/down" ] && { rm "$FAKE/down"; exit 1; }
        [ -e "$FAKE/scontrol_fails" ] && { cat "$FAKE/scontrol_fails" >&2; exit 1; }
        [ -e "$FAKE/nodes" ] && cat "$FAKE/nodes"
        exit 0""",
    "scancel": """
        [ -e "$FAKE/scancel_fails" ] && { cat "$FAKE/scancel_fails" >&2; exit 1; }
        exit 0""",
    "srun": "",
}

NOTE_ENVIRONMENT = 'env | grep -aE "^(S[A-Z]+_|FOR_THE_JOB=)" | sed "s/^/{name} /" >> "$FAKE/environments"'


class FakeSlurm:
    """What the fake cluster is to answer, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "submitted").mkdir(parents=True)
        (folder / "bin").mkdir()
        for name, body in SCRIPTS.items():
            script = folder / "bin" / name
            note = f'echo "{name} $*" >> "$FAKE/commands"\n{NOTE_ENVIRONMENT.format(name=name)}'
            script.write_text(f'#!/bin/sh\nFAKE="{folder}"\n{note}\n{body}\n')
            script.chmod(0o755)
        self.queue()
        self.accounts()

    def queue(self, *lines: str) -> None:
        """The answer of squeue: ARRAY|INDEX|STATE|NODE|REASON|NAME."""
        (self.folder / "queue").write_text("".join(line + "\n" for line in lines))

    def queue_submitted(self, state: str = "PENDING", node: str = "", reason: str = "Resources") -> None:
        """All that was submitted is in the queue."""
        lines = []
        for array, options in self.submitted().items():
            for index in options["array"].partition("%")[0].split(","):
                lines.append(f"{array}|{index}|{state}|{node}|{reason}|{options['job-name']}")
        self.queue(*lines)

    def accounts(self, *lines: str) -> None:
        """The answer of sacct: JOB|STATE|EXIT|NODE."""
        (self.folder / "accounts").write_text("".join(line + "\n" for line in lines))

    def without_accounting(self) -> None:
        (self.folder / "accounts").unlink()

    def scontrol_fails(self, error: str) -> None:
        """scontrol refuses, with these words."""
        (self.folder / "scontrol_fails").write_text(error + "\n")

    def says_of_nodes(self, line: str) -> None:
        """What `scontrol show node` answers."""
        (self.folder / "nodes").write_text(line + "\n")

    def cancelling_fails(self, error: str) -> None:
        """scancel refuses, with these words."""
        (self.folder / "scancel_fails").write_text(error + "\n")

    def accounting_fails(self, error: str = "sacct: error: slurm_persist_conn_open: Connection refused") -> None:
        """There is accounting, and it does not answer."""
        (self.folder / "sacct_fails").write_text(error + "\n")

    def state(self, state: str) -> None:
        """The answer of squeue for one job."""
        (self.folder / "state").write_text(state + "\n")

    def down(self) -> None:
        """Nobody answers any more; until a scontrol has been tried."""
        (self.folder / "down").touch()

    def up(self) -> None:
        (self.folder / "down").unlink()

    def limit(self, arrays: int | None) -> None:
        """sbatch takes so many and refuses the rest."""
        path = self.folder / "limit"
        path.unlink() if arrays is None else path.write_text(str(arrays))

    def refuses(self, error: str) -> None:
        """sbatch would take no such job, and says why when it is asked."""
        (self.folder / "refused").write_text(error + "\n")

    def commands(self, name: str) -> list[str]:
        """The arguments of each call of a command."""
        path = self.folder / "commands"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.removeprefix(name).strip() for line in lines if line.split()[0] == name]

    def environment(self, name: str) -> dict[str, str]:
        """The variables that a command was called with, of those that may be SLURM's, and FOR_THE_JOB."""
        lines = (self.folder / "environments").read_text().splitlines()
        seen = (line.removeprefix(name + " ") for line in lines if line.startswith(name + " "))
        return {variable: value for variable, _, value in (line.partition("=") for line in seen)}

    def submitted(self) -> dict[str, dict[str, str]]:
        """The options of each array that sbatch took, by its id."""
        arrays = {}
        for path in sorted((self.folder / "submitted").glob("*.sh")):
            options = [
                line[len("#SBATCH --") :] for line in path.read_text().splitlines() if line.startswith("#SBATCH")
            ]
            arrays[path.stem] = {
                key: value.strip("'") for key, _, value in (option.partition("=") for option in options)
            }
        return arrays

    def script(self, array: str) -> str:
        return (self.folder / "submitted" / f"{array}.sh").read_text()


def write_plan(out: Path, model: str, setting: str, seed: int, *sources: str, shared: str = "") -> str:
    """A run's plan, as much of it made up as submitting and watching do not look at; its folder's name.

    shared: the name of the model whose first stage this one uses.
    """
    (like,) = made_records.plan(model, seed, setting, "small", "tiny").stages
    stages: list[StagePlan] = []
    for position, source in enumerate(sources):
        trained = shared if shared and position == 0 else model
        after = stages[-1].key if stages else None
        own = {"model": trained, "class_name": trained, "code": trained, "data": source, "position": position}
        stages.append(like.model_copy(update={**own, "after": after}))
    plan = made_records.plan(model, seed, setting, "small", "tiny").model_copy(update={"stages": tuple(stages)})
    name = f"{model}-{setting}-s{seed}"
    write_json(out / "runs" / name / "run.json", plan.model_dump(mode="json"))
    return name


def stage_of(out: Path, run: str, position: int = 0) -> str:
    """The folder's name of a stage of a run that `write_plan` wrote."""
    return stage_folder_name(json.loads((out / "runs" / run / "run.json").read_text())["stages"][position])


def finish_stage(out: Path, stage: str) -> None:
    folder = stage_folder(out, stage)
    folder.mkdir(parents=True)
    (folder / SELECTED).touch()
    StageResult(
        key="k", dev_f1=[1.0], selected_epoch=1, selected_sha256="s", documents=3, mentions_cut=0
    ).write(folder)  # fmt: skip


def finish_run(out: Path, run: str, f1: float = 50.0) -> None:
    plan = RunFolder(out, run).plan()
    assert plan is not None
    record = made_records.record(plan, [[1, 2, 2, 0]])
    test = record.splits["test"]
    scored = test.model_copy(update={"scores": test.scores.model_copy(update={"f1": f1})})
    RunFolder(out, run).write_record(record.model_copy(update={"splits": {"test": scored}}))


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
