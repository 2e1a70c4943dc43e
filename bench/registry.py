"""Finding a model by what the user calls it: a registered name, `module:Class`, or `file.py:Class`."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from bench.errors import UsageError, unknown
from bench.interface import PairModel

GROUP = "docre_bench.models"
HINT = 'Your own: --models ./my_model.py:MyModel (see "Add your own model" in the README)'


@dataclass(frozen=True)
class ModelEntry:
    """A model under the name that tables show; `reference` finds its class again in another process."""

    name: str
    reference: str
    cls: type[PairModel]


def registered() -> dict[str, EntryPoint]:
    """Entry points of all installed packages, by model name. Two packages with one name is an error."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in found and found[entry.name].value != entry.value:
            raise UsageError(
                f"two installed packages register a model {entry.name!r}: {found[entry.name].value} and {entry.value}"
            )
        found[entry.name] = entry
    return found


def find(reference: str) -> ModelEntry:
    """The model called `reference`. Raises UsageError naming the choices."""
    if ":" in reference:
        return _by_class(reference)
    entries = registered()
    if reference not in entries:
        raise unknown("model", reference, entries, HINT)
    return ModelEntry(reference, reference, _checked(entries[reference].load(), reference))


def _by_class(reference: str) -> ModelEntry:
    place, _, name = reference.rpartition(":")
    if place.endswith(".py"):
        path = Path(place).expanduser().resolve()
        if not path.is_file():
            raise UsageError(f"model {reference!r}: no file {path}")
        module = _import_file(path)
        reference = f"{path}:{name}"
    else:
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise UsageError(f"model {reference!r}: cannot import {place}: {error}\n{HINT}") from error
    if not hasattr(module, name):
        classes = [n for n, c in vars(module).items() if inspect.isclass(c) and c.__module__ == module.__name__]
        raise unknown(f"class in {place}", name, classes)
    return ModelEntry(name, reference, _checked(getattr(module, name), reference))


@cache
def _import_file(path: Path) -> ModuleType:
    name = f"docre_bench_user_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look a class's module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"importing {path} failed: {type(error).__name__}: {error}") from error
    return module


def _checked(cls: object, reference: str) -> type[PairModel]:
    if not (inspect.isclass(cls) and issubclass(cls, PairModel)):
        raise UsageError(f"model {reference!r} is not a subclass of bench.interface.PairModel")
    if not hasattr(cls, "recipe"):
        raise UsageError(f"model {reference!r} has no `recipe`: which stages make up each setting?")
    return cls


def code_version(cls: type[PairModel]) -> str:
    """A hash of the code that defines a model: its module and those of its own package that it is built from.

    Comments and docstrings do not count, so that a remark costs no GPU hours. What the harness computes is versioned
    by hand, in `bench.plan.HARNESS_VERSION`.
    """
    pending = [sys.modules[c.__module__] for c in cls.__mro__ if not c.__module__.startswith(("bench.", "torch."))]
    seen: dict[str, str] = {}
    while pending:
        module = pending.pop()
        if module.__name__ in seen or not getattr(module, "__file__", None):
            continue
        seen[module.__name__] = _code_of(Path(str(module.__file__)))
        package = module.__name__.partition(".")[0]
        used = {getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in vars(module).values()}
        pending += [sys.modules[name] for name in used if name in sys.modules and name.partition(".")[0] == package]
    return hashlib.sha256("\n".join(seen[name] for name in sorted(seen)).encode()).hexdigest()[:16]


def _code_of(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and _is_text(body[0].value):
            body[0] = ast.Pass()
    return ast.dump(tree)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
