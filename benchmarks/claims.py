"""How often each thing that `bench compare` and the report claim is wrong, where there is no difference to be found.

    OMP_NUM_THREADS=1 python benchmarks/claims.py --trials 2000

Two equal systems are drawn and compared again and again. A label of document d is found by seed k of model m with
probability `sigmoid(difficulty[d] + interaction[m, d] + seed[m, k] + rest[m, k, d])`, all normal, and wrong triples are
as many as the difficulty lets expect: F1 near 60, its deviation over seeds the one printed. Each claim is tried
where what it says is untrue, and what it holds fixed is fixed:

- models: seeds and documents vary, models differ on documents (`interaction`), and not on the whole;
- documents (these ones, over seeds): no interaction, so that on any documents the seeds of both are expected alike;
- runs: the runs themselves are equal over all documents (`seed` is 0 in both), and not on these;
- best of 4, and differs: as documents, of four equal models and of a published mean and deviation with two decimals.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from bench.analysis import stats
from bench.analysis.claims import scope
from bench.analysis.published import Printed
from bench.report.tables.verdicts import against, verdicts

SEEDS = (2, 3, 5, 10)
OF_SEED = (0.0, 0.03, 0.1)
"""Deviations of a seed's logit: nothing beside chance on each document, little, and much."""
RESAMPLES = 400


class World:
    """Documents and equal systems on them."""

    def __init__(self, generator: np.random.Generator, documents: int) -> None:
        self.generator = generator
        self.gold = 1 + generator.negative_binomial(2, 2 / 34, documents)
        self.difficulty = generator.normal(0.5, 0.6, documents)

    def system(self, seeds: int, of_seed: float, interaction: float) -> np.ndarray:
        """[seeds, documents, 4]: correct, predicted, gold, correct in facts."""
        draw, documents = self.generator, len(self.gold)
        shared = self.difficulty + draw.normal(0, interaction, documents)
        logits = shared + draw.normal(0, of_seed, (seeds, 1)) + draw.normal(0, 0.2, (seeds, documents))
        correct = draw.binomial(self.gold, 1 / (1 + np.exp(-logits)))
        wrong = draw.poisson(self.gold * 0.4 * np.exp(-0.5 * shared), correct.shape)
        return np.stack([correct, correct + wrong, np.broadcast_to(self.gold, correct.shape), 0 * correct], axis=-1)


def f1(counts: np.ndarray) -> list[float]:
    """The F1 of each seed, percent."""
    return stats.score(counts.sum(axis=1), "f1").tolist()


def claimed(a: np.ndarray, b: np.ndarray) -> str | None:
    """What `bench compare` would claim of two systems."""
    welch, bootstrap = stats.welch(f1(a), f1(b)), stats.paired_bootstrap(a, b, "f1", RESAMPLES)
    both, documents = stats.over_both(welch, bootstrap), stats.randomization(a, b, "f1", RESAMPLES)
    tests = {"welch": welch, "randomization": documents, "both": both}
    return scope({name: test.p for name, test in tests.items() if test is not None})


def before(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a test over seeds and one over documents both find a difference, each by itself."""
    welch = stats.welch(f1(a), f1(b))
    return welch is not None and welch.p < 0.05 and stats.randomization(a, b, "f1", RESAMPLES).p < 0.05


def best_of_four(world: World, seeds: int, of_seed: float) -> bool:
    """Whether one of four equal models gets the mark of the best."""
    rows = verdicts([f1(world.system(seeds, of_seed, 0)) for _ in range(4)])
    return any(row.mark == "‡" for row in rows)


def differs(world: World, seeds: int, of_seed: float) -> bool:
    """Whether ours is told to differ from an equal published row."""
    ours, theirs = (f1(world.system(seeds, of_seed, 0)) for _ in range(2))
    printed = Printed(*(Decimal(f"{value:.2f}") for value in (np.mean(theirs), np.std(theirs, ddof=1))))
    return against(ours, printed, seeds).verdict == "differs"


INTERACTION = 0.3
Trial = Callable[[World, int, float], bool]
CLAIMS: dict[str, Trial] = {
    "models": lambda w, n, s: claimed(*(w.system(n, s, INTERACTION) for _ in range(2))) == "both",
    "models, by two tests": lambda w, n, s: before(*(w.system(n, s, INTERACTION) for _ in range(2))),
    "documents": lambda w, n, s: claimed(*(w.system(n, s, 0) for _ in range(2))) in ("both", "seeds"),
    "runs": lambda w, n, s: claimed(*(w.system(n, 0, INTERACTION) for _ in range(2))) in ("both", "documents"),
    "best of 4 (‡)": best_of_four,
    "differs": differs,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--documents", type=int, default=200)
    options = parser.parse_args()
    print(f"| seeds | ± F1 | {' | '.join(CLAIMS)} |\n|---|---|{'---|' * len(CLAIMS)}")
    for of_seed in OF_SEED:
        worlds = (World(np.random.default_rng(i), options.documents) for i in range(20))
        points = np.mean([np.std(f1(world.system(20, of_seed, 0)), ddof=1) for world in worlds])
        for seeds in SEEDS:
            rates = []
            for name, trial in CLAIMS.items():
                generator = np.random.default_rng([seeds, int(of_seed * 1000), len(name)])
                wrong = sum(trial(World(generator, options.documents), seeds, of_seed) for _ in range(options.trials))
                rates.append(100 * wrong / options.trials)
            print(f"| {seeds} | {points:.2f} | {' | '.join(f'{rate:.1f}' for rate in rates)} |", flush=True)


if __name__ == "__main__":
    main()
