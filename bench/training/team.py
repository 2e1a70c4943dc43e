"""Several processes, a GPU each, that train a stage together under torch's DistributedDataParallel.

Nothing but speed, rounding and the draw of dropout depends on how many they are (`distributed.py`). One process leads.
It does what a process alone does: locks, checkpoints, log, evaluation, status. The others follow: they wait in
`Team.follow` to be told which stage to help with. They talk through a store that the leader keeps, so that neither a
long evaluation nor an error leaves anyone waiting in an operation that nobody will join; each stage has a process group
of its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from bench.data.batching import Batch
from bench.errors import BenchError
from bench.inference.document_model import BatchLosses, DocumentModel
from bench.runs.interrupt import Interrupt, Interrupted
from bench.training.failures import explain
from bench.training.network import interface_towards

LOOK_SECONDS = 0.01
"""Between two looks into the store of a process that waits."""
BEAT_SECONDS = 0.5
"""Between two signs of life."""
PATIENCE_SECONDS = 5.0
"""How long the leader waits for the others at the end of a stage: they may be in the middle of a step."""
START = timedelta(minutes=10)
"""Processes of one job do not start at the same moment: importing takes long on a busy file system."""
STUCK = timedelta(minutes=30)
"""An operation of all that one of them has not joined for so long is an error."""

LOST = 70
"""Exit status of a process that another one of its team has left alone."""

T = TypeVar("T")
Losses = Callable[[Batch], dict[str, Tensor]]


class PeerLostError(Exception):
    """Another process of the team is gone. What is on disk is intact, and can be gone on from."""


class DismissedError(Exception):
    """Raised in a process that follows when the leader has ended the stage."""


class Alone:
    """One process that trains a stage.

    leads: whether this process is the one that writes and evaluates.
    """

    leads = True

    def losses(self, system: DocumentModel, precision: str) -> Losses:
        """What gives the parts of a batch's loss; after `backward` the gradients are those of the whole batch."""
        return BatchLosses(system, precision)

    def stop_asked(self, interrupt: Interrupt) -> signal.Signals | None:
        """The signal that has come, to any of the processes. All get the same answer."""
        return interrupt.asked()

    def broadcast(self, work: Callable[[], T]) -> T:
        """What `work` gives (and JSON can hold), done by the process that leads."""
        return work()


