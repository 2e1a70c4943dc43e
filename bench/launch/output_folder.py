"""What an output folder knows of its runs: their plans, what of them is done, and whether a process is at them.

Nothing here needs the process that started the runs, or its machine.
"""

from __future__ import annotations

from pathlib import Path

from bench.locks import held
from bench.runs.outline import RunOutline, outlines
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import newer_stage, stage_folder, stage_is_done
from bench.slurm.tasks import finishing_stages


class OutputFolder:
    """The files of an output folder. What several runs share is read once, however many runs ask for it.

    runs: every run that was planned, by name; of one whose plan is unreadable, the name alone.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.runs: list[RunOutline | str] = list(outlines(out))
        self._finishing = finishing_stages([run for run in self.runs if isinstance(run, RunOutline)])
        self._stages_done: dict[str, bool] = {}
        self._newer_stages: dict[str, str] = {}

    def run(self, name: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.out, name)

    def is_locked(self, run: str) -> bool:
        """Whether a process is at the run: its lock is held as long as it lives."""
        return held(self.run(run).path / "lock") is not None

    def missing_shared_stage(self, run: RunOutline) -> str | None:
        """The first stage a run lacks, if it is a job of its own: one that several runs share, or others build on.

        The name of the stage's folder; None where nothing is missing, or what is missing is part of the job that
        finishes the run.
        """
        for stage in run.stages:
            if not self._is_done(stage.folder) and stage.folder not in self._finishing:
                return stage.folder
        return None

    def newer_stage(self, run: RunOutline) -> str:
        """What of the stages of a run only a newer version of the program can read, in words; empty for none."""
        return next((why for stage in run.stages if (why := self._newer(stage.folder))), "")

    def _newer(self, stage: str) -> str:
        if stage not in self._newer_stages:
            self._newer_stages[stage] = newer_stage(stage_folder(self.out, stage))
        return self._newer_stages[stage]

    def _is_done(self, stage: str) -> bool:
        if stage not in self._stages_done:
            self._stages_done[stage] = stage_is_done(stage_folder(self.out, stage))
        return self._stages_done[stage]
