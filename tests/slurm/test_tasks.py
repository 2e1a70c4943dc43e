from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.runs.outline import RunOutline, StageOutline
from bench.slurm import tasks as tasks_module
from bench.slurm.profiles import Resources, make_profile
from bench.slurm.queue import ArrayIndex
from bench.slurm.tasks import Array, Task, finishing_stages, task_of_run, task_of_stage, tasks_of


def outline(name: str, *stages: str) -> RunOutline:
    """A run whose stages are called `human...`, `distant...` or `ext...` by the data they train on."""
    sources = ("human", "distant", "ext")
    outlines = tuple(StageOutline(stage, next(s for s in sources if stage.startswith(s))) for stage in stages)
    return RunOutline(name, "m", "", "d", "human", "tiny", 0, outlines)


def tasks(*runs: RunOutline, done_runs=(), done_stages=()) -> list[Task]:
    return tasks_of(runs, finishing_stages(runs), set(done_runs).__contains__, set(done_stages).__contains__)


def arrays_of(wanted, queued, array_size, resources_of=lambda task: Resources()) -> list[Array]:
    return tasks_module.arrays_of(wanted, queued, array_size, resources_of)


def test_a_runs_last_stage_and_its_evaluation_are_one_job_and_the_one_before_another():
    jobs = tasks(outline("a", "distant-1", "human-1"))
    assert jobs == [
        Task("a", "distant-1", False, "distant", None),
        Task("a", "human-1", True, "human", task_of_stage("distant-1")),
    ]


def test_a_stage_that_several_runs_share_is_one_job():
    jobs = tasks(outline("a", "distant-1", "human-1"), outline("b", "distant-1", "human-2"))
    assert [task.key for task in jobs] == [task_of_stage("distant-1"), task_of_run("a"), task_of_run("b")]
    assert {task.needs for task in jobs[1:]} == {task_of_stage("distant-1")}


def test_a_run_that_ends_in_a_stage_others_build_on_is_evaluated_by_itself():
    jobs = tasks(outline("a", "distant-1"), outline("b", "distant-1", "human-1"))
    assert Task("a", None, True, "evaluation", task_of_stage("distant-1")) in jobs
    assert Task("b", "human-1", True, "human", task_of_stage("distant-1")) in jobs


def test_what_is_done_is_no_job_and_nobody_waits_for_it():
    runs = (outline("a", "distant-1", "human-1"), outline("b", "distant-2", "human-2"), outline("c", "human-3"))
    jobs = tasks(*runs, done_runs=["b"], done_stages=["distant-1", "human-3"])
    assert jobs == [Task("a", "human-1", True, "human", None), Task("c", None, True, "evaluation", None)]


def test_each_task_of_an_array_waits_for_the_one_of_its_index():
    runs = [outline(str(seed), f"distant-{seed}", f"human-{seed}") for seed in range(3)]
    first, second = arrays_of(tasks(*runs), {}, 1000)
    assert (first.section, first.after, second.section, second.after) == ("distant", None, "human", first)
    for index, (task,) in second.tasks.items():
        assert first.tasks[index][0].key == task.needs


def test_two_that_wait_for_the_same_job_are_in_two_arrays():
    runs = [outline(name, "distant-1", f"human-{name}") for name in "ab"]
    first, second, third = arrays_of(tasks(*runs), {}, 1000)
    assert second.after is first
    assert third.after is first
    assert list(second.tasks) == list(third.tasks) == [0]


def test_a_task_can_wait_for_a_job_that_is_in_the_queue_already():
    queued = {task_of_stage("distant-1"): ArrayIndex("77", 4)}
    (array,) = arrays_of(tasks(outline("a", "distant-1", "human-1"))[1:], queued, 1000)
    assert (array.after, list(array.tasks)) == ("77", [4])


def test_arrays_are_as_long_as_the_cluster_takes_and_no_longer():
    arrays = arrays_of(tasks(*(outline(str(i), f"human-{i}") for i in range(5))), {}, 2)
    assert [len(array.tasks) for array in arrays] == [2, 2, 1]


