"""From runs to jobs: what each job does, and which job it has to wait for.

The jobs of one layer of the plan that ask for the same resources form an array. A job of the next layer has the index
of the one it waits for, so that SLURM's `aftercorr` lets it start when that one is done, and not when all are. A job is
one task, or where several runs share a GPU a pack of them: then what builds on tasks of one pack is a pack again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from bench.runs.outline import RunOutline, StageOutline
from bench.slurm.profiles import Profile, Resources, Section
from bench.slurm.queue import ArrayIndex


@dataclass(frozen=True)
class Task:
    """What a process does: train `stage` for `run`, and if it `finishes` the run, evaluate it as well.

    stage: None where others share the run's last stage, which is then a task of its own.
    needs: the key of the task that has to be done before.
    """

    run: str
    stage: str | None
    finishes: bool
    section: Section
    needs: str | None = None

    @property
    def key(self) -> str:
        """The name of what this task produces and no other does: a stage, or where it finishes a run, a record."""
        return task_of_run(self.run) if self.finishes else task_of_stage(self.stage or "")

    @property
    def needed_stage(self) -> str | None:
        """The stage that has to be trained before, if one has."""
        return self.needs.removeprefix(task_of_stage("")) if self.needs else None

    @property
    def file_name(self) -> str:
        """What a JSON file about the task is called."""
        return f"{self.key.replace('/', '-')}.json"


def task_of_run(run: str) -> str:
    """The key of the task that finishes a run."""
    return f"runs/{run}"


def task_of_stage(stage: str) -> str:
    """The key of the task that trains a stage which several runs share, or others build on."""
    return f"stages/{stage}"


def tasks_of(
    runs: Iterable[RunOutline],
    with_own_stage: Set[str],
    run_is_done: Callable[[str], bool],
    stage_is_done: Callable[[str], bool],
) -> list[Task]:
    """What is missing of `runs`, each thing once, in an order in which a task comes after the one it needs.

    with_own_stage: the `finishing_stages` of all runs of the folder, of which these may be a part.
    """
    tasks: dict[str, Task] = {}
    for run in runs:
        if run_is_done(run.folder):
            continue
        needs: str | None = None
        for stage in run.stages:
            if stage_is_done(stage.folder):
                needs = None
            elif stage.folder not in with_own_stage:
                task = Task(run.folder, stage.folder, False, _section(stage), needs)
                needs = tasks.setdefault(task.key, task).key
        last = run.stages[-1]
        if last.folder in with_own_stage and not stage_is_done(last.folder):
            task = Task(run.folder, last.folder, True, _section(last), needs)
        else:
            task = Task(run.folder, None, True, "evaluation", needs)
        tasks[task.key] = task
    return list(tasks.values())


def finishing_stages(runs: Collection[RunOutline]) -> set[str]:
    """The stages that belong to one run alone, as its last: a run that only evaluates need not wait for another's."""
    count = Counter(stage.folder for run in runs for stage in run.stages)
    return {run.stages[-1].folder for run in runs if run.stages and count[run.stages[-1].folder] == 1}


def _section(stage: StageOutline) -> Section:
    return stage.data  # type: ignore[return-value]  # a stage's data source, or run.json would not have been read


def resources_in(profile: Profile, runs: Iterable[RunOutline]) -> Callable[[Task], Resources]:
    """What the job of each task of these runs asks for."""
    models = {run.folder: run.model for run in runs}
    return lambda task: profile.resources(task.section, models[task.run])


@dataclass(eq=False)
class Array:
    """A job array to submit: the tasks of each index, one or a pack.

    after: the array whose job of the same index each of them waits for: one of these, or the id of one in the queue.
    """

    section: Section
    resources: Resources
    after: Array | str | None
    tasks: dict[int, list[Task]] = field(default_factory=dict)
    job: str | None = None

    @property
    def number_of_tasks(self) -> int:
        """How many tasks all of its jobs have together."""
        return sum(map(len, self.tasks.values()))


def arrays_of(
    tasks: Sequence[Task],
    queued: Mapping[str, ArrayIndex],
    array_size: int,
    resources_of: Callable[[Task], Resources],
) -> list[Array]:
    """The arrays of `tasks`, each after the one it waits for.

    queued: where tasks are that are in the queue already, by the task's key.   resources_of: what its job asks for. As
    many tasks as share a GPU are one job; they come together in the order they have, so that seeds of one
    configuration do.
    """
    arrays: list[Array] = []
    positions: dict[str, tuple[Array | str, int]] = {key: (job.array, job.index) for key, job in queued.items()}
    for task in tasks:
        resources = resources_of(task)
        after, index = positions[task.needs] if task.needs is not None else (None, None)
        room = resources.runs_per_gpu
        asked = (task.section, resources, after)
        alike = (array for array in arrays if (array.section, array.resources, array.after) == asked)
        # What shares a predecessor, or a pack of them, may find its index full: it goes to another array.
        array = next((array for array in alike if _has_room(array, index, array_size, room)), None)
        if array is None:
            array = Array(task.section, resources, after)
            arrays.append(array)
        if index is None:
            index = len(array.tasks) - 1 if _last_has_room(array, room) else len(array.tasks)
        array.tasks.setdefault(index, []).append(task)
        positions[task.key] = (array, index)
    return list(_in_order(arrays))


def _has_room(array: Array, index: int | None, array_size: int, room: int) -> bool:
    if index is None:
        return len(array.tasks) < array_size or _last_has_room(array, room)
    return len(array.tasks.get(index, ())) < room


def _last_has_room(array: Array, room: int) -> bool:
    return bool(array.tasks) and len(array.tasks[len(array.tasks) - 1]) < room


def _in_order(arrays: list[Array]) -> Iterator[Array]:
    """Layer by layer: an array comes after the one it waits for."""

    def depth(array: Array) -> int:
        return 1 + depth(array.after) if isinstance(array.after, Array) else 0

    yield from sorted(arrays, key=depth)
