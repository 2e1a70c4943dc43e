"""One plain sentence on a comparison: what may be claimed, and what not."""

from __future__ import annotations

import numpy as np

from bench.analysis.comparison import ALPHA, Comparison, Test
from bench.analysis.systems import same_encoder


def claim(comparison: Comparison) -> str:
    """What may be claimed of `a` and `b`: about the models only what holds over seeds *and* over documents.

    All p values are those adjusted for the number of comparisons.
    """
    return " ".join([*_preliminary(comparison), _main(comparison), *_reservations(comparison)])


def _main(comparison: Comparison) -> str:
    a, b, difference = comparison.a, comparison.b, comparison.difference
    if not comparison.comparable:
        unlike = "; ".join(str(d) for d in comparison.unlike if d.kind == "evaluation")
        return f"Nothing may be claimed: they have {unlike}."
    if difference is None:
        without = " and ".join(system.name for system in (a, b) if comparison.summary(system) is None)
        return f"Nothing may be claimed: {without} has no finished seed."
    points = f"{abs(difference):.2f} points of {comparison.question.title}"
    better, worse = (a.name, b.name) if difference > 0 else (b.name, a.name)
    seeds, documents = _holds(comparison, "welch"), _holds(comparison, "randomization")
    if b.published or a.published:
        return _against_published(comparison, better, worse, points)
    counts_a, counts_b = a.counts(comparison.question.split), b.counts(comparison.question.split)
    if counts_a is not None and counts_b is not None and np.array_equal(counts_a, counts_b):
        return f"{a.name} and {b.name} do not differ at all: the same counts on every document, seed by seed."
    if comparison.welch is None:
        why = "one seed tells nothing of another" if _fewest(comparison) < 2 else "the seeds do not differ at all"
        runs = f"these runs of {better} are better than those of {worse} by {points} on documents like these"
        return f"Nothing may be claimed about the models: {why}." + (f" Only {runs}." if documents else "")
    if seeds and documents:
        return f"{better} is better than {worse} by {points}: over seeds and over documents."
    if seeds:
        return (
            f"{better} is better than {worse} by {points} on these documents, over seeds; others may not bear it out."
        )
    if documents:
        return (
            f"No difference of the models may be claimed: these runs of {better} are better than those of {worse} by "
            f"{points}, but other seeds may not be."
        )
    return (
        "No difference may be claimed, which does not show that there is none: over seeds, it may be anything from "
        f"{comparison.welch.low:+.2f} to {comparison.welch.high:+.2f} points."
    )


def _against_published(comparison: Comparison, better: str, worse: str, points: str) -> str:
    if comparison.welch is None:
        return f"A difference of {points} that cannot be tested: {'; '.join(_untestable(comparison))}."
    if _holds(comparison, "welch"):
        return f"{better} is better than {worse} by {points} over seeds; over documents it cannot be tested."
    return (
        "No difference may be claimed, which does not show that there is none: over seeds, it may be anything from "
        f"{comparison.welch.low:+.2f} to {comparison.welch.high:+.2f} points."
    )


def _untestable(comparison: Comparison) -> list[str]:
    reasons = []
    for system in (comparison.a, comparison.b):
        summary = comparison.summary(system)
        if system.published and system.expected is None:
            reasons.append(f"{system.name} does not say over how many seeds")
        elif summary is not None and summary.n < 2:
            reasons.append(f"{system.name} is one seed")
        elif summary is not None and summary.std is None:
            reasons.append(f"{system.name} has no deviation")
    return reasons or ["the seeds do not differ at all"]


def _preliminary(comparison: Comparison) -> list[str]:
    partial = [f"{system.seeds} seeds of {system.name}" for system in (comparison.a, comparison.b) if system.partial]
    return [f"Preliminary ({', '.join(partial)})."] if partial and comparison.difference is not None else []


def _reservations(comparison: Comparison) -> list[str]:
    reservations = []
    permutation = comparison.permutation
    if _holds(comparison, "welch") and permutation is not None and not _holds(comparison, "permutation"):
        floor = " and cannot, with so few seeds" if permutation.p <= permutation.floor else ""
        p = comparison.holm["permutation"]
        reservations.append(f"The permutation test does not confirm it (p = {p:.4f}){floor}.")
    for system, other in ((comparison.a, comparison.b), (comparison.b, comparison.a)):
        if system.published and not same_encoder(system.encoder, other.encoder):
            reservations.append(f"The encoders differ: {other.encoder} here, {system.encoder} there.")
        if system.published:
            reservations += [f"{note}." for note in system.notes]
        elif system.plan.origin != "trained":
            reservations.append(f"What {system.name} was trained on and with is not known here.")
    trained = [difference for difference in comparison.unlike if difference.kind != "evaluation"]
    return reservations + [f"They were trained with {difference}." for difference in trained]


def _holds(comparison: Comparison, test: Test) -> bool:
    return comparison.holm.get(test, 1.0) < ALPHA


def _fewest(comparison: Comparison) -> int:
    """Finished seeds of the one of the two that has fewer."""
    summaries = [comparison.summary(system) for system in (comparison.a, comparison.b)]
    return min(summary.n if summary else 0 for summary in summaries)
