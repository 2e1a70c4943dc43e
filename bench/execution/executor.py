"""Carrying out planned runs in this process. Several processes may work on one output folder: locks divide the work."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bench.errors import BenchError, NewerVersionError
from bench.execution.context import POLL_SECONDS, Context, Listener
from bench.execution.counting import counted_run
from bench.execution.evaluate import evaluate_run
from bench.execution.inputs import check_unchanged
from bench.execution.stages import complete_stage, help_with_stage
from bench.locks import Announcer, LockHeldError, LostLockError
from bench.processes import give_back_memory
from bench.runs.interrupt import Interrupt, Interrupted
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder
from bench.training.failures import explain
from bench.training.team import Group, PeerLostError, Team

Outcome = Literal["carried out", "closed", "failed"] | LockHeldError
"""What became of an attempt at a run; LockHeldError: another process is at it, or at something that it needs.

closed: there was nothing to do for it here. It is done, or a newer version of the program has made it or a stage of it.
"""


class Executor:
    """Carries out runs one after another, keeping what they share in memory.

    team: the processes that train with this one, of which it is the leader (or, for `help_with`, another).
    wait_for_locks: at most so many seconds with nothing else to do for runs that other processes are at; None for as
    long as it takes.   siblings: the process whose workers share the runs, and need not be told of each other.
    track: the trackers that are told of the runs.
    """

    def __init__(
        self,
        out: Path,
        interrupt: Interrupt,
        listener: Listener,
        checkpoint_seconds: float = 60.0,
        team: Team | None = None,
        wait_for_locks: float | None = None,
        siblings: int | None = None,
        track: Sequence[str] = (),
    ) -> None:
        self.context = Context(out, interrupt, listener, checkpoint_seconds, team, wait_for_locks, siblings, track)
        self.clock = time.monotonic
        self.began = time.time()

    def execute(self, plans: Sequence[RunPlan], until: str | None = None) -> list[RunPlan]:
        """Do every run that nobody has done; those that failed, are cancelled or held.

        Raises `Interrupted`, or PeerLostError. What a newer version of the program has made is left as it is.

        until: the folder of a stage after which to stop, without evaluating.
        A failure that breaks the team is the last thing it does.
        A run or stage that another process is at is put off, and looked at again when there is nothing else to do.
        """
        team = self.context.team
        announcer = Announcer(self.context.siblings, self.clock)
        waiting, failed = list(plans), []
        idle_since = None
        while waiting:
            postponed: list[tuple[RunPlan, LockHeldError]] = []
            for number, plan in enumerate(waiting):
                self.context.interrupt.check()
                outcome = self._attempt(plan, until)
                if isinstance(outcome, LockHeldError):
                    announcer.waits_for(outcome)
                    postponed.append((plan, outcome))
                    continue
                if outcome == "failed":
                    failed.append(plan)
                    if team and team.broken:
                        return failed
                self.context.keep_inputs([*waiting[number + 1 :], *(plan for plan, _ in postponed)])
                if outcome != "closed":
                    give_back_memory()
            if len(postponed) < len(waiting):
                idle_since = None
            else:
                idle_since = self.clock() if idle_since is None else idle_since
                if self._has_waited_enough(idle_since, (error for _, error in postponed)):
                    for plan, error in postponed:
                        print(f"bench: {plan.folder} is left out: {error}", file=sys.stderr, flush=True)
                    return failed + waiting
                self.context.sleep(POLL_SECONDS)
            waiting = [plan for plan, _ in postponed]
        return failed

    def help_with(self, work: dict[str, Any]) -> Callable[[Group], object]:
        """In a process that does not lead its team: the stage the leader is at, ready to be trained (`Team.follow`)."""
        return help_with_stage(self.context, work)

    def _has_waited_enough(self, since: float, held: Iterable[LockHeldError]) -> bool:
        """Whether to give up what others are at. Not while a process of the same command is: it will be done."""
        at_most = self.context.wait_for_locks
        if at_most is None or any(error.is_by_child_of(self.context.siblings) for error in held):
            return False
        return self.clock() - since >= at_most

    def _attempt(self, plan: RunPlan, until: str | None) -> Outcome:
        folder = RunFolder.of(self.context.out, plan)
        if folder.verdict().is_closed:
            return "closed"
        if folder.is_cancelled(self.began):
            return "failed"
        try:
            with self.context.interrupt.guarding(folder.path / "lock"):
                if self.context.team:
                    self.context.team.give_up = partial(self._give_up, folder)
                if folder.verdict().is_closed:  # by another process since
                    return "closed"
                self._run(plan, folder, until)
                return "carried out"
        except LockHeldError as held:
            return held
        except LostLockError as lost:  # while this process was stopped, or cut off
            return LockHeldError(Path(str(lost)), None)
        except NewerVersionError:
            return "closed"
        except (Interrupted, PeerLostError):
            self.context.report(folder, state="interrupted")
            if self.context.team is None and folder.is_cancelled(self.began):
                self.context.interrupt.requested = None  # it was meant for this run: the others go on
                return "failed"
            raise
        # SystemExit: a model that calls sys.exit has failed, it does not end the command.
        except (Exception, SystemExit) as error:
            self._note_failure(folder, explain(error), traceback.format_exc())
            return "failed"

    def _note_failure(self, folder: RunFolder, message: str, trace: str) -> None:
        try:
            folder.write_error(message, trace)
        except OSError as unwritable:  # a full disk takes no error either
            print(f"bench: {folder.name}: {message}\n(not written down: {unwritable})", file=sys.stderr, flush=True)
        self.context.report(folder, state="failed", error=message)

    def _give_up(self, folder: RunFolder, reason: str) -> None:
        """End this process, which waits in an operation for one that has failed: nothing else ends that."""
        self._note_failure(folder, reason, "")
        os._exit(BenchError.exit_status)

    def _run(self, plan: RunPlan, folder: RunFolder, until: str | None) -> None:
        context = self.context
        folder.clear_error()
        began = time.monotonic()
        # Before it is accounted for: that a process looks at what another may be at is no execution.
        context.report(folder, state="running", stage=plan.stages[0].data, doing="opening data and encoder")
        with context.accounted(folder.path), context.tracking.run(plan):
            if plan.stages[-1].is_counted:
                record = counted_run(context, plan)
            else:
                inputs = context.inputs(plan)
                check_unchanged(plan, inputs.dataset, inputs.source.fingerprint)
                stages = []
                for stage in plan.stages:
                    stages.append(complete_stage(context, plan, stage))
                    if stage.folder == until:
                        return
                record = evaluate_run(context, plan, stages)
            context.tracking.scores(record)
        folder.write_record(record)
        context.report(folder, state="done", result=record.headline, seconds=time.monotonic() - began)
