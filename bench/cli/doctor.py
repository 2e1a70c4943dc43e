"""`bench doctor`: what of encoders, data, GPU and SLURM is here, and what to do about what is not.

With `--encoder`, what that encoder is: how it would be read, and whether it can be.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.nn.encoder_source import EncoderSource


@dataclass(frozen=True)
class Requirement:
    """Something an experiment may need. state: what there is of it.   to_do: how to get it, empty if it is here."""

    what: str
    here: bool
    state: str
    to_do: str = ""


def doctor(
    encoder: Annotated[
        str | None,
        typer.Option(help="Say what an encoder is and how it would be read: a folder, or a Hugging Face id."),
    ] = None,
) -> None:
    """What this machine has for running experiments, and how to get what it lacks; or what an encoder is."""
    if encoder is not None:
        _check_up(encoder)
        return
    _print(_requirements(), "To do")
    typer.echo("Everything marked ok can be used now; the rest is optional.")


def _print(rows: Iterable[Requirement], last: str) -> None:
    """A table of requirements; `last` heads its last column."""
    from rich.table import Table
    from rich.text import Text

    from bench.cli.console import make_console

    table = Table("", "What", "Found", last, box=None, pad_edge=False)
    for row in rows:
        mark = Text("ok", "green") if row.here else Text("--", "yellow")
        table.add_row(mark, row.what, row.state, row.to_do)
    make_console().print(table)


def _check_up(name: str) -> None:
    """Print what an encoder is. Raises UsageError where no document can be read with it."""
    from bench.nn.encoder_source import find_encoder
    from bench.nn.encoder_traits import traits_of

    source = find_encoder(name, ())
    # Of `tiny`, too, whose traits nobody else needs to look at.
    source = replace(source, traits=traits_of(source.config, source.pad_id, source.window))
    _print(_traits(source), "")
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
    yield Requirement("weights", not source.misfit, "not its own" if source.misfit else "fit", _size(source))
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
    yield _gpu()
    yield _threads()
    yield _disk()
    for name in dataset_names():
        here = state_of(name) != "not fetched"
        yield Requirement(f"data set {name}", here, state_of(name), "" if here else f"bench data fetch {name}")
    yield Requirement("encoder tiny", True, "made on the spot")
    for name in (MINILM, "roberta-large"):
        yield _encoder(name)
    yield _slurm()


def _gpu() -> Requirement:
    import torch

    if not torch.cuda.is_available():
        return Requirement("GPU", False, "none", "the CPU is enough for the sample and minilm; real runs want a GPU")
    names = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: use --set precision=fp32"
    return Requirement("GPU", True, ", ".join(f"{p.name} ({p.total_memory >> 30} GiB)" for p in names) + f", {bf16}")


def _threads() -> Requirement:
    """What a run that starts now would take of the processor, and why."""
    from bench.cores import find_cores
    from bench.errors import plural

    cores = find_cores()
    takes = f"a run takes {plural(cores.threads(), 'thread')}"
    if cores.processes() > 1:
        takes += f", several are {cores.processes()} processes of {plural(cores.threads(cores.processes()), 'thread')}"
    busy = "other processes keep the others busy" if cores.free < cores.usable else ""
    return Requirement("threads", True, f"{cores}; {takes}", "OMP_NUM_THREADS says so" if cores.asked else busy)


def _disk() -> Requirement:
    from bench.filesystem import home

    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free >> 30
    writable = os.access(folder, os.W_OK)
    to_do = "" if writable else "set BENCH_HOME to a folder you can write to"
    return Requirement(f"BENCH_HOME {home()}", writable, f"{free} GiB free", to_do)


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
