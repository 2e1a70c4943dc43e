"""The losses beside the released programs: value, gradient and decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.losses.amtl import Amtl
from bench.losses.atgl import Atgl
from bench.losses.balanced_softmax import BalancedSoftmax
from bench.losses.contrastive import contrastive_term, cosines
from bench.losses.interface import Loss
from bench.losses.ncrl import Ncrl
from bench.losses.pmt_em import PmtEm, moving_threshold_terms
from bench.losses.separate import Aml, HingeAbl, MeanSat, Sat
from bench.nn.losses import adaptive_threshold_loss

CLASSES: dict[str, type[Loss]] = {
    "atgl": Atgl,
    "sat": Sat,
    "mean_sat": MeanSat,
    "hinge_abl": HingeAbl,
    "aml": Aml,
    "balanced_softmax": BalancedSoftmax,
    "ncrl": Ncrl,
    "pmt_em": PmtEm,
    "amtl": Amtl,
}
SEPARATE = [
    (name, case)
    for name, cases in {
        "atgl": "m9 m96 l96 e9 x96",
        "sat": "m9 m96 l96 e9 x96",
        "mean_sat": "m9 m96 l96 x96",
        "hinge_abl": "m9 m96 l96 e9 e9_m5 x96",
        "aml": "m9 m96 l96 e9 x96",
        "balanced_softmax": "m9 m96 l96 e9 x96",
        "ncrl": "m9 m96 l96 e9 m9_sum x96",
        "pmt_em": "m9 m96 l96 e9 x96",
        "amtl": "t9 t96 tl96 te9",
    }.items()
    for case in cases.split()
]
PRECISIONS = [(torch.float64, "f64"), (torch.float32, "f32")]


class Golden:
    """A case of the golden set, with the columns in our order: thresholds, then relations."""

    def __init__(self, arrays: Mapping[str, np.ndarray], case: Mapping[str, Any]) -> None:
        self.arrays, self.case = arrays, case
        self.key = f"{case['loss']}__{case['case']}__"
        given = arrays[f"in_{case['input']}__logits"]
        self.labels = torch.from_numpy(arrays[f"in_{case['input']}__labels"]).bool()
        blocks = case["hyperparameters"].get("blocks", [[0, given.shape[1]]])
        firsts = [first for first, _ in blocks]
        self.columns = [*firsts, *(c for c in range(given.shape[1]) if c not in firsts)]
        self.given = given[:, self.columns]
        self.sizes = [last - first - 1 for first, last in blocks]

    def loss(self, at_most: int | None = 4) -> Loss:
        """Ours with the settings of the case."""
        cls = CLASSES[self.case["loss"]]
        settings: dict[str, Any] = {"at_most": at_most}
        for name, value in self.case["hyperparameters"].items():
            name = {"lambda": "divisor"}.get(name, name)
            if name in cls.Hyperparameters.model_fields:
                settings[name] = self.sizes if name == "blocks" else value
        count = self.labels.shape[1]
        return cls(cls.Hyperparameters(**settings), [1 / (rank + 2) for rank in range(count)])

    def expected(self, what: str, suffix: str) -> np.ndarray:
        """The program's value; that of the stable formula where the program's own goes wrong."""
        formula = f"{self.key}formula_{what}_f64"
        return self.arrays[formula] if formula in self.arrays else self.arrays[f"{self.key}{what}_{suffix}"]


@pytest.fixture
def golden(shared_file):
    arrays = np.load(shared_file("golden/l_losses.npz"), allow_pickle=False)
    cases = json.loads(shared_file("golden/l_losses_cases.json").read_text())
    listed = {(case["loss"], case["case"]): case for case in cases}
    return lambda loss, case: Golden(arrays, listed[loss, case])


def total(parts: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum()


def close(ours: Tensor, expected: np.ndarray, tolerance: float) -> None:
    expected = np.asarray(expected)
    largest = max(np.abs(expected).max(), 1e-300)
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize(("dtype", "suffix"), PRECISIONS)
@pytest.mark.parametrize(("name", "case"), SEPARATE)
def test_value_and_gradient_are_the_reference_programs(golden, name, case, dtype, suffix):
    if (name, case, suffix) == ("ncrl", "l96", "f32"):
        pytest.skip("the program's float32 takes 1 - s(x) for s(-x), which is 0 from 17 up; ours is not")
    one = golden(name, case)
    tolerance = 1e-9 if suffix == "f64" else 1e-5
    logits = torch.tensor(one.given, dtype=dtype, requires_grad=True)
    value = total(one.loss()(logits, one.labels)) * (len(logits) if case == "m9_sum" else 1)
    value.backward()
    close(value, one.expected("loss", suffix), tolerance)
    close(logits.grad, one.expected("grad", suffix)[:, one.columns], tolerance)


def test_several_thresholds_in_one_block_are_atl(golden):
    one = golden("amtl", "one_block")
    logits = torch.tensor(one.given, requires_grad=True)
    value = adaptive_threshold_loss(logits, one.labels)
    value.backward()
    close(value, one.arrays[one.key + "loss_f64"], 1e-9)
    close(logits.grad, one.arrays[one.key + "grad_f64"], 1e-9)


@pytest.mark.parametrize(("name", "case"), [one for one in SEPARATE if one[1] != "x96" and one != ("mean_sat", "m9")])
def test_the_loss_of_each_pair_is_the_reference_programs(golden, name, case):
    one = golden(name, case)
    logits = torch.tensor(one.given)
    rows = [total(one.loss()(row[None], label[None])) for row, label in zip(logits, one.labels, strict=True)]
    close(torch.stack(rows), one.expected("rows", "f64"), 1e-7 if (name, case) == ("ncrl", "l96") else 1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "case"), SEPARATE)
def test_decisions_are_the_reference_programs_with_and_without_a_limit(golden, name, case, dtype):
    one = golden(name, case)
    logits = torch.tensor(one.given, dtype=dtype)
    for at_most, key in ((4, "pred4"), (None, "pred_all")):
        assert np.array_equal(one.loss(at_most).decode(logits).numpy(), one.arrays[one.key + key].astype(bool))


@pytest.mark.parametrize("case", ["m9", "m96", "l96", "e9"])
def test_entropies_counted_pair_by_pair_have_the_gradient_of_the_program_called_with_one_pair(golden, case):
    one = golden("pmt_em", case)
    logits = torch.tensor(one.given, requires_grad=True)
    sat, positives, negatives = moving_threshold_terms(logits, one.labels, "pair")
    weights = one.case["hyperparameters"]
    (sat + weights["lambda_1"] * positives + weights["lambda_2"] * negatives).backward()
    close(logits.grad * len(logits), one.arrays[one.key + "rows_grad_f64"], 1e-9)


@pytest.mark.parametrize("case", ["m96", "l96"])
def test_negatives_left_out_of_pairs_without_a_label_are_those_of_the_program(golden, case):
    one = golden("pmt_em_sampled", case)
    logits = torch.tensor(one.given, requires_grad=True)
    kept = torch.from_numpy(one.arrays[one.key + "dropped"] == 0)
    value = torch.stack(moving_threshold_terms(logits, one.labels, "batch", kept)).sum()
    value.backward()
    close(value, one.arrays[one.key + "loss_f64"], 1e-9)
    close(logits.grad, one.arrays[one.key + "grad_f64"], 1e-9)


@pytest.mark.parametrize(("dtype", "suffix"), PRECISIONS)
@pytest.mark.parametrize("case", ["f9_kept", "f96_kept", "f9one_kept"])
def test_the_contrastive_term_and_its_gradient_are_the_reference_programs(shared_file, case, dtype, suffix):
    arrays = np.load(shared_file("golden/l_losses.npz"), allow_pickle=False)
    cases = json.loads(shared_file("golden/l_losses_cases.json").read_text())
    hp = next(c["hyperparameters"] for c in cases if (c["loss"], c["case"]) == ("contrastive", case))
    given, key = case.partition("_")[0], f"contrastive__{case}__"
    features = torch.tensor(arrays[f"in_{given}__features"], dtype=dtype, requires_grad=True)
    labels = torch.from_numpy(arrays[f"in_{given}__labels"]).bool()
    value = contrastive_term(cosines(features @ features.T), labels, hp["tau"], hp["tau_base"])
    value.backward()
    tolerance = 1e-9 if suffix == "f64" else 1e-5
    close(value, arrays[f"{key}loss_{suffix}"], tolerance)
    close(features.grad, arrays[f"{key}grad_{suffix}"], tolerance)
