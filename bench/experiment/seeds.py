"""The seeds that the user asks for."""

from __future__ import annotations

from bench.errors import UsageError
from bench.experiment.values import SHOWN

MOST_SEEDS = 1000
SEED_DIGITS = 100
"""Of a seed, which is part of the names of folders."""


def parse_seeds(asked: str | int | list[int]) -> tuple[int, ...]:
    """`5` is the seeds 0 to 4; `66,67` are those two, and `66,` is that one."""
    said = f"--seeds {asked}" if len(str(asked)) <= SHOWN else f"--seeds {str(asked)[:SHOWN]}..."
    try:
        if isinstance(asked, list):
            seeds = asked
        elif isinstance(asked, str) and "," in asked:
            seeds = [int(part) for part in asked.split(",") if part.strip()]
        elif int(asked) <= MOST_SEEDS:
            seeds = list(range(int(asked)))
        elif int(asked) >= 10**SEED_DIGITS:
            seeds = [int(asked)]
        else:
            raise UsageError(f"{said} is a number of seeds; for the one seed {asked}: --seeds {asked},")
    except ValueError as error:
        raise UsageError(f"{said}: expected a number of seeds (5), or seeds (66,67,68; one seed: 66,)") from error
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise UsageError(f"{said}: expected at least one seed, none negative, none twice")
    if max(seeds) >= 10**SEED_DIGITS:
        raise UsageError(f"{said}: a seed has at most {SEED_DIGITS} digits")
    return tuple(seeds)
