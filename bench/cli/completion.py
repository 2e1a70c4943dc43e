"""What the shell offers on Tab: the names that commands take, of what is in the output folder and what is registered.

`bench --install-completion` teaches bash, zsh or fish to ask. What cannot be read offers nothing: a shell that is asked
for a completion has no place for a message.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, suppress
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path

import typer

from bench.errors import BenchError

MODELS, LOSSES = "docre_bench.models", "docre_bench.losses"
_BEFORE = "_BENCH_WORD_BEFORE"
"""In the environment: what stands before the last `=` or `:` of the word that bash completes."""


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Folders of runs."""
    return _offers(_folders(ctx), incomplete)


def complete_system(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models of the runs, archived ones too, without what was changed of them: a shell splits words at `(` and `:`."""
    from bench.runs.archive import archived_runs

    models = {model for model, _ in _systems(ctx)}
    with suppress(BenchError, OSError), redirect_stderr(io.StringIO()):  # which tells what is unpacked anew
        models |= {plan.model for folder in archived_runs(_out(ctx)) if (plan := folder.plan())}
    return _offers(sorted(models), incomplete)


def complete_run_or_row(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of rows, each of which is all of its seeds, as far as a shell leaves them whole; and folders of runs."""
    rows = sorted({model for model, variant in _systems(ctx) if not variant})
    return [*_offers(rows, incomplete), *complete_run(ctx, incomplete)]


def _systems(ctx: typer.Context) -> set[tuple[str, str]]:
    """Of each run the model, and what was changed of it."""
    from bench.runs.outline import outlines

    with suppress(BenchError, OSError):
        return {(one.model, one.variant) for one in outlines(_out(ctx)) if not isinstance(one, str)}
    return set()


def complete_models(incomplete: str) -> list[str]:
    """Registered models, the last of several that commas separate."""
    return _in_list(incomplete, _registered(MODELS))


def complete_model(incomplete: str) -> list[str]:
    """One registered model."""
    return _offers(_registered(MODELS), incomplete)


def complete_loss(incomplete: str) -> list[str]:
    """One registered loss."""
    return _offers(_registered(LOSSES), incomplete)


def complete_settings(incomplete: str) -> list[str]:
    """Settings, the last of several that commas separate."""
    from bench.runs.recipe import SETTINGS

    return _in_list(incomplete, (*SETTINGS, "all"))


def complete_trackers(incomplete: str) -> list[str]:
    """Trackers, the last of several that commas separate."""
    from bench.tracking.choice import NONE, TRACKERS

    return _in_list(incomplete, (*TRACKERS, NONE))


def complete_dataset(incomplete: str) -> list[str]:
    """Data sets that are registered here or known."""
    from bench.data.catalog.dataset import dataset_names

    with suppress(BenchError, OSError):
        return _offers(dataset_names(), incomplete)
    return []


def complete_format(incomplete: str) -> list[str]:
    """Forms of documents."""
    from bench.data.formats.detect import FORMATS

    return _offers(FORMATS, incomplete)


def complete_pairs(incomplete: str) -> list[str]:
    """Orders of candidate pairs."""
    from bench.data.formats.pair_order import ORDERS

    return _offers(ORDERS, incomplete)


def complete_rule(incomplete: str) -> list[str]:
    """Rules by which labels are left out."""
    from bench.label_share import RULES

    return _offers(RULES, incomplete)


def complete_profile(incomplete: str) -> list[str]:
    """SLURM profiles by name; a file is completed by the shell."""
    from bench.slurm.profiles import profile_folders

    names = {file.stem for folder in profile_folders() for file in folder.glob("*.toml")}
    return _offers(sorted(names), incomplete)


def complete_preset(incomplete: str) -> list[str]:
    """Presets; a file is completed by the shell."""
    from bench.experiment.config import preset_names

    return _offers(preset_names(), incomplete)


def asked_command() -> str | None:
    """The command whose words a shell asks to complete, where one does."""
    _join_words_of_bash()
    words = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()
    return words[1] if len(words) > 1 else None


def _join_words_of_bash() -> None:
    """Put together again what bash takes apart at `=` and `:`, which names of runs and models have in them.

    Of `bench logs atlop-layers=2-r` it hands on three words after `logs`, the last of them `2-r`, and puts what is
    offered in the place of that alone. So the word before is taken out, and kept for `_offers`.
    """
    os.environ.pop(_BEFORE, None)
    words = os.environ.get("COMP_WORDS", "").split("\n")
    if len(words) == 1 or not os.environ.get("COMP_CWORD", "").isdigit():
        return
    words = words[: int(os.environ["COMP_CWORD"]) + 1]
    joined = [words[0]]
    for before, word in pairwise(words):
        if _breaks(word) or _breaks(before):
            joined[-1] += word
        else:
            joined.append(word)
    last = "" if _breaks(words[-1]) else words[-1]
    before = joined.pop().removesuffix(last)
    option, equals, rest = before.partition("=")
    if equals and option.startswith("--"):
        joined.append(option)
        before = rest
    os.environ |= {_BEFORE: before, "COMP_WORDS": "\n".join([*joined, last]), "COMP_CWORD": str(len(joined))}


def _breaks(word: str) -> bool:
    return bool(word) and not word.strip("=:")


def _out(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("out") or "results")


def _folders(ctx: typer.Context) -> Iterator[str]:
    from bench.runs.run_folder import run_folders

    with suppress(OSError):
        for folder in run_folders(_out(ctx)):
            yield folder.name


def _registered(group: str) -> list[str]:
    return sorted({point.name for point in entry_points(group=group)})


def _in_list(incomplete: str, names: Iterable[str]) -> list[str]:
    before, comma, _ = (os.environ.get(_BEFORE, "") + incomplete).rpartition(",")
    return _offers((before + comma + name for name in names), incomplete)


def _offers(names: Iterable[str], incomplete: str) -> list[str]:
    """Names that begin with what was typed, without what bash has already."""
    before = os.environ.get(_BEFORE, "")
    return [name.removeprefix(before) for name in names if name.startswith(before + incomplete)]
