"""`--wait`: showing runs of the cluster until each has come to an end. The jobs need nobody to wait for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.display import RunDisplay
from bench.outline import RunOutline
from bench.progress import SETTLED, RunState, observe

LOOK_SECONDS = 2.0
"""Between two questions to SLURM."""
TRIES = 5
"""How often a run whose job vanished without a word is submitted again."""


def wait_for(
    runs: Sequence[RunOutline], out: Path, display: RunDisplay, submit_again: Callable[[list[RunOutline]], object]
) -> None:
    """Until every run is done or will not be. A job that was killed with its whole batch script is submitted again."""
    by_name = {run.folder: run for run in runs}
    tries: Counter[str] = Counter()
    lost_before: set[str] = set()
    with display:
        while True:
            observed = observe(out)
            states = [state for state in observed.states if state.run in by_name]
            for state in states:
                display.show(state)
            lost = {state.run for state in states if state.state == "interrupted" and tries[state.run] < TRIES}
            # Seen twice: accounting may tell of a job's end before the queue tells that it starts again.
            again = lost & lost_before if not observed.trouble else set()
            if again:
                display.say(f"{len(again)} jobs were lost and are submitted again")
                submit_again([by_name[name] for name in sorted(again)])
                tries.update(again)
            elif not lost and all(_is_settled(state) for state in states):
                return
            lost_before = lost - again
            time.sleep(LOOK_SECONDS)


def _is_settled(state: RunState) -> bool:
    return state.state in SETTLED
