"""One plain sentence on a comparison: what may be claimed, and what not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from bench.analysis.comparison import ALPHA, Comparison, Test
from bench.analysis.stats import detectable
from bench.analysis.systems import System, same_encoder
from bench.points import points

Scope = Literal["both", "seeds", "documents"]
"""What is drawn anew where a difference is shown: both, seeds (on these documents), documents (of these very runs)."""
_OVER = {"both": "seeds and documents", "welch": "seeds"}
"""What the tests that a claim rests on draw anew."""


def scope(p: Mapping[Test, float]) -> Scope | None:
    """The widest of the three that the p values, adjusted where there are several comparisons, allow to be claimed."""
    tests: tuple[tuple[Scope, Test], ...] = (("both", "both"), ("seeds", "welch"), ("documents", "randomization"))
    return next((scope for scope, test in tests if p.get(test, 1.0) < ALPHA), None)


def claim(comparison: Comparison) -> str:
    """What may be claimed of `a` and `b`: about the models only what holds with seeds *and* documents drawn anew.

    What one of the two explains is said of what was held fixed: these documents, or these very runs. All p values are
    those adjusted for the number of comparisons. `benchmarks/claims.py` counts how often each sentence is wrong.
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
    lead = f"{points(abs(difference))} points of {comparison.question.title}"
    better, worse = (a.name, b.name) if difference > 0 else (b.name, a.name)
    if b.published or a.published:
        return _against_published(comparison, better, worse, lead)
    counts_a, counts_b = a.counts(comparison.question.split), b.counts(comparison.question.split)
    if counts_a is not None and counts_b is not None and np.array_equal(counts_a, counts_b):
        return f"{a.name} and {b.name} do not differ at all: the same counts on every document, seed by seed."
    shown = scope(comparison.holm)
    if comparison.welch is None:
        why = (
            "one seed tells nothing of another" if _fewest(comparison) < 2 else "their scores do not vary with the seed"
        )
        runs = f"these very runs of {better} are better than those of {worse} by {lead} on documents like these"
        only = f" Only {runs}." if shown == "documents" else ""
        return f"Nothing may be claimed about the models: {why}.{only}"
    if shown == "both":
        return f"{better} is better than {worse} by {lead}: over seeds and documents, both drawn anew."
    anything = _anything(comparison, "both" if comparison.both else "welch")
    if shown == "seeds":
        others = f"with others, {anything}" if comparison.both else "with others, it could not be tested."
        return f"{better} is better than {worse} by {lead} on these test documents, over seeds; {others}"
    if shown == "documents":
        return (
            f"No difference of the models may be claimed: on documents like these, these very runs of {better} are "
            f"better than those of {worse} by {lead}, but {anything}"
        )
    return f"No difference may be claimed, which does not show that there is none: {anything}"


def _against_published(comparison: Comparison, better: str, worse: str, lead: str) -> str:
    if comparison.welch is None:
        return f"A difference of {lead} that cannot be tested: {'; '.join(_untestable(comparison))}."
    if _holds(comparison, "welch"):
        return f"{better} is better than {worse} by {lead} over seeds; over documents it cannot be tested."
    return f"No difference may be claimed, which does not show that there is none: {_anything(comparison, 'welch')}"


def _anything(comparison: Comparison, test: Literal["both", "welch"]) -> str:
    """Why a test shows nothing: an interval with zero in it, or the correction for the other comparisons."""
    tested = comparison.both if test == "both" else comparison.welch
    assert tested is not None
    over, range_ = _OVER[test], f"{points(tested.low, '+')} to {points(tested.high, '+')} points"
    if tested.low <= 0 <= tested.high:
        found = f"one of {points(detectable(tested))} would have been found four times in five"
        return f"over {over}, it may be anything from {range_}; {found}."
    p = f"p is {comparison.holm[test]:.4f} once corrected for all the comparisons made"
    return f"over {over}, {p} (by itself, it may be anything from {range_})."


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
    return reasons or ["their scores do not vary with the seed"]


def _preliminary(comparison: Comparison) -> list[str]:
    score = comparison.question.split, comparison.question.metric
    systems = [system for system in (comparison.a, comparison.b) if system.is_partial(*score)]
    partial = [f"{system.seeds_with(*score)} seeds of {system.name}" for system in systems]
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
        elif held := _held_fixed(system):
            reservations.append(f"The seeds of {system.name} do not draw all that seeds do: {held} was held fixed.")
    for system in (comparison.a, comparison.b):
        split = comparison.question.split
        if system.predicts_elsewhere(split):
            reservations.append(
                f"{system.name} predicts of documents that {split} lacks: over documents it cannot be tested."
            )
        counts = system.counts(split)
        if counts is not None and len(counts) > 1 and (counts == counts[:1]).all():
            reservations.append(f"All {len(counts)} seeds of {system.name} have the same counts on every document.")
    trained = [difference for difference in comparison.unlike if difference.kind != "evaluation"]
    return reservations + [f"They were trained with {difference}." for difference in trained]


def _held_fixed(system: System) -> str:
    """What of a system's seeds is the same for all of them: `order_seed=66`."""
    last = system.plan.last
    asked = last.training if last else None
    fixed = {name: getattr(asked, name, None) for name in ("order_seed", "dropout_seed")}
    return ", ".join(f"{name}={value}" for name, value in fixed.items() if value is not None)


def _holds(comparison: Comparison, test: Test) -> bool:
    return comparison.holm.get(test, 1.0) < ALPHA


def _fewest(comparison: Comparison) -> int:
    """Finished seeds of the one of the two that has fewer."""
    summaries = [comparison.summary(system) for system in (comparison.a, comparison.b)]
    return min(summary.n if summary else 0 for summary in summaries)
