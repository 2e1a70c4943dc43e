"""Checkpoints of the authors' programs: reading and writing the files, their tensors under our names and back.

A file is `torch.save(model.state_dict())`: names and tensors, and nothing else. Which program it is of, which column of
the logits is which relation, and whatever has no size of its own, somebody has to say.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.data.catalog.relations import NO_RELATION
from bench.errors import UsageError, plural
from bench.filesystem import read_json, write_atomically
from bench.outside.mappings import BY_CLASS, NO_ENCODER_PART, ONLY_FOR_LOSS, ProgramMapping, Theirs, model_with

ENCODER, THEIR_ENCODER, MODEL = "encoder.model.", "model.", "model."
"""How names begin of what is the encoder's, here and there, and of what is the model's here."""
SHOWN = 5
"""Tensors of a kind that a message names."""


@dataclass(frozen=True)
class Read:
    """Weights under our names, and what of the file was left out, a sentence each."""

    weights: dict[str, Tensor]
    notes: tuple[str, ...]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors in a file that `torch.save` wrote, on the CPU. Only tensors are unpickled.

    Raises UsageError for a file with anything else in it, and for what is no such file.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    with path.open("rb") as file:  # what cannot be read at all is an OSError of its own
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # of what is in a file torch raises anything, an OSError for some that are truncated
            if wanted := re.search(r"GLOBAL (\S+)", str(error)):
                raise UsageError(
                    f"{path}: asks for {wanted[1]}, and to make that would be to run code that the file chooses: "
                    "refused.\nSave the tensors alone where it was made: torch.save(model.state_dict(), FILE)"
                ) from error
            raise UsageError(f"{path}: not a file of torch.save, or not all of one") from error
    if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        found = type(content).__name__
        if isinstance(content, dict):
            found += f" with {_listed(list(map(str, content)))}"
        raise UsageError(f"{path}: expected the names and tensors of model.state_dict(), found a {found}")
    return {str(name): tensor for name, tensor in content.items()}


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as `torch.save` does, whole or not at all. Raises OSError."""
    content = io.BytesIO()
    torch.save(dict(tensors), content)
    write_atomically(path, content.getvalue())


