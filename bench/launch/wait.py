"""`--wait`: showing runs of the cluster until each has come to an end. The jobs need nobody to wait for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import BenchError, plural
from bench.launch.display import RunDisplay
from bench.launch.status import RunView, observe
from bench.runs.outline import RunOutline
from bench.runs.status import SETTLED

LOOK_SECONDS = 2.0
"""Between two questions to SLURM."""
TRIES = 5
"""How often a run whose job vanished without a word is submitted again."""


def wait_for(
    runs: Sequence[RunOutline], out: Path, display: RunDisplay, submit_again: Callable[[list[RunOutline]], object]
) -> list[RunView]:
    """Show `runs` until each is done or will not be; how they ended. One whose job was lost is submitted again."""
    by_name = {run.folder: run for run in runs}
    tries: Counter[str] = Counter()
    lost_before: set[str] = set()
    with display:
        while True:
            observed = observe(out)
            views = [view for view in observed.runs if view.run in by_name]
            if observed.answered:
                for view in views:
                    display.show(view)
                lost = {view.run for view in views if view.state == "interrupted" and tries[view.run] < TRIES}
                if not lost and all(view.state in SETTLED for view in views):
                    return views
                # Seen twice: a job that has just been requeued may be missing for a moment.
                again = lost & lost_before
                if again:
                    were, are = ("was", "is") if len(again) == 1 else ("were", "are")
                    display.say(f"{plural(len(again), 'job')} {were} lost and {are} submitted again")
                    tries.update(again)
                    try:
                        submit_again([by_name[name] for name in sorted(again)])
                    except BenchError as error:  # the next look finds out what is still missing
                        display.say(str(error))
                lost_before = lost - again
            pause()


def pause() -> None:
    """Pause between two questions to SLURM."""
    time.sleep(LOOK_SECONDS)
