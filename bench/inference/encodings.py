"""What a frozen encoder gives, kept: token states and the mentions' attention rows of every document, encoded once.

A frozen encoder is one in evaluation mode, so without dropout, that reads every document by itself: what it gives of a
document depends on nothing else, and to keep it in float32 changes no bit of a result. An artifact is named by the
encoder's weights and the documents' word pieces: all models, seeds and label sets that share these share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.batching import collate
from bench.data.features.build import Features
from bench.data.features.feature_file import FeatureFile
from bench.errors import UsageError
from bench.filesystem import home
from bench.inference.document_arrays import DocumentArrays, are_made, bytes_made, make_arrays
from bench.inference.document_model import encode_alone
from bench.inference.reader import Reader
from bench.locks import Waiting, waiting_for
from bench.nn.encoder import Encoder
from bench.nn.precision import precision_context

ENCODING_VERSION = 2
"""Part of every artifact's key: raise it when the same encoder would leave other numbers, or in another form."""
DOCUMENTS_PER_PART = 64
NO_MATTER = {"_name_or_path", "transformers_version", "architectures", "dtype"}
"""Of an encoder's configuration, what changes nothing that its weights compute."""
SWITCH = "BENCH_ENCODINGS"
"""Set to 0 in the environment, nothing is kept: every epoch encodes again, to the same results."""


class EncodedFeatures(FeatureFile):
    """Features that carry what the encoder gives of them (`Features.encoding`)."""

    def __init__(self, features: FeatureFile, arrays: DocumentArrays, width: int) -> None:
        vars(self).update(vars(features))
        self._arrays, self._width = arrays, width

    def __getitem__(self, i):  # type: ignore[no-untyped-def]
        features = super().__getitem__(i)
        if isinstance(i, slice):
            return features  # made of items, which are encoded
        return replace(features, encoding=_apart(self._arrays[i % len(self)], features, self._width))


def encoded(
    features: FeatureFile,
    reader: Reader,
    on_progress: Callable[[int, int], None] = lambda done, size: None,
    under: Path | None = None,
    waiting: Waiting | None = None,
) -> FeatureFile:
    """`features` with what the frozen encoder of `reader` gives of them, made now unless it has been before.

    Without an encoder, or one that is frozen, or if nothing is to be kept: as they are.
    on_progress: is given the number of documents done and the bytes of all.   under: where to keep it, if not in
    `home()`.   waiting: how to wait while another process makes them; by default as long as it takes.
    Where all are there nothing is written. Raises UsageError where the disk is too small, `Interrupted`, OSError and
    LockHeldError.
    """
    encoder, device, precision = reader.system.encoder, reader.device, reader.stage.training.precision
    if encoder is None or not reader.system.frozen or os.environ.get(SWITCH) == "0" or not len(features):
        return features

    def encode(i: int) -> NDArray[np.float32]:
        reader.interrupt.check()
        unlabelled = replace(features[i], labels=features[i].labels[:0], evidence=())
        with precision_context(device, precision):
            (encoding,) = encode_alone(encoder, collate([unlabelled], 0, reader.source.pad_id).to(device))
        return _together(encoding.states.float().cpu().numpy(), encoding.attention.cpu().numpy())

    reader.system.eval()
    most = int(features.mentions().argmax())
    heads = _heads(encode(most), features[most], encoder.size)
    size = 4 * int((features.lengths * (encoder.size + heads * features.mentions())).sum())
    folder = (under or home() / "encodings") / _key(encoder, features, device, precision)

    def on_part(done: int) -> None:
        reader.interrupt.check()
        on_progress(done, size)

    if not are_made(folder, features, DOCUMENTS_PER_PART, on_part):
        with waiting_for(folder / "lock", waiting or Waiting(reader.interrupt.check)):
            _check_space(folder, size, len(features))
            make_arrays(
                folder, features, lambda rows: [encode(i) for i in rows], np.float32, DOCUMENTS_PER_PART, on_part
            )
    return EncodedFeatures(features, DocumentArrays(folder, features, DOCUMENTS_PER_PART), encoder.size)


def _together(states: NDArray[np.float32], attention: NDArray[np.float32]) -> NDArray[np.float32]:
    """States [l, d] and attention [m, A, l] as one row of numbers."""
    return np.concatenate([states.reshape(-1), attention.reshape(-1)])[None]


def _apart(together: NDArray[np.float32], row: Features, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    states, attention = np.split(together[0], [len(row) * width])
    heads = _heads(together, row, width)
    return states.reshape(len(row), width), attention.reshape(len(row.mention_position), heads, len(row))


def _heads(together: NDArray[np.float32], row: Features, width: int) -> int:
    """A, the number of heads, from how many numbers are stored; 0 without mentions, or without attention."""
    rows = len(row.mention_position) * len(row)
    return (together.shape[1] - len(row) * width) // rows if rows else 0


def _key(encoder: Encoder, features: FeatureFile, device: torch.device, precision: str) -> str:
    identity: list[Any] = [ENCODING_VERSION, _weights(encoder), encoder.layers, encoder.row_source is not None]
    config = encoder.model.config.to_dict()
    identity.append({name: value for name, value in config.items() if name not in NO_MATTER})
    identity += [encoder.window, encoder.start_ids, encoder.end_ids, device.type]
    if encoder.traits.treatment:  # what the first release ran right has the key it had
        identity.append(encoder.traits.treatment)
    with precision_context(device, precision):
        identity.append(torch.is_autocast_enabled(device.type))
    identity.append(features.digest("input_ids", "mention_position"))
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _weights(encoder: Encoder) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _check_space(folder: Path, size: int, documents: int) -> None:
    missing, free = size - bytes_made(folder), shutil.disk_usage(folder).free
    if missing > free:
        raise UsageError(
            f"what the frozen encoder gives of {documents:,} documents takes {in_bytes(size)}, {in_bytes(missing)} "
            f"more than is there, and {folder.parent} has {in_bytes(free)} left.\n"
            f"Make room there, put BENCH_HOME on a larger disk, or set {SWITCH}=0: then every epoch encodes again"
        )


def in_bytes(size: float) -> str:
    """A number of bytes as a person reads it: `245 MB`, `150.2 GB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