def read_columns(path: Path) -> tuple[str, ...]:
    """The relations by column of a program's logits, from its rel2id.json. Raises UsageError.

    Column 0 is the threshold class, which has to be there under one of the names for no relation.
    """
    expected = 'expected the program\'s rel2id.json, {"Na": 0, "P1": 1, ...}'
    numbers = read_json(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file; {expected}")
    if not isinstance(numbers, dict) or not all(type(number) is int for number in numbers.values()):
        raise UsageError(f"{path}: {expected}")
    by_number = {number: relation for relation, number in numbers.items()}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise UsageError(f"{path}: its numbers are not those from 0 to {len(numbers) - 1}, each once; {expected}")
    if not by_number or by_number[0].casefold() not in NO_RELATION:
        raise UsageError(f"{path}: 0 is {by_number.get(0)!r}, and not the class for no relation; {expected}")
    return tuple(by_number[number] for number in range(1, len(by_number)))


def columns_as_json(columns: Sequence[str]) -> dict[str, int]:
    """What a rel2id.json says of relations in this order."""
    return {"Na": 0, **{relation: column for column, relation in enumerate(columns, 1)}}


def check_columns(columns: Sequence[str], relations: Sequence[str], path: Path, dataset: str) -> None:
    """Raise UsageError where the columns are not those of the data set's relations, in any order.

    Without a column nothing can be predicted, and a column without a relation has a part in what is decided of others.
    """
    lacking = sorted(set(relations) - set(columns))
    unknown = sorted(set(columns) - set(relations))
    if lacking or unknown:
        lines = [f"{path}: not the relations of the data set {dataset!r}"]
        if lacking:
            lines.append(f"  without a column: {_listed(lacking)}")
        if unknown:
            lines.append(
                f"  not of the data set: {_listed(unknown)} (`bench data add --relations` names all there are)"
            )
        raise UsageError("\n".join(lines))


def sizes_in(mapping: ProgramMapping, tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The hyperparameters that the shapes of a checkpoint tell. What it lacks, or has misshapen, tells none."""
    rows = {name: tensor.shape[0] for name, tensor in tensors.items() if tensor.ndim}
    sizes: dict[str, int] = {}
    pair_size = rows.get("head_extractor.weight")
    products = tensors.get(mapping.products)
    if pair_size and products is not None and products.ndim == 2 and products.shape[1] % pair_size == 0:
        sizes |= {"pair_size": pair_size, "block_size": products.shape[1] // pair_size}
    for hyperparameter, name in mapping.counted.items():
        count = next(i for i in itertools.count() if name.format(i=i) not in tensors)
        sizes |= {hyperparameter: count} if count else {}
    return sizes | {own: rows[name] for own, name in mapping.by_rows.items() if name in rows}


def weights_from(
    mapping: ProgramMapping,
    tensors: Mapping[str, Tensor],
    built: Mapping[str, Tensor],
    columns: Sequence[str],
    relations: Sequence[str],
    where: str,
) -> Read:
    """A program's tensors as the weights of a model.

    built: the state of the model with its first weights, for names and shapes.   columns, relations: in the order of
    the program and of the data set.   where: begins a message.
    Raises UsageError naming tensors that are missing, unfit or unexpected, with what they would have been.
    """
    weights: dict[str, Tensor] = {}
    used: set[str] = set()
    problems: dict[str, list[str]] = {"missing": [], "unfit": [], "unexpected": []}
    order = [0, *(1 + columns.index(relation) for relation in relations)]
    for ours, expected in built.items():
        shapes = _shapes(_parts(mapping, ours, built), expected.shape)
        used |= shapes.keys()
        if not shapes:
            weights[ours] = expected
            continue
        found = {name: tensors[name] for name in shapes if name in tensors}
        missing = [f"{name} {_shown(shape)}" for name, shape in shapes.items() if name not in tensors]
        unfit = [f"{name} {why}" for name, tensor in found.items() if (why := _unfit(tensor, shapes[name]))]
        here = _place_here(ours)
        problems["missing"] += [f"{one} ({here})" for one in missing]
        problems["unfit"] += [f"{one} ({here})" for one in unfit]
        if not missing and not unfit:
            # One alone is not copied: the weights of a large encoder would be in memory twice.
            whole = torch.cat(list(found.values())) if len(found) > 1 else next(iter(found.values()))
            whole = whole.to(expected.dtype).reshape(expected.shape)
            weights[ours] = whole[order] if _is_by_class(ours) else whole
    notes, problems["unexpected"] = _left_out(mapping, {n: t for n, t in tensors.items() if n not in used})
    if any(problems.values()):
        raise UsageError(_not_of(mapping, problems, where))
    return Read(weights, (*_of_types(tensors[name] for name in used), *notes))


def _unfit(tensor: Tensor, shape: tuple[int, ...]) -> str:
    """Why a tensor cannot be what has this shape; "" if it can."""
    if tuple(tensor.shape) != shape:
        return f"is {_shown(tensor.shape)}, expected {_shown(shape)}"
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        return f"is of {tensor.dtype} ({tensor.layout}), expected torch.float32"
    if bad := tensor.numel() - int(torch.isfinite(tensor).sum()):
        return f"has {plural(bad, 'number')} of {tensor.numel():,} that {'is' if bad == 1 else 'are'} NaN or infinite"
    return ""


def _of_types(tensors: Iterable[Tensor]) -> Iterator[str]:
    """Which of the tensors that are read are not in float32, as a sentence for each other type."""
    for dtype, count in Counter(tensor.dtype for tensor in tensors).items():
        if dtype != torch.float32:
            yield f"{plural(count, 'tensor')} of {dtype}, read as torch.float32"


def _place_here(ours: str) -> str:
    """What one of our tensors is, for messages."""
    if ours.startswith(ENCODER):
        return "of the encoder"
    rows = ", a row for each relation and the threshold class" if _is_by_class(ours) else ""
    return f"{ours.removeprefix(MODEL)} here{rows}"


def tensors_of(
    mapping: ProgramMapping,
    weights: Mapping[str, Tensor],
    unused_of_encoder: Mapping[str, Tensor],
    columns: Sequence[str],
    relations: Sequence[str],
) -> dict[str, Tensor]:
    """The weights of a model as the program of its authors saves them, what it saves and does not use as zeros.

    unused_of_encoder: by the encoder's own names, what of it the program saves besides.
    """
    tensors = {f"{THEIR_ENCODER}{name}": tensor for name, tensor in unused_of_encoder.items()}
    order = [0, *(1 + list(relations).index(relation) for relation in columns)]
    for ours, tensor in weights.items():
        parts = _parts(mapping, ours, weights)
        shapes = _shapes(parts, tensor.shape)
        if shapes:
            whole = tensor[order] if _is_by_class(ours) else tensor
            rows = whole.flatten(1) if whole.ndim > 2 else whole
            split = rows.split([shape[0] for shape in shapes.values()])
            tensors |= {name: part.clone() for name, part in zip(shapes, split, strict=True)}
    sizes = {
        "e": tensors["head_extractor.weight"].shape[0],
        "2d": tensors["head_extractor.weight"].shape[1],
        "products": tensors[mapping.products].shape[1],
        "classes": len(columns) + 1,
    }
    for unused in mapping.unused:
        for name, shape in unused.tensors.items():
            tensors[name] = torch.zeros([sizes[size] if isinstance(size, str) else size for size in shape])
    return tensors


def _is_by_class(ours: str) -> bool:
    return ours.removeprefix(MODEL) in BY_CLASS


def _parts(mapping: ProgramMapping, ours: str, all_ours: Mapping[str, Tensor]) -> tuple[tuple[str, int], ...]:
    """What one of our tensors is called there, with the shares of its rows; nothing where it is only for the loss."""
    if ours.startswith(ENCODER):
        return ((THEIR_ENCODER + ours.removeprefix(ENCODER), 1),)
    name = ours.removeprefix(MODEL)
    if name.startswith(ONLY_FOR_LOSS):
        return ()
    layer = next((part for part in name.split(".") if part.isdigit()), "")
    pattern = name if name in mapping.names else name.replace(f".{layer}.", ".{i}.", 1)
    theirs: Theirs = mapping.names[pattern]
    parts = ((theirs, 1),) if isinstance(theirs, str) else theirs
    return tuple((part.format(i=layer), share) for part, share in parts)


def _shapes(parts: Sequence[tuple[str, int]], ours: torch.Size) -> dict[str, tuple[int, ...]]:
    """The shapes of what one of our tensors is there: grouped products are flat in the programs."""
    flat = (ours[0], math.prod(ours[1:])) if len(ours) > 2 else tuple(ours)
    shares = sum(share for _, share in parts)
    return {name: (flat[0] * share // shares, *flat[1:]) for name, share in parts}


def _left_out(mapping: ProgramMapping, left: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Of tensors without a place here what is known of them, and those of which nothing is."""
    counts: dict[str, int] = {}
    unexpected = []
    for name, tensor in left.items():
        why = next((unused.why for unused in mapping.unused if name in unused.tensors), "")
        if name.removeprefix(THEIR_ENCODER).startswith(NO_ENCODER_PART):
            why = "of the encoder, what the program does not use (its pooler, and numbers of positions)"
        if why:
            counts[why] = counts.get(why, 0) + 1
        else:
            other = model_with(name)
            of = f" (`bench import-checkpoint {other}` reads files that have it)" if other else ""
            unexpected.append(f"{name} {_shown(tensor.shape)}{of}")
    return [f"not read: {plural(count, 'tensor')}: {why}" for why, count in counts.items()], unexpected


def _not_of(mapping: ProgramMapping, problems: Mapping[str, Sequence[str]], where: str) -> str:
    lines = [f"{where}: not what {mapping.program}'s program saves of such a model"]
    for kind, those in problems.items():
        lines += [f"  {kind}: {one}" for one in those[:SHOWN]]
        if len(those) > SHOWN:
            lines.append(f"  {kind}: {len(those) - SHOWN} more")
    return "\n".join(lines)


def _shown(shape: Sequence[int]) -> str:
    return str(list(shape))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
