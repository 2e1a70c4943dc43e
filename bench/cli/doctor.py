"""`bench doctor`: what of encoders, data, GPU and SLURM is here, and what to do about what is not.

With `--encoder`, what that encoder is: how it would be read, and whether it can be. With `--on`, what a job finds on a
node of a cluster (`bench.cli.doctor_on`).
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.completion import complete_dataset, complete_preset, complete_profile
from bench.cli.options import DEFAULT_OUT
from bench.cli.requirements_table import print_requirements
from bench.execution.requirements import Requirement, disk, gpu, threads

if TYPE_CHECKING:
    from bench.nn.encoder_source import EncoderSource

TIMEOUT_SECONDS = 3600.0


def doctor(
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Say what an encoder is and how it would be read: a folder, or a Hugging Face id. With --on: whether "
            "a job can read it."
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="Have a job of this SLURM profile look at its node, wait for it, and say what is missing there: a "
            "TOML file, or a name in slurm/profiles. Exit status 1 where something is.",
            autocompletion=complete_profile,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="With --on: the data set that runs are to read. Default: sample.", autocompletion=complete_dataset
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="With --on: the configuration that is to be run; its data sets and encoders are looked at.",
            autocompletion=complete_preset,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --on: where runs are to be kept. Default: results.")] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=1, help="With --on: at most so many seconds for the jobs, which are cancelled then. Default: 3600."
        ),
    ] = None,
) -> None:
    """What this machine has for running experiments, and how to get what it lacks; what an encoder is; or, with --on,
    what a job of a cluster finds on its node.
    """
    if on is not None:
        from bench.cli.doctor_on import doctor_on

        doctor_on(on, encoder, dataset, config, DEFAULT_OUT if out is None else out, timeout or TIMEOUT_SECONDS)
        return
    given = {"--dataset": dataset, "--config": config, "--out": out, "--timeout": timeout}
    if names := [name for name, value in given.items() if value is not None]:
        from bench.errors import UsageError

        raise UsageError(f"{', '.join(names)}: for a look at a cluster's node: --on PROFILE")
    if encoder is not None:
        _check_up(encoder)
        return
    print_requirements(_requirements(), "To do")
    typer.echo("Everything marked ok can be used now; the rest is optional.")


def _check_up(name: str) -> None:
    """Print what an encoder is. Raises UsageError where no document can be read with it."""
    from bench.nn.encoder_source import find_encoder
    from bench.nn.encoder_traits import traits_of
    from bench.nn.encoder_weights import why_not_finite

    source = find_encoder(name, ())
    # Of `tiny`, too, whose traits nobody else needs to look at.
    source = replace(source, traits=traits_of(source.config, source.pad_id, source.window))
    if source.folder is not None and not source.misfit:
        source = replace(source, misfit=why_not_finite(name, source.folder))
    print_requirements(_traits(source), "")
    for note in source.notes:
        typer.echo(f"note: {note}")
    source.check(attention=True)
    typer.echo("It can be used.")


def _traits(source: EncoderSource) -> Iterator[Requirement]:
    """What running a small copy of an encoder has shown, and what its folder says, in the order of reading a text."""
    traits, words, config = source.traits, source.words(), source.config
    tokens = source.tokenizer.convert_ids_to_tokens
    frame = f"{' '.join(tokens(words.start))} A {' '.join(tokens(words.end))}".strip()
    by = {
        "tokenizer": "by its tokenizer",
        "added": "added: its tokenizer does not",
        "none": "it has no tokens for that",
    }
    width, depth = (getattr(config, name, "?") for name in ("hidden_size", "num_hidden_layers"))
    yield Requirement("type", True, f"{config.model_type}, {width} wide, {depth} layers")
    yield Requirement("framing", words.framing != "none", frame, by[words.framing])
    yield Requirement(
        "window", not traits.unusable, f"{source.window} word pieces", "longer documents: several windows"
    )
    yield Requirement("weights", not source.misfit, "cannot be used" if source.misfit else "fit", _size(source))
    dtype = str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
    yield Requirement("precision", True, f"saved in {dtype}", "read, trained and evaluated in float32 (autocast aside)")
    if traits.unusable:
        yield Requirement("states", False, traits.unusable)
        return
    ways = {
        "recomputed": "computed beside fused attention",
        "caught": "caught in passing, from its last layers' maps",
        "picked": "picked from the maps of all its layers",
        "": "cannot be had",
    }
    far = f"from its own eager output at most {traits.row_difference:.0e}, states {traits.state_difference:.0e}"
    yield Requirement("attention rows", bool(traits.rows), ways[traits.rows], far if traits.rows else "")
    yield Requirement("looks", not traits.causal, "only backwards" if traits.causal else "both ways")
    padding = ("reaches its states", "one window at a time") if traits.alone else ("reaches nothing", "")
    yield Requirement("padding", not traits.alone, *padding)
    yield Requirement("memory", True, *_memory(source))


def _size(source: EncoderSource) -> str:
    from bench.nn.encoder_weights import count_weights

    return "" if source.folder is None else f"{count_weights(source.folder) / 1e6:,.1f} million numbers"


def _memory(source: EncoderSource) -> tuple[str, str]:
    from bench.inference.encodings import in_bytes
    from bench.nn.encoder_probe import training_memory

    length = min(source.window, 512)
    held = training_memory(source.config, source.traits, source.pad_id, length)
    return (
        f"about {in_bytes(held)} for a document of {length} word pieces",
        "in training, in float32, beside the weights",
    )


def _requirements() -> Iterator[Requirement]:
    """Everything an experiment may need, in the order a new user needs it."""
    import torch

    from bench.data.catalog.dataset import dataset_names, state_of
    from bench.nn.encoder_source import MINILM

    yield Requirement("Python, torch", True, f"{platform.python_version()}, {torch.__version__}")
    yield gpu()
    yield threads()
    yield disk()
    for name in dataset_names():
        here = state_of(name) != "not fetched"
        yield Requirement(f"data set {name}", here, state_of(name), "" if here else f"bench data fetch {name}")
    yield Requirement("encoder tiny", True, "made on the spot")
    for name in (MINILM, "roberta-large"):
        yield _encoder(name)
    yield _slurm()


def _encoder(name: str) -> Requirement:
    from bench.errors import UsageError
    from bench.nn.encoder_source import find_encoder

    try:
        source = find_encoder(name, ())
    except UsageError as error:
        return Requirement(f"encoder {name}", False, "not here", str(error).splitlines()[-1].strip())
    return Requirement(f"encoder {name}", True, f"{source.config.hidden_size} wide, in {source.folder}")


def _slurm() -> Requirement:
    from bench.errors import BenchError
    from bench.slurm.queue import command

    if shutil.which("sinfo") is None:
        return Requirement("SLURM", False, "no sinfo on the PATH", "run on a login node of your cluster")
    try:
        version = command(["sinfo", "--version"], timeout_seconds=10).strip()
        command(["sinfo", "--noheader", "--format=%P"], timeout_seconds=20)  # the version is known without a controller
    except BenchError as error:
        message = str(error).splitlines()[-1]
        to_do = "if it stays so: run on a login node of your cluster, set SLURM_CONF, or ask its administrators"
        return Requirement("SLURM", False, f"its controller does not answer: {message}", to_do)
    return Requirement("SLURM", True, version)
