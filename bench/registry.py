"""Finding a model or a loss by what the user calls it: a registered name, `module:Class`, or `file.py:Class`."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeGuard

from bench.errors import UsageError, in_words, unknown

if TYPE_CHECKING:
    from bench.interface import Loss, Model


@dataclass(frozen=True)
class Kind:
    """What is found: what it is called, the group of entry points it is registered under, what to say of one's own."""

    word: str
    group: str
    hint: str


MODEL = Kind(
    "model",
    "docre_bench.models",
    "Your own: --models ./my_model.py:MyModel (see docs/your-model.md)",
)
LOSS = Kind("loss", "docre_bench.losses", "Your own: loss=./my_loss.py:MyLoss (see docs/losses.md)")


@dataclass(frozen=True)
class LossEntry:
    """A loss under the name that tables show; `reference` finds its class again in another process."""

    name: str
    reference: str
    cls: type[Loss]


@dataclass(frozen=True)
class ModelEntry:
    """A model under the name that tables show; `reference` finds its class again in another process."""

    name: str
    reference: str
    cls: type[Model]


def registered(kind: Kind = MODEL) -> dict[str, EntryPoint]:
    """Entry points of all installed packages, by name. Two packages with one name is an error."""
    entries: dict[str, EntryPoint] = {}
    for entry in entry_points(group=kind.group):
        if entry.name in entries and entries[entry.name].value != entry.value:
            raise UsageError(
                f"two installed packages register a {kind.word} {entry.name!r}: "
                f"{entries[entry.name].value} and {entry.value}"
            )
        entries[entry.name] = entry
    return entries


def is_installed(reference: str) -> bool:
    """Whether finding `reference` runs no code but that of packages which were installed to bring models or losses.

    So it is with a name, which only such packages register, and with a class in a module that they register one of.
    """
    place, colon, _ = reference.rpartition(":")
    return not colon or place in {entry.module for kind in (MODEL, LOSS) for entry in registered(kind).values()}


def find(reference: str) -> ModelEntry:
    """The model called `reference`; runs the code it is in. Raises UsageError naming the choices."""
    name, where, cls = _found(reference, MODEL)
    return ModelEntry(name, where, _checked(cls, reference))


def find_loss(reference: str) -> LossEntry:
    """The loss called `reference`; runs the code it is in. Raises UsageError naming the choices."""
    name, where, cls = _found(reference, LOSS)
    return LossEntry(name, where, _checked_loss(cls, reference))


def _found(reference: str, kind: Kind) -> tuple[str, str, object]:
    """Name, reference and class of what is called `reference`."""
    if ":" in reference:
        return _by_class(reference, kind)
    entries = registered(kind)
    if reference not in entries:
        raise unknown(kind.word, reference, entries, kind.hint)
    try:
        cls = entries[reference].load()
    except (Exception, SystemExit) as error:
        value = entries[reference].value
        raise UsageError(f"{kind.word} {reference!r}: loading {value} failed: {in_words(error)}") from error
    return reference, reference, cls


def _by_class(reference: str, kind: Kind) -> tuple[str, str, object]:
    place, _, name = reference.rpartition(":")
    asked = f"{kind.word} {reference!r}"
    if not (place.strip() and name.strip()):
        raise UsageError(f"{asked}: expected a file or module, a colon and a class\n{kind.hint}")
    if place.endswith(".py"):
        path = Path(place).expanduser().resolve()
        if not path.is_file():
            raise UsageError(f"{asked}: no file {path}")
        module = _import_file(path)
        reference = f"{path}:{name}"
    elif place.startswith(".") or Path(place).name != place:
        raise UsageError(f"{asked}: {place} is neither a file that ends in .py nor a module\n{kind.hint}")
    else:
        try:
            module = importlib.import_module(place)
        except (Exception, SystemExit) as error:
            raise UsageError(f"{asked}: importing {place} failed: {in_words(error)}\n{kind.hint}") from error
    if not hasattr(module, name):
        classes = [n for n, c in vars(module).items() if inspect.isclass(c) and c.__module__ == module.__name__]
        raise unknown(f"class in {place}", name, classes)
    return name, reference, getattr(module, name)


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
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"importing {path} failed: {in_words(error)}") from error
    return module


def _checked(cls: object, reference: str) -> type[Model]:
    from bench.interface import CountingModel, PairModel  # with torch, which names alone do not need

    if not (inspect.isclass(cls) and issubclass(cls, (PairModel, CountingModel))):
        raise UsageError(f"model {reference!r} is not a subclass of bench.interface.PairModel or CountingModel")
    if not hasattr(cls, "recipe"):
        raise UsageError(f"model {reference!r} has no `recipe`: which stages make up each setting?")
    return cls


