"""`--wait`: showing runs of the cluster until each has come to an end. The jobs need nobody to wait for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.launch.display import RunDisplay
from bench.launch.status import SETTLED, RunState, observe
from bench.runs.outline import RunOutline

LOOK_SECONDS = 2.0
"""Between two questions to SLURM."""
TRIES = 5
"""How often a run whose job vanished without a word is submitted again."""


def wait_for(
    runs: Sequence[RunOutline], out: Path, display: RunDisplay, submit_again: Callable[[list[RunOutline]], object]
) -> list[RunState]:
    """Until every run is done or will not be; their states. A run whose job was lost is submitted again."""
    by_name = {run.folder: run for run in runs}
    tries: Counter[str] = Counter()
    lost_before: set[str] = set()
    with display:
        while True:
            observed = observe(out)
            states = [state for state in observed.states if state.run in by_name]
            if observed.answered:
                for state in states:
                    display.show(state)
                lost = {state.run for state in states if state.state == "interrupted" and tries[state.run] < TRIES}
                if not lost and all(state.state in SETTLED for state in states):
                    return states
                # Seen twice: a job that has just been requeued may be missing for a moment.
                again = lost & lost_before
                if again:
                    display.say(f"{len(again)} jobs were lost and are submitted again")
                    tries.update(again)
                    try:
                        submit_again([by_name[name] for name in sorted(again)])
                    except BenchError as error:  # the next look finds out what is still missing
                        display.say(str(error))
                lost_before = lost - again
            pause()


def pause() -> None:
    """Between two looks."""
    time.sleep(LOOK_SECONDS)
