"""One plain sentence on a comparison: what may be claimed, and what not."""

from __future__ import annotations

import numpy as np

from bench.analysis.comparison import ALPHA, Comparison, Side, Test
from bench.analysis.systems import same_encoder


def claim(made: Comparison) -> str:
    """What may be claimed of `a` and `b`: about the models only what holds over seeds *and* over documents.

    All p values are those adjusted for the number of comparisons.
    """
    return " ".join([*_preliminary(made), _main(made), *_reservations(made)])


def _main(made: Comparison) -> str:
    a, b, difference = made.a, made.b, made.difference
    if not made.comparable:
        return f"Nothing may be claimed: they have {'; '.join(str(d) for d in made.unlike if d.kind == 'evaluation')}."
    if difference is None:
        without = " and ".join(side.name for side in (a, b) if side.summary is None)
        return f"Nothing may be claimed: {without} has no finished seed."
    points = f"{abs(difference):.2f} points of {made.question.title}"
    better, worse = (a.name, b.name) if difference > 0 else (b.name, a.name)
    seeds, documents = _holds(made, "welch"), _holds(made, "randomization")
    if b.published or a.published:
        return _against_published(made, better, worse, points)
    if a.counts is not None and b.counts is not None and np.array_equal(a.counts, b.counts):
        return f"{a.name} and {b.name} do not differ at all: the same counts on every document, seed by seed."
    if made.welch is None:
        why = "one seed tells nothing of another" if _fewest(made) < 2 else "the seeds do not differ at all"
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
        f"{made.welch.low:+.2f} to {made.welch.high:+.2f} points."
    )


def _against_published(made: Comparison, better: str, worse: str, points: str) -> str:
    if made.welch is None:
        return f"A difference of {points} that cannot be tested: {'; '.join(_untestable(made))}."
    if _holds(made, "welch"):
        return f"{better} is better than {worse} by {points} over seeds; over documents it cannot be tested."
    return (
        "No difference may be claimed, which does not show that there is none: over seeds, it may be anything from "
        f"{made.welch.low:+.2f} to {made.welch.high:+.2f} points."
    )


def _untestable(made: Comparison) -> list[str]:
    reasons = []
    for side in (made.a, made.b):
        if side.published and side.expected is None:
            reasons.append(f"{side.name} does not say over how many seeds")
        elif side.summary is not None and side.summary.n < 2:
            reasons.append(f"{side.name} is one seed")
        elif side.summary is not None and side.summary.std is None:
            reasons.append(f"{side.name} has no deviation")
    return reasons or ["the seeds do not differ at all"]


def _preliminary(made: Comparison) -> list[str]:
    partial = [
        f"{len(side.values)} of {side.expected} seeds of {side.name}" for side in (made.a, made.b) if side.partial
    ]
    return [f"Preliminary ({', '.join(partial)})."] if partial and made.difference is not None else []


def _reservations(made: Comparison) -> list[str]:
    found = []
    if _holds(made, "welch") and made.permutation is not None and not _holds(made, "permutation"):
        floor = " and cannot, with so few seeds" if made.permutation.p <= made.permutation.floor else ""
        found.append(f"The permutation test does not confirm it (p = {made.holm['permutation']:.4f}){floor}.")
    for side, other in ((made.a, made.b), (made.b, made.a)):
        if side.published and not same_encoder(side.encoder, other.encoder):
            found.append(f"The encoders differ: {other.encoder} here, {side.encoder} there.")
        if side.published:
            found += [f"{note}." for note in side.notes]
    found += [f"They were trained with {difference}." for difference in made.unlike if difference.kind != "evaluation"]
    return found


def _holds(made: Comparison, test: Test) -> bool:
    return made.holm.get(test, 1.0) < ALPHA


def _fewest(made: Comparison) -> int:
    return min(_seeds(side) for side in (made.a, made.b))


def _seeds(side: Side) -> int:
    return side.summary.n if side.summary else 0