def _checked_loss(cls: object, reference: str) -> type[Loss]:
    from bench.interface import Loss, Training

    if not (inspect.isclass(cls) and issubclass(cls, Loss)):
        raise UsageError(f"loss {reference!r} is not a subclass of bench.interface.Loss")
    taken = sorted({"loss", *Training.model_fields} & set(cls.Hyperparameters.model_fields))
    if taken:
        raise UsageError(f"loss {reference!r}: its hyperparameters have names of other settings: {', '.join(taken)}")
    return cls


SAME_NUMBERS = "same_numbers.toml"
"""Beside the modules of a package of models: `"VERSION" = "VERSION"`, code and what it replaces without another bit."""


def code_version(cls: type) -> str:
    """A hash of the code that defines a model or an inference: its module and those of its package it is built from.

    Read once in a process: the class in memory is the code it was imported from, whatever the file becomes.

    Comments and docstrings do not count, so that a remark costs no GPU hours, nor where in `bench` a thing is had from,
    which may move: what the harness computes is versioned by hand, in `bench.runs.plan.HARNESS_VERSION`. Code that was
    written anew and gives the same numbers to the bit keeps the version, and so the runs, of the code that it replaces:
    the package says so in `SAME_NUMBERS`, by the versions of both, which the next change of the code makes void.
    """
    version, package = hashed_version(cls), cls.__module__.partition(".")[0]
    return _same_numbers(package).get(version, version)


def hashed_version(cls: type) -> str:
    """The version of a class's code as it stands, whatever it is said to replace."""
    return _version_of(tuple(c.__module__ for c in cls.__mro__ if not c.__module__.startswith(("bench.", "torch."))))


HOUSE_LOSSES = "bench.losses"


def loss_version(cls: type[Loss]) -> str:
    """A hash of the code that defines a loss, as `code_version` of a model's.

    The harness's own losses are hashed as well, file by file, so that a correction of one makes no other run anew. What
    all have from the interface is the harness's.
    """
    if not cls.__module__.startswith(f"{HOUSE_LOSSES}."):
        return code_version(cls)
    modules = [c.__module__ for c in cls.__mro__ if c.__module__.startswith(f"{HOUSE_LOSSES}.")]
    return _version_of(tuple(name for name in modules if name != f"{HOUSE_LOSSES}.interface"), HOUSE_LOSSES)


@cache
def _version_of(modules: tuple[str, ...], within: str = "") -> str:
    """within: the package whose modules are followed; not given, the top-level package of each."""
    pending = list(modules)
    seen: dict[str, str] = {}
    while pending:
        name = pending.pop()
        path = _source_of(name)
        if name in seen or path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8-sig"))
        seen[name] = _code_of(tree)
        package = within or name.partition(".")[0]
        parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
        used = {name for name in _imports(tree, parent) if name == package or name.startswith(f"{package}.")}
        pending += sorted(used - {f"{HOUSE_LOSSES}.interface"})
    # Not the names: a model in a file would count as another one in another folder.
    return hashlib.sha256("\n".join(seen[name] for name in sorted(seen)).encode()).hexdigest()[:16]


@cache
def _same_numbers(package: str) -> dict[str, str]:
    """What a package says of its code: version of what is there -> version of what it replaces."""
    source = _source_of(package)
    path = source.parent / SAME_NUMBERS if source and source.name == "__init__.py" else None
    if path is None or not path.is_file():
        return {}
    try:
        return {str(new): str(old) for new, old in tomllib.loads(path.read_text(encoding="utf-8-sig")).items()}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None


def _source_of(module: str) -> Path | None:
    """The file of a module, imported or not; None for one without Python source, or a name that is no module."""
    if module in sys.modules:
        file = getattr(sys.modules[module], "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # its parent is a module, so this is a name in it
            return None
        file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """What a module of `package` imports anywhere in it; of `from a import b` both a and a.b, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            place = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield place
            yield from (f"{place}.{alias.name}" for alias in node.names)


def _code_of(tree: ast.Module) -> str:
    """The code without comments, layout, docstrings and other bare strings, and without imports of the harness."""
    renamed: set[str] = set()
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                of_harness = [statement for statement in block if _is_import_of_harness(statement)]
                # A name says what it stands for, wherever it is had from; one that is given here does not.
                names = [alias for statement in of_harness for alias in statement.names if alias.asname]
                renamed |= {f"{alias.name.rpartition('.')[2]} as {alias.asname}" for alias in names}
                kept = [statement for statement in block if not _is_text(statement) and statement not in of_harness]
                block[:] = kept or ([ast.Pass()] if part == "body" else [])
    return "\n".join([*sorted(renamed), ast.unparse(tree)])


def _is_import_of_harness(node: ast.AST) -> TypeGuard[ast.Import | ast.ImportFrom]:
    if isinstance(node, ast.ImportFrom):
        names = [] if node.level else [node.module or ""]
    else:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    return bool(names) and all(name.partition(".")[0] == "bench" for name in names)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