@dataclass
class StageGroup:
    """The processes of a team while they train a stage."""

    team: Team
    stage: int
    _broadcasts: int = field(default=0, init=False)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and evaluates."""
        return self.team.rank == 0

    def losses(self, system: DocumentModel, precision: str) -> Losses:
        """What gives the parts of the loss of the whole batch, in every process (DistributedDataParallel)."""
        from torch.nn.parallel import DistributedDataParallel

        from bench.training.distributed import DividedLosses

        divided = DividedLosses(system, precision, self.team.rank, self.team.size)
        # Which parameters a batch leaves without gradient is looked for each time. So buckets keep their first layout
        # as well, and sums their order: a stage that was interrupted ends with the same bits.
        wrapped = DistributedDataParallel(divided, find_unused_parameters=True)
        parts: Losses = wrapped
        return parts

    def stop_asked(self, interrupt: Interrupt) -> signal.Signals | None:
        """The highest signal that has come to any, after the same step in all."""
        number = torch.tensor([int(interrupt.asked() or 0)])
        dist.all_reduce(number, dist.ReduceOp.MAX)
        if not number.item():
            return None
        interrupt.requested = signal.Signals(int(number.item()))
        return interrupt.requested

    def broadcast(self, work: Callable[[], T]) -> T:
        """The leader's result. If `work` raises, it does so in the leader, and ends the stage for the others.

        Raises BenchError in the leader where another has failed meanwhile.
        """
        key = f"{self.stage}/broadcast/{self._broadcasts}"
        self._broadcasts += 1
        if self.leads:
            self.team.raise_if_failed(self.stage)
            self.team.works_alone = True
            try:
                result = work()
            finally:
                self.team.works_alone = False
            self.team.raise_if_failed(self.stage)
            self.team.store.set(key, json.dumps(result))
            return result
        while not self.team.store.check([key]):
            self.team.raise_if_over(self.stage)
            time.sleep(LOOK_SECONDS)
        answer: T = json.loads(self.team.store.get(key))
        return answer


Group = Alone | StageGroup
"""The processes that train a stage, as its trainer sees them."""


class Team:
    """`size` processes that train stages together, this one being number `rank`; 0 leads.

    address, port: of the leader, which keeps the store.
    broken: whether a stage has left a process behind that can help with no other.   lost: whether one is gone.
    works_alone: whether the leader does what needs no other process just now.
    give_up: in the leader, is given why another has failed when nothing else ends what it waits in; ends the process.
    """

    def __init__(self, rank: int, size: int, address: str, port: int) -> None:
        self.rank, self.size = rank, size
        # By itself gloo takes the interface that this machine's name resolves to, if it resolves to anything.
        if interface := interface_towards(address):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        try:
            self.store = dist.TCPStore(address, port, size, is_master=rank == 0, timeout=START)
        except dist.DistError as error:
            raise PeerLostError(f"not all of the {size} processes that are to train together have started") from error
        self.broken = self.lost = self.works_alone = False
        self.give_up: Callable[[str], object] = _give_up
        self._stages = 0

    @contextmanager
    def stage(self, work: dict[str, Any]) -> Iterator[StageGroup]:
        """In the leader: a stage that all train together; `work` says to the others which.

        Raises PeerLostError when one of them is gone, and BenchError with what it said when it failed: within seconds,
        also where this process waits for it in an operation of all.
        """
        number, self._stages = self._stages, self._stages + 1
        self.store.set(f"{number}/work", json.dumps(work))
        cause: Exception | None = None
        try:
            if not self._heard(f"{number}/ready", START.total_seconds(), unless=f"{number}/failed"):
                self.lost = True
                raise PeerLostError(f"not all of the {self.size} processes that are to train this run have started")
            with self._process_group(number), self._freed_if_another_fails(number):
                try:
                    yield StageGroup(self, number)
                finally:
                    # Before the group is gone: who finds himself alone in it looks here for the reason.
                    self.store.set(f"{number}/over", "")
        except Exception as error:
            cause = error
            raise
        finally:
            self._end(number, cause)

    @contextmanager
    def _freed_if_another_fails(self, number: int) -> Iterator[None]:
        """See to it, from another thread, that this block ends soon after another process has failed."""
        left = threading.Event()
        watch = threading.Thread(target=self._free, args=(number, left), daemon=True)
        watch.start()
        try:
            yield
        finally:
            left.set()
            watch.join()  # it must not meet the store, or the group, of what comes next

    def _free(self, number: int, left: threading.Event) -> None:
        failed = [f"{number}/failed"]
        while self.works_alone or not self.store.check(failed):
            if left.wait(BEAT_SECONDS):
                return
        # The end of the process that failed ends an operation of gloo, and abort one of nccl.
        if left.wait(PATIENCE_SECONDS):
            return
        try:
            if torch.cuda.is_available():
                dist.distributed_c10d._abort_process_group()
        finally:
            if not left.wait(PATIENCE_SECONDS):
                self.give_up(self.store.get(*failed).decode())

    def _end(self, number: int, cause: Exception | None) -> None:
        """Hear from the others. What has ended the stage here, `cause`, may have happened there."""
        self.store.set(f"{number}/over", "")
        all_left = self._heard(f"{number}/left", PATIENCE_SECONDS)
        failed = self.store.check([f"{number}/failed"])
        self.broken = failed or not all_left
        if isinstance(cause, Interrupted | PeerLostError):
            return
        if failed:
            raise BenchError(self.store.get(f"{number}/failed").decode()) from cause
        if not all_left and not all(self._is_alive(rank) for rank in range(1, self.size)):
            self.lost = True
            raise PeerLostError(f"one of the {self.size} processes that train this run is gone") from cause

    def _is_alive(self, rank: int) -> bool:
        before, give_up = self.store.add(f"alive/{rank}", 0), time.monotonic() + PATIENCE_SECONDS
        while self.store.add(f"alive/{rank}", 0) == before:
            if time.monotonic() > give_up:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _heard(self, key: str, seconds: float, unless: str | None = None) -> bool:
        """Whether all others have counted themselves at `key`, within so many seconds (or `unless` was set)."""
        give_up = time.monotonic() + seconds
        while self.store.add(key, 0) < self.size - 1:
            if unless and self.store.check([unless]):
                raise BenchError(self.store.get(unless).decode())
            if time.monotonic() > give_up:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def follow(self, prepare: Callable[[dict[str, Any]], Callable[[Group], object]]) -> None:
        """In the others: help with every stage, until the leader needs nobody any more or it fails here.

        prepare: gives what is to be done for a stage when all are ready, from what the leader said of it.
        """
        threading.Thread(target=self._live, daemon=True).start()
        try:
            self._follow(prepare)
        finally:
            self.store.add("gone", 1)

    def _follow(self, prepare: Callable[[dict[str, Any]], Callable[[Group], object]]) -> None:
        while (work := self._next_work()) is not None:
            number = self._stages
            try:
                train = prepare(work)
                self.store.add(f"{number}/ready", 1)
                with self._process_group(number):
                    try:
                        train(StageGroup(self, number))
                    except Exception as error:
                        # Before the group is gone: leaving it may wait for the others, who wait for this process.
                        self._fail_unless_over(number, error)
            except Exception as error:
                self._fail_unless_over(number, error)
            self._stages += 1
            self.store.add(f"{number}/left", 1)

    def _fail_unless_over(self, number: int, error: Exception) -> None:
        """Tell the leader of an error and end this process, which ends what the others wait for.

        An operation that another has left ends in an error as well, here and in the leader: then the stage is over.
        """
        if isinstance(error, Interrupted | DismissedError):
            return  # the leader knows: all have agreed on it, or it was the leader's decision
        if self._is_over_soon(number):
            return
        traceback.print_exc()
        self.store.set(f"{number}/failed", f"process {self.rank + 1} of {self.size}: {explain(error)}")
        self.store.add("gone", 1)
        sys.stdout.flush()
        # At once: the end of an interpreter may wait for threads of a model, or of an operation nobody joins.
        os._exit(0)

    def _is_over_soon(self, number: int) -> bool:
        give_up = time.monotonic() + 4 * BEAT_SECONDS
        while not self.store.check([f"{number}/over"]):
            if time.monotonic() > give_up:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def _live(self) -> None:
        """Show the leader that this process lives, and end it if it cannot leave a stage that is over.

        An operation that others have left goes on waiting for them: nothing but the end of a process ends it.
        """
        stuck_in, since = -1, 0.0
        with suppress(dist.DistError):  # the leader is gone, and the operation with it
            while True:
                self.store.add(f"alive/{self.rank}", 1)
                number = self._stages
                if not self.store.check([f"{number}/over"]):
                    stuck_in = -1
                elif stuck_in != number:
                    stuck_in, since = number, time.monotonic()
                elif time.monotonic() - since > 2 * PATIENCE_SECONDS:  # the leader has seen by now that it lives
                    self.store.add("gone", 1)
                    os._exit(0)
                time.sleep(BEAT_SECONDS)

    def _next_work(self) -> dict[str, Any] | None:
        while not self.store.check([f"{self._stages}/work"]):
            if self.store.check(["dismissed"]):
                return None
            time.sleep(LOOK_SECONDS)
        work: dict[str, Any] = json.loads(self.store.get(f"{self._stages}/work"))
        return work

    def raise_if_over(self, number: int) -> None:
        """Raise DismissedError when the leader has ended the stage."""
        if self.store.check([f"{number}/over"]):
            raise DismissedError

    def raise_if_failed(self, number: int) -> None:
        """In the leader: raise BenchError with what another process has failed of."""
        if self.store.check([f"{number}/failed"]):
            raise BenchError(self.store.get(f"{number}/failed").decode())

    def dismiss(self) -> None:
        """In the leader, at the end: the others may go. Waits until they do, so that none misses the store."""
        self.store.set("dismissed", "")
        if not self.lost:
            self._heard("gone", 4 * PATIENCE_SECONDS)

    @contextmanager
    def _process_group(self, number: int) -> Iterator[None]:
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store = dist.PrefixStore(f"{number}/group", self.store)
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=STUCK)
        try:
            yield
        finally:
            if dist.is_initialized():  # not aborted
                dist.destroy_process_group()


def _give_up(reason: str) -> None:
    print(f"bench: {reason}", file=sys.stderr, flush=True)
    os._exit(LOST)


@contextmanager
def joined(rank: int, size: int, port: int, address: str = "127.0.0.1") -> Iterator[Team | None]:
    """The team of this process, while it has work; None where it is alone. The leader lets the others go at the end.

    Raises PeerLostError when the store of the leader is gone, or the others do not come.
    """
    if size == 1:
        yield None
        return
    team = Team(rank, size, address, port)
    try:
        yield team
    except dist.DistError as error:
        raise PeerLostError(
            f"process {rank + 1} of {size} that train together: the others are gone ({error})"
        ) from error
    finally:
        if rank == 0:
            team.dismiss()
