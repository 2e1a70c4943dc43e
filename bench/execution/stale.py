"""Runs that nobody will add to any more: `bench run` would plan them otherwise today, as runs of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from bench.data.catalog.dataset import Dataset, open_dataset
from bench.errors import BenchError, UsageError
from bench.inference.changed_code import changed_code, changed_inference
from bench.inference.trust import INSTALLED_ONLY
from bench.runs.plan import HARNESS_VERSION, METRIC_VERSION, RunPlan
from bench.runs.run_folder import run_folders


def stale_runs(out: Path) -> dict[str, str]:
    """Why each stale run in `out` is, by the name of its folder.

    A run is stale where the version of the harness or of the metric, the code of its model, loss or inference, or its
    data are not what it was planned with. A data set that is not here, and code that the folder names and nobody has
    said may be run, tell nothing. Neither does an encoder, which would have to be read.
    """
    opened = cache(_opened)
    found = {}
    for folder in run_folders(out):
        plan = folder.plan()
        if plan is not None and (reasons := list(_reasons(plan, folder.path, opened(plan.dataset)))):
            found[folder.name] = f"stale: {'; '.join(reasons)}"
    return found


def _opened(name: str) -> Dataset | None:
    try:
        return open_dataset(name)
    except UsageError:
        return None


def _reasons(plan: RunPlan, folder: Path, dataset: Dataset | None) -> Iterator[str]:
    if plan.last is not None and plan.last.harness < HARNESS_VERSION:
        yield f"version {plan.last.harness} of the harness, today's is {HARNESS_VERSION}"
    if plan.metric < METRIC_VERSION:
        yield f"version {plan.metric} of the metric, today's is {METRIC_VERSION}"
    if dataset is not None:
        changed = sorted(
            {split for split, checksum in _planned(plan) if _is_other(partial(dataset.checksum, split), checksum)}
        )
        if changed:
            yield f"other documents now: {', '.join(changed)}"
        if dataset.relations != plan.relations:
            yield "other relations now"
        of_facts = _is_other(lambda: dataset.facts_source()["sha256"], plan.facts_checksum)
        if of_facts and "train" not in changed:  # of which facts are made that no file has
            yield "other facts for Ign F1 now"
    if plan.imported is None:
        yield from (f"the code of {name} has changed" for name in sorted(set(_changed(plan, folder))))


def _planned(plan: RunPlan) -> Iterator[tuple[str, str]]:
    """The splits of a plan, and what is known of their content."""
    yield from (("dev", plan.dev_checksum), ("test", plan.test_checksum))
    for stage in plan.stages:
        if stage.imported is None:
            yield stage.train_split, stage.train_checksum
            yield stage.select_split, stage.select_checksum


def _is_other(checksum: Callable[[], str], planned: str) -> bool:
    """Whether something of a data set is here with another content; not where it, or its file, is gone."""
    try:
        return checksum() != planned
    except BenchError:
        return False


def _changed(plan: RunPlan, folder: Path) -> Iterator[str]:
    try:
        trusted = INSTALLED_ONLY.trusted(plan, folder)
        for stage in trusted.stages:
            yield from changed_code(stage)
        yield from changed_inference(trusted)
    except BenchError:
        return  # not here, or nobody's to run
