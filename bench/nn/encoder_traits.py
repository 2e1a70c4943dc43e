"""What has to be known of an encoder before anything is trained with it: seen once by running it, then kept."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import transformers
from transformers import PreTrainedConfig

from bench.filesystem import digest, home, read_sealed, write_sealed

PROBE_VERSION = 1
"""Part of every kept probe's key: raise it when the same model would be described otherwise."""


@dataclass(frozen=True)
class Traits:
    """What a probe saw.

    rows: how attention rows are had (`bench.nn.attention_rows`); "" if they cannot be, for the reason `without_rows`.
    pluggable: its class says that its attention may be replaced, as recomputing takes, which need not be true.
    causal: no piece sees a later one.   alone: padding reaches a document's states, so that windows of different length
    cannot be run side by side.   longest: the window to which this is held, None if no such limit showed.
    calls_pooler: it does not run without its pooling of sentences, though nobody reads that.
    state_difference, row_difference: the largest there is from the model's own eager output.
    unusable: why no document can be read with it; "" if one can.
    """

    rows: Literal["recomputed", "caught", "picked", ""] = ""
    pluggable: bool = False
    causal: bool = False
    alone: bool = False
    longest: int | None = None
    calls_pooler: bool = False
    state_difference: float = 0.0
    row_difference: float = 0.0
    without_rows: str = ""
    unusable: str = ""

    @property
    def treatment(self) -> dict[str, Any]:
        """How it is run otherwise than the first release ran every encoder: nothing, for those that it ran right.

        That release took a class at its word, looked both ways, and ran windows side by side on a GPU. So this decides
        results, and is part of what keys them, for these encoders alone.
        """
        otherwise: dict[str, Any] = {}
        if self.causal:
            otherwise["causal"] = True
        if self.alone:
            otherwise["alone"] = True
        if self.pluggable and self.rows != "recomputed":
            otherwise["rows"] = self.rows
        return otherwise


PLAIN = Traits(rows="recomputed", pluggable=True)
"""An encoder of BERT's kind."""


def traits_of(config: PreTrainedConfig, pad_id: int, window: int) -> Traits:
    """The traits of an encoder. A probe is made once for each configuration and release of the libraries.

    window: the longest input that it is going to be given.
    """
    apart = {"_name_or_path", "transformers_version", "architectures", "dtype"}
    content = {name: value for name, value in config.to_dict().items() if name not in apart}
    identity = [PROBE_VERSION, transformers.__version__, torch.__version__, type(config).__name__, pad_id, window]
    identity_text = json.dumps([*identity, content], default=str, sort_keys=True)
    path = home() / "probes" / f"encoder-{digest(identity_text)}.json"
    stored = read_sealed(path, "traits")
    if stored is not None:
        return Traits(**stored)
    # Here: it takes transformers' model code, which is long to import and needed once.
    from bench.nn.encoder_probe import examine

    traits = examine(config, pad_id, window)
    with suppress(OSError):  # where nothing can be written, it is made again
        write_sealed(path, "traits", asdict(traits))
    return traits
