"""Which heavy libraries each command may load: what a command costs before it does anything."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench.cli.model_cards import registered_cards
from bench.data.documents import Document, Label, Mention
from bench.data.formats.docred import write_documents
from bench.metrics.submission import Prediction, write_submission

HEAVY = {
    "matplotlib",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scipy",
    "submitit",
    "tokenizers",
    "torch",
}
RESULTS = Path(__file__).parents[1] / "fixtures" / "schema-1" / "results"
SSRPU = "block_size=16,epochs=2,pair_size=32"
TTMRE = "block_size=16,epochs=2,layers=1,memory=8,pair_size=32"
# Typer coerces what is typed with pydantic; the list of commands needs no options.
COMMANDS = {
    "--help": set(),
    "--version": set(),
    "audit --out OUT": {"numpy", "pydantic", "scipy"},
    f"compare 'ssrpu ({SSRPU})' 'ttmre ({TTMRE})' --setting human --out OUT": {"numpy", "pydantic", "scipy"},
    "card s0-09f573c4a3e97438 --to CARD --out OUT": {"numpy", "pydantic", "scipy"},
    "data list": {"pydantic"},
    "data stats sample": {"pydantic"},
    "evaluate --gold GOLD --pred PRED": {"pydantic"},
    "import LMRC --dataset sample --pred PRED --out OUT": {"pydantic"},
    "models": {"pydantic"},
    "models show ttmre": {"pydantic"},
    "status --out OUT": {"pydantic"},
    "table --out OUT": {"numpy", "pydantic", "scipy"},
}
PROGRAM = f"""
import sys
from bench.cli.main import main
try:
    main()
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print(*sorted({HEAVY} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which what commands keep is kept already."""
    folder = tmp_path_factory.mktemp("home")
    for command in ("models", "data stats sample"):
        call(command, folder)
    return folder


def call(command: str, home: Path, **files: Path) -> list[str]:
    """What a command loads of the heavy libraries."""
    words = [str(files.get(word, word)) for word in shlex.split(command)]
    program = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(
        program, env={**os.environ, "BENCH_HOME": str(home)}, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1].split()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_no_library_that_it_does_not_need(command, home, tmp_path):
    gold, pred, out = tmp_path / "gold.json", tmp_path / "pred.json", tmp_path / "results"
    shutil.copytree(RESULTS, out)
    mentions = [(Mention(0, i, i + 1, word, "PER"),) for i, word in enumerate("ab")]
    write_documents(gold, [Document("a", (("a", "b"),), tuple(mentions), (Label(0, 1, "P1"),))])
    write_submission(pred, [Prediction("a", 0, 1, "P1")])
    assert call(command, home, GOLD=gold, PRED=pred, OUT=out, CARD=tmp_path / "card.md") == sorted(COMMANDS[command])


def test_a_report_loads_what_draws_only_where_something_has_changed(home, tmp_path):
    """Its memory is of a model that is not here: nothing is kept of it, and torch would be loaded to say so."""
    out = tmp_path / "results"
    shutil.copytree(RESULTS, out)
    report = "report --no-memory --out OUT"
    assert call(report, home, OUT=out) == ["matplotlib", "numpy", "pydantic", "safetensors", "scipy"]
    assert call(report, home, OUT=out) == ["numpy", "pydantic", "safetensors", "scipy"]


def test_a_command_is_imported_alone(home):
    program = "import sys\nfrom bench.cli.main import main\n" + (
        "try: main()\nexcept SystemExit: pass\n"
        "print(*sorted(name for name in sys.modules if name.startswith('bench.cli.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, "logs", "--help"], capture_output=True, text=True, check=True)
    assert done.stderr.replace("bench.cli.", "").split() == [
        *("chosen_runs", "command", "completion", "logs", "main", "options")
    ]


def test_a_card_is_made_again_when_code_of_the_package_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "invented").mkdir()
    (tmp_path / "invented" / "__init__.py").write_text("")
    source = tmp_path / "invented" / "models.py"
    source.write_text('from baselines.atlop import Atlop\n\nclass One(Atlop):\n    """The first."""\n')
    entry = EntryPoint("one", "invented.models:One", "docre_bench.models")
    monkeypatch.setattr("bench.registry.entry_points", lambda group: [entry])
    assert registered_cards([entry])[0].description == "The first."
    source.write_text(source.read_text().replace("The first.", "Another text."))
    del sys.modules["invented.models"]
    assert registered_cards([entry])[0].description == "Another text."
    monkeypatch.setattr("bench.registry.find", lambda name: pytest.fail("imported again"))
    assert registered_cards([entry])[0].description == "Another text."
