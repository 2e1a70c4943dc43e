from __future__ import annotations

from pathlib import Path

import pytest
from sample_documents import sample_splits
from trained_models import TRAINED

from bench.execution import model_checks as checking
from bench.execution.model_checks import Check, check_model
from bench.registry import find


@pytest.fixture(scope="module", autouse=True)
def documents_made_once():
    """The checks are about models: the documents they are tried on are the same each time."""
    splits = sample_splits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking.sample, "generate", lambda seed: splits)
        yield


def failed(checks: list[Check]) -> dict[str, str]:
    return {finding.claim: finding.detail for finding in checks if not finding.holds}


@pytest.fixture
def broken(tmp_path: Path):
    """The checks about an ATLOP, small, whose class has `body` in it."""

    def check(body: str) -> list[Check]:
        lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
        (tmp_path / "broken.py").write_text(
            "import torch\nfrom torch import nn\nfrom baselines.atlop import Atlop, AtlopHyperparameters\n\n\n"
            "class Small(AtlopHyperparameters):\n    pair_size: int = 16\n    block_size: int = 16\n\n\n"
            f"class Broken(Atlop):\n    Hyperparameters = Small\n{lines}"
        )
        return list(check_model(find(f"{tmp_path}/broken.py:Broken").cls))

    return check


@pytest.mark.parametrize("name", TRAINED)
def test_every_registered_model_passes(name, monkeypatch):
    monkeypatch.setattr(checking, "DOCUMENTS", 2)
    assert failed(list(check_model(find(name).cls))) == {}


def test_every_claim_is_made_of_a_sound_model(broken):
    assert [finding.claim for finding in broken("")] == [checking.BUILT, *checking.CHECKS]


def test_a_model_whose_scores_depend_on_the_batch_passes_with_a_note(broken):
    checks = broken("def forward(self, pairs):\n    logits = super().forward(pairs)\n    return logits + logits.mean()")
    assert failed(checks) == {}
    assert checks[-1].claim == "NOTE, batch dependence"


def test_a_model_that_decides_by_another_threshold_than_it_says_passes_with_a_note(broken):
    checks = broken("def decode(self, logits):\n    return logits[:, 1:] > logits[:, :1] - 100")
    assert failed(checks) == {}
    assert checks[-1].claim == "NOTE, scores"


def test_a_model_without_a_setting_passes_with_a_note(broken):
    checks = broken(
        "from bench.interface import Recipe, Stage\nrecipe = Recipe(stages={'human': (Stage(data='human'),)})"
    )
    assert failed(checks) == {}
    assert checks[-1].detail == "distant, human+distant, ext, ext+distant: those cells stay empty"


LOGITS = "forward gives one row of logits per pair, [P, R + 1] or [P, R]"
DECODE = "decode gives [P, R] booleans"
LOSS = "loss gives named finite scalars"

# What is in the class, the claim that does not hold, and what is said about it.
BROKEN = [
    ("def __init__(self, hp, task):\n    raise ValueError('no [way]')", checking.BUILT, "ValueError: no [way]"),
    ("def forward(self, pairs):\n    return super().forward(pairs).sum(1)", LOGITS, "] for "),
    ("def forward(self, pairs):\n    raise KeyError('pears')", LOGITS, "KeyError: 'pears'"),
    ("def __init__(self, hp, task):\n    exit(3)", checking.BUILT, "the model's code ended the program: sys.exit(3)"),
    ("def forward(self, pairs):\n    exit()", LOGITS, "the model's code ended the program: sys.exit()"),
    ("def decode(self, logits):\n    exit(0)", DECODE, "the model's code ended the program: sys.exit(0)"),
    ("def decode(self, logits):\n    return logits[:, 1:]", DECODE, "of torch.float32, expected"),
    ("def decode(self, logits):\n    return logits > 0", DECODE, "of torch.bool, expected"),
    ("def loss(self, logits, labels):\n    return {}", LOSS, "it has no parts"),
    ("def loss(self, logits, labels):\n    return {'risk': logits.sum() * float('nan')}", LOSS, "risk is nan"),
    ("def loss(self, logits, labels):\n    return {'risk': logits.square()}", LOSS, "risk: ["),
    ("def loss(self, logits, labels):\n    return logits.sum()", LOSS, "AttributeError"),
    (
        "def loss(self, logits, labels):\n    labels.fill_(True)\n    return super().loss(logits, labels)",
        "loss leaves the labels as they are",
        "modified in place",
    ),
    (
        "def __init__(self, hp, task):\n    super().__init__(hp, task)\n    self.unused = nn.Linear(2, 2)",
        "every parameter gets a finite gradient",
        "none for unused.weight, unused.bias",
    ),
    (
        "def loss(self, logits, labels):\n    return {'risk': (logits * 0).sum()}",
        f"{checking.STEPS} steps lower the loss",
        "0.000 to 0.000",
    ),
    (
        "calls = 0\ndef forward(self, pairs):\n    self.calls += 1\n    return super().forward(pairs) + self.calls",
        "a saved and loaded model gives the same logits",
        "state outside the parameters",
    ),
    (
        "def forward(self, pairs):\n    logits = super().forward(pairs)\n    return logits - logits.max()",
        "a document without pairs gives no predictions",
        "RuntimeError",
    ),
]


@pytest.mark.parametrize(("body", "claim", "detail"), BROKEN)
def test_a_broken_promise_is_found_and_explained(body, claim, detail, broken):
    assert detail in failed(broken(body))[claim]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_logits_that_are_not_finite_are_the_one_failure_of_a_model(value, broken):
    checks = broken(
        "def forward(self, pairs):\n    logits = super().forward(pairs)\n"
        f"    return logits if self.training else logits * float({value!r})"
    )
    (failure,) = failed(checks).items()
    assert failure[0] == checks[-1].claim == checking.FINITE
    assert failure[1].startswith("in evaluation mode ")


def test_a_check_that_raises_ends_the_list_with_its_own_claim(broken):
    checks = broken("def decode(self, logits):\n    raise ValueError('why')")
    assert (checks[-1].claim, checks[-1].holds) == ("decode gives [P, R] booleans", False)
    assert checks[-1].detail.startswith("ValueError: why (")
    assert checks[-1].detail.endswith("broken.py, line 14, in decode)")
