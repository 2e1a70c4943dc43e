"""Whether the weights in a folder are those of the architecture that its configuration names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import MODEL_MAPPING, PreTrainedConfig, PreTrainedModel

from bench.errors import UsageError
from bench.scratch import nearby_weights

UNREAD = ("pooler",)
"""Parts of a model that are not used here, by the beginning of a part of a weight's name."""
UNFIT = (RuntimeError, ValueError, OSError, ImportError, SafetensorError, UnpicklingError)
"""What transformers raises for weights of other shapes, files that are none, and formats it has no reader of here."""
SHOWN = 5
"""Names of weights that a message lists."""
SHAPES = 3
"""Shapes of weights that it lists, a line each."""


def load_weights(name: str, folder: Path, config: PreTrainedConfig, **options: Any) -> PreTrainedModel:
    """The model of `config` in float32 with the weights in `folder`.

    options: of `from_pretrained`. Raises UsageError where there are too few for the encoder, or of other shapes, or
    numbers that are not finite.
    """
    model_class = _model_class(name, config)
    try:
        model, loaded = model_class.from_pretrained(
            nearby_weights(folder),
            config=config,
            local_files_only=True,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # told below: the library's own error points at a report it does not show
            output_loading_info=True,
            **options,
        )
    except UNFIT as error:
        raise UsageError(f"the weights of the encoder {name!r} in {folder} do not fit: {_first_line(error)}") from error
    _checked(name, folder, model, loaded)
    if reason := _not_finite(name, folder, model.named_parameters()):
        raise UsageError(reason)
    return model


def check_weights(name: str, folder: Path, config: PreTrainedConfig) -> list[str]:
    """As `load_weights`, without a model and in no time: only the names and shapes of the weights are read.

    Returns the names that the encoder has no place for; a task's own layers, which are none of it, are left out.
    Raises UsageError.
    """
    model_class = _model_class(name, config)
    try:
        # One number, shown in all the shapes: the library fits them in as it would the weights themselves.
        state = {key: torch.zeros(()).expand(shape) for key, shape in _shapes(folder)}
        model, loaded = model_class.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except UNFIT as error:
        raise UsageError(f"the weights of the encoder {name!r} in {folder} do not fit: {_first_line(error)}") from error
    return _checked(name, folder, model, loaded)


def count_weights(folder: Path) -> int:
    """How many numbers the weights in a folder are."""
    return sum(math.prod(shape) for _, shape in _shapes(folder))


def why_not_finite(name: str, folder: Path) -> str:
    """Which weights in a folder hold numbers that are not finite, as a reason not to use them; "" if none does.

    All of them are read, one after the other.
    """
    return _not_finite(name, folder, _tensors(folder))


def _not_finite(name: str, folder: Path, weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    wrong = [key for key, tensor in weights if not (_unread(key) or torch.isfinite(tensor).all())]
    if not wrong:
        return ""
    hold = "1 tensor holds" if len(wrong) == 1 else f"{len(wrong)} tensors hold"
    return (
        f"the weights of the encoder {name!r} in {folder} cannot be used: {hold} numbers that are not finite (NaN or "
        f"infinite): {_listed(wrong)}"
    )


def _model_class(name: str, config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that `AutoModel` would take. Raises UsageError where there is none."""
    classes = MODEL_MAPPING.get(type(config), None)
    if classes is None:
        raise UsageError(
            f"the encoder {name!r} is of the type {config.model_type!r}, for which transformers has no encoder"
        )
    choice = classes if isinstance(classes, tuple | list) else (classes,)
    named = [cls for cls in choice if cls.__name__ in (config.architectures or ())]
    return (named or list(choice))[0]


def _shapes(folder: Path) -> Iterable[tuple[str, list[int]]]:
    """Name and shape of every tensor that transformers would load from `folder`."""
    safe = sorted(folder.glob("model*.safetensors"))
    for path in safe:
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118, it is no dictionary
                yield key, file.get_slice(key).get_shape()
    for path in [] if safe else sorted(folder.glob("pytorch_model*.bin")):
        # Nothing but tensors is unpickled.
        for key, tensor in torch.load(path, map_location="meta", weights_only=True).items():
            yield key, list(tensor.shape)


def _tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and content of every tensor that transformers would load from `folder`."""
    safe = sorted(folder.glob("model*.safetensors"))
    for path in safe:
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118, it is no dictionary
                yield key, file.get_tensor(key)
    for path in [] if safe else sorted(folder.glob("pytorch_model*.bin")):
        yield from torch.load(path, map_location="cpu", weights_only=True).items()


def _checked(name: str, folder: Path, model: PreTrainedModel, loaded: dict[str, Any]) -> list[str]:
    # In the order of the model, whose first parts say the most of what differs.
    shapes = {key: (list(there), list(needed)) for key, there, needed in loaded["mismatched_keys"]}
    if other := [key for key in model.state_dict() if key in shapes]:
        between = "\n  "
        each = [f"{key} is {shapes[key][0]}, where {shapes[key][1]} is needed" for key in other]
        raise UsageError(
            f"the weights of the encoder {name!r} in {folder} do not fit: {len(other)} of "
            f"{len(model.state_dict())} are of another shape than config.json says:\n  {_listed(each, SHAPES, between)}"
        )
    missing = sorted(key for key in loaded["missing_keys"] if not _unread(key))
    if missing:
        expected = sum(not _unread(key) for key in model.state_dict())
        unknown = sorted(loaded["unexpected_keys"])
        has = f"It has instead: {_listed(unknown)}" if unknown else "It has no others"
        raise UsageError(
            f"the weights of the encoder {name!r} in {folder} are not those of a {type(model).__name__}: of {expected} "
            f"that it needs, {len(missing)} are not there and would be random.\n"
            f"Missing: {_listed(missing)}\n{has}"
        )
    own = {child for child, _ in model.named_children()}
    buffers = {key for key, _ in model.named_buffers()}
    keys = {key: key.removeprefix(f"{model.base_model_prefix}.") for key in loaded["unexpected_keys"]}
    return sorted(key for key, own_key in keys.items() if own_key.split(".")[0] in own and own_key not in buffers)


def _unread(key: str) -> bool:
    return any(part.startswith(UNREAD) for part in key.split("."))


def _listed(names: list[str], shown: int = SHOWN, between: str = ", ") -> str:
    more = [f"and {len(names) - shown} more"] if len(names) > shown else []
    return between.join([*names[:shown], *more])


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
