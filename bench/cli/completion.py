"""What the shell offers on Tab: the names that commands take, of what is in the output folder and what is registered.

`bench --install-completion` teaches bash, zsh or fish to ask. What cannot be read offers nothing: a shell that is asked
for a completion has no place for a message.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

import typer

from bench.errors import BenchError

MODELS, LOSSES = "docre_bench.models", "docre_bench.losses"


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Folders of runs."""
    return [name for name in _folders(ctx) if name.startswith(incomplete)]


def complete_system(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models of the runs, without what was changed of them: a shell splits words at `(` and `:`."""
    from bench.runs.outline import outlines

    with suppress(BenchError, OSError):
        models = {outline.model for outline in outlines(_out(ctx)) if not isinstance(outline, str)}
        return sorted(model for model in models if model.startswith(incomplete))
    return []


def complete_run_or_row(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of rows, each of which is all of its seeds, and folders of runs."""
    return [*complete_system(ctx, incomplete), *complete_run(ctx, incomplete)]


def complete_models(incomplete: str) -> list[str]:
    """Registered models, the last of several that commas separate."""
    return _in_list(incomplete, _registered(MODELS))


def complete_model(incomplete: str) -> list[str]:
    """One registered model."""
    return [name for name in _registered(MODELS) if name.startswith(incomplete)]


def complete_loss(incomplete: str) -> list[str]:
    """One registered loss."""
    return [name for name in _registered(LOSSES) if name.startswith(incomplete)]


def complete_settings(incomplete: str) -> list[str]:
    """Settings, the last of several that commas separate."""
    from bench.runs.recipe import SETTINGS

    return _in_list(incomplete, (*SETTINGS, "all"))


def complete_dataset(incomplete: str) -> list[str]:
    """Data sets that are registered here or known."""
    from bench.data.catalog.dataset import dataset_names

    with suppress(BenchError, OSError):
        return [name for name in dataset_names() if name.startswith(incomplete)]
    return []


def complete_preset(incomplete: str) -> list[str]:
    """Presets; a file is completed by the shell."""
    from bench.experiment.config import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def asked_command() -> str | None:
    """The command whose words a shell asks to complete, where one does."""
    words = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()
    return words[1] if len(words) > 1 else None


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
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in names if name.startswith(last)]