def test_tasks_that_ask_for_different_resources_are_in_different_arrays():
    profile = make_profile("p", {"models": {"ttmre": {"memory": "96GB"}}}, "here")
    runs = [outline(f"{model}-{seed}", f"human-{model}-{seed}") for model in ("ttmre", "atlop") for seed in range(2)]
    arrays = arrays_of(tasks(*runs), {}, 1000, lambda task: profile.resources(task.section, task.run.partition("-")[0]))
    assert [
        (array.resources.memory >> 10, [task.run for pack in array.tasks.values() for task in pack]) for array in arrays
    ] == [
        (96, ["ttmre-0", "ttmre-1"]),
        (32, ["atlop-0", "atlop-1"]),
    ]


def sharing(runs: int) -> Resources:
    return Resources(runs_per_gpu=runs)


def packs(*runs: RunOutline, size: int, array_size: int = 1000, queued=None, **done):
    """Of each array the runs of its jobs, by index."""
    arrays = arrays_of(tasks(*runs, **done), queued or {}, array_size, lambda task: sharing(size))
    return [{index: [task.run for task in pack] for index, pack in array.tasks.items()} for array in arrays]


def test_runs_that_share_a_gpu_are_one_job_in_the_order_of_their_seeds():
    runs = [outline(str(i), f"human-{i}") for i in range(7)]
    assert packs(*runs, size=3) == [{0: ["0", "1", "2"], 1: ["3", "4", "5"], 2: ["6"]}]
    assert packs(*runs, size=3, array_size=2) == [{0: ["0", "1", "2"], 1: ["3", "4", "5"]}, {0: ["6"]}]


def test_what_builds_on_tasks_of_one_job_is_one_job_after_it():
    runs = [outline(str(i), f"distant-{i}", f"human-{i}") for i in range(5)]
    assert packs(*runs, size=3) == [{0: ["0", "1", "2"], 1: ["3", "4"]}] * 2


def test_more_than_fit_after_one_job_are_in_several_arrays():
    runs = [outline(str(i), "distant-1", f"human-{i}") for i in range(5)]
    assert packs(*runs, size=2) == [{0: ["0"]}, {0: ["0", "1"]}, {0: ["2", "3"]}, {0: ["4"]}]


def test_a_job_is_as_many_runs_as_its_kind_allows():
    runs = [outline(str(i), f"distant-{i}", f"human-{i}") for i in range(4)]
    size = {"distant": 4, "human": 2}
    first, *others = arrays_of(tasks(*runs), {}, 1000, lambda task: sharing(size[task.section]))
    assert [len(pack) for pack in first.tasks.values()] == [4]
    assert [{index: len(pack) for index, pack in array.tasks.items()} for array in others] == [{0: 2}, {0: 2}]


def test_tasks_that_wait_for_members_of_one_queued_job_are_a_job():
    queued = {task_of_stage(f"distant-{i}"): ArrayIndex("77", 4) for i in range(2)}
    wanted = [task for task in tasks(*(outline(str(i), f"distant-{i}", f"human-{i}") for i in range(2))) if task.needs]
    (array,) = arrays_of(wanted, queued, 1000, lambda task: sharing(5))
    assert (array.after, {index: len(pack) for index, pack in array.tasks.items()}) == ("77", {4: 2})


names = st.sampled_from(["distant-1", "distant-2", "ext-1", "human-1", "human-2"])
chains = st.lists(st.lists(names, min_size=1, max_size=4, unique=True), min_size=1, max_size=8)


@given(chains, st.integers(1, 4), st.integers(1, 3), st.sets(names))
def test_every_task_is_in_one_job_after_the_one_it_needs(stages, array_size, size, done):
    # A stage has one predecessor wherever it occurs: it is part of its key.
    runs = []
    for number, chain in enumerate(stages):
        runs.append(outline(str(number), *("+".join([chain[i], *chain[:i]]) for i in range(len(chain)))))
    wanted = tasks(*runs, done_stages=done)
    arrays = arrays_of(wanted, {}, array_size, lambda task: sharing(size))
    places = {t.key: (array, index) for array in arrays for index, pack in array.tasks.items() for t in pack}
    assert len(places) == sum(array.number_of_tasks for array in arrays) == len(wanted)
    seen: list[Array] = []
    for array in arrays:
        assert array.after is None or array.after in seen
        seen.append(array)
        assert len(array.tasks) <= array_size
        for index, pack in array.tasks.items():
            assert 1 <= len(pack) <= size
            for task in pack:
                assert (task.needs is None) == (array.after is None)
                assert task.section == array.section
                if task.needs is not None:
                    assert places[task.needs] == (array.after, index)
