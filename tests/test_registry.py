from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench import registry
from bench.errors import UsageError
from bench.interface import PairModel
from bench.registry import _code_of, code_version, find, hashed_version, registered

MODEL = """
    from bench.interface import PairModel, Recipe, Stage

    class Mine(PairModel):
        recipe = Recipe.one_then_the_other(Stage(data="human"), Stage(data="distant"), Stage(data="ext"))
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


def install(monkeypatch, *entries):
    points = [EntryPoint(name, value, registry.MODEL.group) for name, value in entries]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)


# By name


@pytest.mark.parametrize("name", ["atlop", "ssrpu", "spu", "pu", "pn", "ttmre", "ttmre-released"])
def test_the_projects_models_are_found_by_name(name):
    entry = find(name)
    assert entry.name == entry.reference == name
    assert issubclass(entry.cls, PairModel)


def test_an_outside_packages_model_is_found_by_its_entry_point(monkeypatch):
    install(monkeypatch, ("theirs", "baselines.atlop:Atlop"))
    assert find("theirs").cls.__name__ == "Atlop"


def test_an_unknown_name_names_the_nearest_and_all_choices():
    with pytest.raises(UsageError) as error:
        find("tmre")
    assert "unknown model 'tmre'. Did you mean 'ttmre'?" in str(error.value)
    assert all(name in str(error.value) for name in registered())
    assert "./my_model.py:MyModel" in str(error.value)


def test_two_packages_with_one_name_are_an_error_naming_both(monkeypatch):
    install(monkeypatch, ("same", "one.model:A"), ("same", "two.model:B"))
    with pytest.raises(UsageError, match=r"'same': one\.model:A and two\.model:B"):
        registered()


def test_one_package_seen_twice_is_no_conflict(monkeypatch):
    install(monkeypatch, ("same", "one.model:A"), ("same", "one.model:A"))
    assert list(registered()) == ["same"]


def test_a_registered_model_that_does_not_load_says_so(monkeypatch):
    install(monkeypatch, ("broken", "no_such_module:A"))
    with pytest.raises(UsageError, match="'broken': loading no_such_module:A failed: ModuleNotFoundError"):
        find("broken")


# By class


def test_a_model_is_found_by_module_and_class():
    entry = find("baselines.pu:SsrPu")
    assert (entry.name, entry.reference) == ("SsrPu", "baselines.pu:SsrPu")
    assert entry.cls is find("ssrpu").cls


def test_a_model_is_found_in_a_file_wherever_one_is_later(write, monkeypatch, tmp_path):
    path = write(MODEL)
    monkeypatch.chdir(tmp_path)
    entry = find("./mine.py:Mine")
    assert (entry.name, entry.reference) == ("Mine", f"{path}:Mine")
    monkeypatch.chdir("/")
    assert find(entry.reference).cls is entry.cls


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=f"no file {tmp_path / 'absent.py'}"):
        find(f"{tmp_path / 'absent.py'}:Mine")


@pytest.mark.parametrize("place", ["./folder", "../folder", "folder/mine", ".mine", "/tmp/folder"])
def test_a_path_that_is_no_file_of_python_is_said_to_be_none(place):
    with pytest.raises(UsageError, match=rf"{place} is neither a file that ends in \.py nor a module"):
        find(f"{place}:Mine")


@pytest.mark.parametrize(("text", "message"), [("def f(:", "SyntaxError"), ("raise OSError('no disk')", "no disk")])
def test_a_file_that_fails_to_import_says_why(write, text, message):
    with pytest.raises(UsageError, match=f"(?s)importing .*mine.py failed: .*{message}"):
        find(f"{write(text)}:Mine")


@pytest.mark.parametrize(("text", "message"), [(None, "ModuleNotFoundError"), ("raise OSError('no disk')", "no disk")])
def test_a_module_that_fails_to_import_says_why(write, monkeypatch, tmp_path, text, message):
    if text:
        write(text, "failing_module.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=f"importing failing_module failed: .*{message}"):
        find("failing_module:Mine")


@pytest.mark.parametrize("arguments", [("models", "check"), ("models", "show"), ("run", "--dry-run", "--models")])
def test_a_file_that_ends_the_program_when_imported_ends_no_command(arguments, write, bench):
    path = write("import sys\nsys.exit(0)", "ending.py")
    status, _, error = bench(*arguments, f"{path}:Mine")
    assert status == 2
    assert (
        error == f"bench: importing {path} failed: the model's code ended the program: sys.exit(0) ({path}, line 2)\n"
    )


def test_an_installed_model_that_ends_the_program_when_loaded_is_told(write, monkeypatch, tmp_path):
    write("raise SystemExit('no licence')", "docre_bench_test_ending.py")
    monkeypatch.syspath_prepend(tmp_path)
    install(monkeypatch, ("ending", "docre_bench_test_ending:A"))
    with pytest.raises(UsageError, match=r"loading docre_bench_test_ending:A failed: .*sys\.exit\(no licence\)"):
        find("ending")
    with pytest.raises(UsageError, match=r"importing docre_bench_test_ending failed: .*sys\.exit\(no licence\)"):
        find("docre_bench_test_ending:A")


def test_a_file_is_imported_anew_after_it_failed(write):
    path = write("raise OSError('no disk')")
    with pytest.raises(UsageError, match="no disk"):
        find(f"{path}:Mine")
    write(MODEL)
    assert find(f"{path}:Mine").name == "Mine"


def test_an_interrupt_while_a_file_is_imported_is_an_interrupt(write):
    with pytest.raises(KeyboardInterrupt):
        find(f"{write('raise KeyboardInterrupt')}:Mine")


def test_an_unknown_class_names_those_of_the_file(write):
    with pytest.raises(UsageError, match=r"(?s)Did you mean 'Mine'\?.*Choices: Mine"):
        find(f"{write(MODEL)}:Mien")


@pytest.mark.parametrize("reference", ["baselines.atlop:AtlopHyperparameters", "baselines.atlop:Field"])
def test_what_is_no_model_is_refused(reference):
    with pytest.raises(UsageError, match=r"is not a subclass of bench\.interface\.PairModel"):
        find(reference)


def test_a_model_without_a_recipe_is_refused(write):
    path = write("from bench.interface import PairModel\nclass Mine(PairModel): pass")
    with pytest.raises(UsageError, match="has no `recipe`"):
        find(f"{path}:Mine")


# Code versions


def version_of(write, text, folder):
    return code_version(find(f"{write(text, f'{folder}/mine.py')}:Mine").cls)


def test_a_code_version_changes_with_the_code(write):
    assert version_of(write, MODEL, "a") != version_of(write, MODEL + "    size = 3\n", "b")


def test_a_code_version_does_not_change_with_the_folder_remarks_or_layout(write):
    remarked = '''
        """A module docstring."""

        from bench.interface import (
            PairModel,
            Recipe,
            Stage,
        )


        class Mine(PairModel):
            """What it is."""

            # why
            recipe = Recipe.one_then_the_other(
                Stage(data="human"), Stage(data='distant'), Stage(data="ext"),
            )
            """What the recipe is."""
    '''
    assert version_of(write, MODEL, "a") == version_of(write, remarked, "b")


def test_a_code_version_does_not_change_with_where_the_harness_has_a_thing(write):
    elsewhere = MODEL.replace("from bench.interface", "import bench.errors\n    from bench.somewhere", 1)
    assert elsewhere != MODEL
    assert _code_of(ast.parse(textwrap.dedent(MODEL))) == _code_of(ast.parse(textwrap.dedent(elsewhere)))


def test_a_code_version_changes_with_what_of_the_harness_a_name_is_given_to():
    codes = [
        f"from bench.interface import {what} as loss\n\ndef f(x):\n    return loss(x)\n" for what in ("one", "other")
    ]
    assert len({_code_of(ast.parse(code)) for code in [*codes, codes[0].replace("bench.", "mine.")]}) == 3


def test_a_byte_order_mark_before_the_code_is_no_code(write):
    assert version_of(write, f"\ufeff{textwrap.dedent(MODEL)}", "a") == version_of(write, MODEL, "b")


PACKAGE = {
    "__init__.py": "",
    "model.py": MODEL + "    from .layers import Layer\n    from . import sizes\n",
    "layers.py": "class Layer: pass\n",
    "sizes.py": "SIZE = 3\n",
    "unrelated.py": "OTHER = 1\n",
}


def test_a_code_version_covers_the_modules_of_its_package_that_the_model_imports(write, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)

    def version(package, **changed):
        for file, text in (PACKAGE | {f"{module}.py": text for module, text in changed.items()}).items():
            write(text, f"{package}/{file}")
        return code_version(find(f"{package}.model:Mine").cls)

    plain = version("docre_bench_test_plain")
    assert version("docre_bench_test_layers", layers="class Layer: size = 1\n") != plain
    assert version("docre_bench_test_sizes", sizes="SIZE = 4\n") != plain
    assert version("docre_bench_test_unrelated", unrelated="OTHER = 2\n") == plain


def test_a_code_version_is_the_same_in_another_process():
    program = "from bench.registry import *; print(code_version(find('ttmre').cls))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == code_version(find("ttmre").cls)


def test_a_code_version_covers_the_model_it_is_derived_from(write):
    base = version_of(write, MODEL, "a")
    derived = "from baselines.atlop import Atlop\nclass Mine(Atlop): pass\n"
    assert version_of(write, derived, "b") not in {base, code_version(find("atlop").cls)}
    assert len({code_version(find(name).cls) for name in ("atlop", "ssrpu", "ttmre", "ttmre-released")}) == 4


def test_code_that_gives_the_same_numbers_keeps_the_version_of_what_it_replaces_until_it_changes(
    write, monkeypatch, tmp_path
):
    monkeypatch.syspath_prepend(tmp_path)
    for folder in ("docre_bench_test_old", "docre_bench_test_same", "docre_bench_test_changed"):
        write("", f"{folder}/__init__.py")
    old = write(MODEL, "docre_bench_test_old/model.py") and find("docre_bench_test_old.model:Mine").cls
    rewritten = MODEL + "    unread = 1\n"
    write(rewritten, "docre_bench_test_same/model.py")
    same = find("docre_bench_test_same.model:Mine").cls
    entry = f'"{hashed_version(same)}" = "{hashed_version(old)}"\n'
    write(entry, "docre_bench_test_same/same_numbers.toml")
    assert code_version(same) == code_version(old) != hashed_version(same)
    write(rewritten + "    unread_too = 2\n", "docre_bench_test_changed/model.py")
    write(entry, "docre_bench_test_changed/same_numbers.toml")
    changed = find("docre_bench_test_changed.model:Mine").cls
    assert code_version(changed) == hashed_version(changed) != code_version(old)


@pytest.mark.parametrize("package", ["baselines", "ttmre"])
def test_every_rewrite_that_is_listed_is_the_code_that_is_there(package):
    listed = tomllib.loads((Path(__file__).parents[1] / package / "same_numbers.toml").read_text())
    classes = [find(name).cls for name in registered()]
    classes += [cls.inference for cls in classes if cls.inference]
    there = {hashed_version(cls) for cls in classes if cls.__module__.partition(".")[0] == package}
    assert set(listed) <= there
    assert not set(listed.values()) & there
