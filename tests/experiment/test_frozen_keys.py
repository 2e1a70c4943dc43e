"""The keys of commands that pages name: a run is found again by its key, so a key that moves is a result that is lost.

`fixtures/keys.json` was written by the program before its modules were moved. A change of HARNESS_VERSION, of
METRIC_VERSION, of a model's code or of a default changes it, and says why; nothing else does.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli.stand_ins import AbsentDataset
from bench.data.catalog.dataset import Dataset, open_dataset
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import planned_runs
from bench.nn.encoder_source import find_encoder

ROOT = Path(__file__).resolve().parents[2]
FROZEN: dict[str, dict[str, Any]] = json.loads((ROOT / "tests" / "fixtures" / "keys.json").read_text())


def options_of(command: str) -> dict[str, Any]:
    """What the command line makes of a command of a page."""
    words = iter(shlex.split(command)[2:])
    options: dict[str, Any] = {"changes": []}
    for word in words:
        if word == "--freeze-encoder":
            options["changes"].insert(0, "freeze_encoder=true")
        elif word == "--set":
            options["changes"].append(next(words))
        else:
            options[word.removeprefix("--")] = next(words)
    return options


def open_or_stand_in(name: str) -> Dataset:
    return open_dataset(name) if name == "sample" else AbsentDataset(name)


@pytest.mark.parametrize("command", FROZEN)
def test_the_keys_of_the_readmes_commands_stay(command, small_home, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(small_home))
    monkeypatch.chdir(ROOT)
    # Its fingerprint is of files that the libraries write, and changes with their versions.
    tiny = find_encoder("tiny", open_dataset("sample").documents("train"))
    experiments = make_experiments(CommandLine(**options_of(command)))
    planned = planned_runs(
        experiments, open_or_stand_in, lambda name, _: replace(tiny, name=name, fingerprint="0123456789abcdef")
    )
    runs = [run for _, of_one in planned for run in of_one]
    names = {run.folder for run in runs} | {stage.folder for run in runs for stage in run.stages}
    names |= {run.configuration for run in runs}
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
    assert {"runs": len(runs), "first": runs[0].folder, "all": digest} == FROZEN[command]
