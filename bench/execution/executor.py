"""Carrying out planned runs in this process. Several processes may work on one output folder: locks divide the work."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from bench.errors import NewerVersionError
from bench.execution.context import POLL_SECONDS, Context, Listener
from bench.execution.evaluate import evaluate_run
from bench.execution.inputs import check_unchanged
from bench.execution.stages import complete_stage, help_with_stage
from bench.runs.interrupt import Interrupt, Interrupted
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder
from bench.training.failures import explain
from bench.training.team import Group, PeerLostError, Team

Outcome = Literal["closed", "busy", "failed"]
"""What became of an attempt at a run; busy: another process is at it, or at a stage of it.

closed: nothing is left to do for it here. It is done, or a newer version of the program has made it or a stage of it.
"""


class Executor:
    """Carries out runs one after another, keeping what they share in memory.

    team: the processes that train with this one, of which it is the leader (or, for `help_with`, another).
    """

    def __init__(
        self,
        out: Path,
        interrupt: Interrupt,
        listener: Listener,
        checkpoint_seconds: float = 60.0,
        team: Team | None = None,
    ) -> None:
        self.context = Context(out, interrupt, listener, checkpoint_seconds, team)

    def execute(self, plans: Sequence[RunPlan], until: str | None = None) -> list[RunPlan]:
        """Do every run that nobody has done; the ones that failed. Raises `Interrupted`, or PeerLostError.

        What a newer version of the program has made is left as it is.

        until: the folder of a stage after which to stop, without evaluating.
        A failure that breaks the team is the last thing it does.
        A run or stage that another process is at is put off, and looked at again when there is nothing else to do.
        """
        team = self.context.team
        waiting, failed = list(plans), []
        while waiting:
            postponed = []
            for plan in waiting:
                self.context.interrupt.check()
                outcome = self._attempt(plan, until)
                if outcome == "busy":
                    postponed.append(plan)
                elif outcome == "failed":
                    failed.append(plan)
                    if team and team.broken:
                        return failed
            if len(postponed) == len(waiting):
                time.sleep(POLL_SECONDS)
            waiting = postponed
        return failed

    def help_with(self, work: dict[str, Any]) -> Callable[[Group], object]:
        """In a process that does not lead its team: the stage the leader is at, ready to be trained (`Team.follow`)."""
        return help_with_stage(self.context, work)

    def _attempt(self, plan: RunPlan, until: str | None) -> Outcome:
        folder = RunFolder.of(self.context.out, plan)
        if folder.verdict().is_closed:
            return "closed"
        try:
            with FileLock(folder.path / "lock", blocking=False):
                if not folder.verdict().is_closed:  # by another process since
                    self._run(plan, folder, until)
                return "closed"
        except Timeout:
            return "busy"
        except NewerVersionError:
            return "closed"
        except (Interrupted, PeerLostError):
            self.context.report(folder, state="interrupted")
            raise
        # SystemExit: a model that calls sys.exit has failed, it does not end the command.
        except (Exception, SystemExit) as error:
            message = explain(error)
            try:
                folder.write_error(message, traceback.format_exc())
                self.context.report(folder, state="failed", error=message)
            except OSError as unwritable:  # a full disk takes no error either
                print(f"bench: {folder.name}: {message}\n(not written down: {unwritable})", file=sys.stderr, flush=True)
            return "failed"

    def _run(self, plan: RunPlan, folder: RunFolder, until: str | None) -> None:
        context = self.context
        folder.clear_error()
        began = time.monotonic()
        with context.accounted(folder.path):
            check_unchanged(plan, context.inputs(plan))
            stages = []
            for stage in plan.stages:
                stages.append(complete_stage(context, plan, stage))
                if stage.folder == until:
                    return
            record = evaluate_run(context, plan, stages)
        folder.write_record(record)
        context.report(folder, state="done", result=record.headline, seconds=time.monotonic() - began)
