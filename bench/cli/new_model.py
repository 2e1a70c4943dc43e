"""What `bench models new` writes: a model that runs, and its tests, to be changed into one's own."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template
from typing import Literal

from bench.errors import UsageError
from bench.filesystem import write_atomically

Kind = Literal["pairs", "tokens", "counting"]
TEMPLATES = Path(__file__).with_name("templates")
TEST_OF: dict[Kind, str] = {"pairs": "test_trained", "tokens": "test_trained", "counting": "test_counting"}


def write_model(name: str, kind: Kind, folder: Path) -> tuple[Path, Path, str]:
    """Write a model of a kind and its tests to a folder, which is made. Returns both files and the name of the class.

    name: any letters and digits, in words that are joined by _ or -, or by capitals: my-model, my_model, MyModel.
    Raises UsageError for a name that can be none of a file and a class, and where a file of that name is.
    """
    module, class_name = _names(name)
    texts = [(TEMPLATES / f"{template}.py.template").read_text("utf-8") for template in (kind, TEST_OF[kind])]
    if re.search(rf"\b{class_name}\b", " ".join(texts)):
        raise UsageError(f"{name!r}: the file of a model uses the name {class_name} for something else; choose another")
    paths = folder / f"{module}.py", folder / f"test_{module}.py"
    for path in paths:
        if path.exists():
            raise UsageError(f"{path}: there is such a file already, which is kept; choose another name or --to")
    if _is_taken(module, folder):
        raise UsageError(f"{name!r}: {module} is a module that is installed, and would be hidden; choose another name")
    for path, text in zip(paths, texts, strict=True):
        filled = Template(text).substitute(module=module, class_name=class_name)
        write_atomically(path, filled.encode("utf-8"))
    return *paths, class_name


def _names(name: str) -> tuple[str, str]:
    """The names of the module and of the class."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*", name):
        raise UsageError(f"{name!r}: a name is letters and digits, its words joined by _ or -, such as my-model")
    words = re.findall(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z0-9]+", name)
    module, class_name = "_".join(words).lower(), "".join(word[0].upper() + word[1:] for word in words)
    if keyword.iskeyword(module) or keyword.iskeyword(class_name):
        raise UsageError(f"{name!r}: Python has another use for the word; choose another name")
    return module, class_name


def _is_taken(module: str, folder: Path) -> bool:
    """Whether another module of that name can be imported here, but for one in the folder where a user works."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        return False
    own = {Path.cwd().resolve(), folder.resolve()}
    return spec.origin is None or Path(spec.origin).resolve().parent not in own
