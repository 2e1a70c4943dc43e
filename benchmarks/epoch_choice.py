"""What the choice of the epoch is worth: the one that dev labels choose against another, seed by seed.

    python benchmarks/epoch_choice.py atlop --setting human --out results

It reads the records of one model that keep the best epoch on dev, and those that differ in `select` or `select_on`
alone: the last epoch, or the best one by labels that are incomplete. Two such runs of a seed are trained alike, step by
step, and differ in the epoch that is kept. So differences are of one seed each, and their interval is that of a mean
(Student's t, 95 %); and a run whose best epoch was its last *is* the one that keeps the last, which need not be made.
No mean is told while a seed is missing: it would be one of the seeds whose difference is known to be nothing.
Two processors add up in another order, and a seed goes another way on each: runs whose dev F1 differs after some epoch
are told as trained apart, and not held against each other.
Of several stages the last alone may choose otherwise (`--set human.select=last`). Runs that stop by `patience` are left
out: what chooses their epoch decides how long they train.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from runs_of_model import arguments, finished_runs, in_common

from bench.analysis.metrics import METRICS, Metric
from bench.analysis.stats import TIE, mean_interval, summarize
from bench.errors import BenchError, UsageError, plural
from bench.points import points
from bench.runs.names import model_name
from bench.runs.plan import RunPlan


class Choice(NamedTuple):
    """How the epoch is chosen: `select` and `select_on` of the last stage."""

    select: str
    select_on: str

    def __str__(self) -> str:
        return "the last epoch" if self.select == "last" else f"the best epoch on {self.select_on}"


BEST, LAST = Choice("best", "dev"), Choice("last", "dev")


class Chosen(NamedTuple):
    """The epoch that one run kept, of so many, and what that one scores on dev and test, in percent.

    model: how the run's row is named.   history: dev F1 after each epoch, on the labels that choose.
    """

    epoch: int
    of: int
    dev: float
    test: float
    model: str
    history: tuple[float, ...]


def choice_of(plan: RunPlan) -> Choice | None:
    """None for what was not trained here, or not for as long whatever chooses."""
    if plan.last is None or plan.origin != "trained" or plan.last.is_counted:
        return None
    training = plan.last.training
    if training.patience is not None:
        return None
    return Choice(training.select, "dev" if training.select == "last" else training.select_on)


def trained_alike(plan: RunPlan) -> str:
    """What all runs have in common that are trained alike but for their seed, whichever epoch they keep."""
    *before, last = plan.stages
    last = last.with_training(select=BEST.select, select_on=BEST.select_on).model_copy(update={"select_checksum": ""})
    return in_common(plan.model_copy(update={"stages": (*before, last)}))


def read_chosen(out: Path, model: str, setting: str, metric: Metric) -> dict[str, dict[Choice, dict[int, Chosen]]]:
    """By what runs have in common: by how the epoch is chosen, of each seed what came out. Raises UsageError."""
    found: dict[str, dict[Choice, dict[int, Chosen]]] = {}
    for plan, record in finished_runs(out, model, setting):
        choice = choice_of(plan)
        dev, test = (metric.of_split(record.splits[s]) if s in record.splits else None for s in ("dev", "test"))
        if choice is None or dev is None or test is None:
            continue
        stage, name = record.stages[-1], model_name(plan.model, plan.variant)
        epochs = plan.stages[-1].training.epochs
        chosen = Chosen(stage.selected_epoch, epochs, dev, test, name, tuple(stage.dev_f1))
        common = trained_alike(plan)
        earlier = found.setdefault(common, {}).setdefault(choice, {}).setdefault(plan.seed, chosen)
        if earlier[:4] != chosen[:4]:
            raise UsageError(f"{common}, seed {plan.seed}: two runs with {choice} differ")
    return found


def trained_apart(one: Chosen, other: Chosen, choice: Choice) -> bool:
    """Whether two runs of a seed were not trained alike, as on two processors: by dev F1, where both have it."""
    return choice.select_on == BEST.select_on and one.history != other.history


def others(by_choice: dict[Choice, dict[int, Chosen]]) -> Iterator[tuple[Choice, dict[int, Chosen]]]:
    """What the best epoch on dev is held against: always the last, which is there already where it was the best."""
    same = {seed: chosen for seed, chosen in by_choice[BEST].items() if chosen.epoch == chosen.of}
    yield LAST, {**same, **by_choice.get(LAST, {})}
    yield from ((choice, chosen) for choice, chosen in by_choice.items() if choice not in (BEST, LAST))


def lines(best: dict[int, Chosen], other: dict[int, Chosen], choice: Choice) -> Iterator[str]:
    """A Markdown table: one row a seed, then mean, deviation and interval once all seeds are there."""
    yield "| seed | best epoch | other | dev | test |\n|---|---|---|---|---|"
    differences = []
    for seed, chosen in sorted(best.items()):
        kept = f"{chosen.epoch} of {chosen.of}"
        if seed not in other or trained_apart(chosen, other[seed], choice):
            yield f"| {seed} | {kept} | {'trained apart' if seed in other else ''} | | |"
            continue
        differences.append((chosen.dev - other[seed].dev, chosen.test - other[seed].test))
        on_dev, on_test = (points(difference, "+") for difference in differences[-1])
        yield f"| {seed} | {kept} | {other[seed].epoch} | {on_dev} | {on_test} |"
    if len(differences) < len(best):
        yield f"| {len(differences)} of {plural(len(best), 'seed')} | | | | |"
    else:
        yield f"| mean | | | {' | '.join(map(_mean, zip(*differences, strict=True)))} |"


def _mean(differences: Sequence[float]) -> str:
    summary = summarize(differences)
    interval = mean_interval(summary)
    if summary.std is None or interval is None or summary.std < TIE:  # of one seed, or all alike
        return points(summary.mean, "+")
    between = " to ".join(points(end, "+") for end in interval)
    return f"{points(summary.mean, '+')} ± {points(summary.std)} ({between})"


def main() -> None:
    options = arguments(__doc__)
    try:
        found = read_chosen(options.out, options.model, options.setting, METRICS[options.metric])
    except BenchError as error:
        raise SystemExit(f"epoch_choice.py: {error}") from None
    found = {common: by_choice for common, by_choice in found.items() if BEST in by_choice}
    if not found:
        raise SystemExit(
            f"epoch_choice.py: {options.out} has no finished run of {options.model} in {options.setting} that keeps "
            f"the best epoch and has {METRICS[options.metric].label} (a model is named without what was changed of it)"
        )
    for common, by_choice in found.items():
        model = next(iter(by_choice[BEST].values())).model
        for choice, other in others(by_choice):
            print(f"{model}, {common}: {METRICS[options.metric].label}, {BEST} less {choice}\n")
            print("\n".join(lines(by_choice[BEST], other, choice)) + "\n")


if __name__ == "__main__":
    main()
