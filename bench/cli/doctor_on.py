"""What `bench doctor --on PROFILE` does: a job looks at its node, and what both sides have seen is printed."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.cli.requirements_table import print_requirements
from bench.data.catalog.dataset import open_dataset
from bench.errors import BenchError, plural
from bench.execution.requirements import Requirement
from bench.experiment.config import CommandLine, make_experiments
from bench.nn.encoder_source import find_encoder
from bench.runs.interrupt import Interrupted, handling_signals
from bench.slurm.node_question import Wanted
from bench.slurm.preflight import acceptance, look, places_of
from bench.slurm.profiles import load_profile

ANY_MODEL = "atlop"
"""Where no configuration names models: what is looked at depends on none."""


def doctor_on(
    name: str, encoder: str | None, dataset: str | None, config: str | None, out: Path, timeout: float
) -> None:
    """Look at the nodes of a profile. Raises UsageError, and BenchError where something is not as it has to be."""
    profile = load_profile(name)
    wanted = _wanted(encoder, dataset, config)
    found = list(acceptance(profile, out))
    print_requirements(found, "To do")
    with handling_signals() as interrupt:
        try:
            for rows in look(places_of(profile), wanted, out, timeout, interrupt, _say):
                print_requirements(rows, "To do")
                found += rows
        except Interrupted as stop:
            raise BenchError(f"stopped ({stop}); the jobs are cancelled") from stop
    _conclude(profile.name, found)


def _wanted(encoder: str | None, dataset: str | None, config: str | None) -> list[Wanted]:
    """The data sets and encoders that `bench run` would take with these options, as they are here."""
    typed = CommandLine(models=None if config else ANY_MODEL, dataset=dataset, encoder=encoder, config=config)
    pairs = dict.fromkeys((each.dataset, each.encoder) for each in make_experiments(typed))
    wanted = []
    for dataset_name, encoder_name in pairs:
        opened = open_dataset(dataset_name)
        source = find_encoder(encoder_name, opened.documents("train"))
        checksums = {split: opened.checksum(split) for split in opened.splits}
        wanted.append(
            Wanted(dataset=dataset_name, encoder=encoder_name, checksums=checksums, fingerprint=source.fingerprint)
        )
    return wanted


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _conclude(profile: str, found: list[Requirement]) -> None:
    wrong = [row.what for row in found if not row.here]
    if wrong:
        raise BenchError(f"profile {profile!r}: {plural(len(wrong), 'check')} failed: {', '.join(wrong)}")
    print(f"Runs can be submitted with the profile {profile!r}.")
