"""What a stage computes in where that is left to the machine."""

from __future__ import annotations

import warnings

import pytest
import torch

from bench.nn import precision
from bench.nn.precision import bfloat16_instructions, precision_context, settled_precision

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture(params=[True, False])
def has_instructions(request, monkeypatch) -> bool:
    monkeypatch.setattr(precision, "bfloat16_instructions", lambda: ("avx512_bf16",) if request.param else ())
    return request.param


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
@pytest.mark.parametrize("device", [CPU, CUDA, MPS])
def test_what_is_asked_for_is_taken_on_any_device(asked, device, has_instructions):
    assert settled_precision(asked, device, 768) == asked


@pytest.mark.parametrize("asked", ["auto", "bf16-on-gpu"])
def test_a_gpu_computes_in_bfloat16(asked, has_instructions):
    assert settled_precision(asked, CUDA, 128) == "bf16"


@pytest.mark.parametrize(("size", "wide"), [(0, False), (128, False), (256, True), (1024, True)])
def test_a_cpu_computes_in_bfloat16_where_it_can_and_the_encoder_is_wide(size, wide, has_instructions):
    assert settled_precision("auto", CPU, size) == ("bf16" if wide and has_instructions else "fp32")


def test_what_is_compared_with_published_numbers_is_float32_off_a_gpu(has_instructions):
    assert settled_precision("bf16-on-gpu", CPU, 1024) == "fp32"


def test_other_devices_compute_in_float32(has_instructions):
    assert settled_precision("auto", MPS, 1024) == "fp32"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, ("avx512_bf16",)),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, ("amx_bf16",)),
        ({"architecture": "aarch64", "bf16": True}, ("bf16",)),
        ({"architecture": "x86_64", "avx512_bf16": False, "avx512_f": True}, ()),
        ({}, ()),
    ],
)
def test_instructions_are_those_that_torch_finds(found, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert bfloat16_instructions.__wrapped__() == expected


def test_a_torch_that_cannot_tell_is_taken_for_one_without(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert bfloat16_instructions.__wrapped__() == ()


@pytest.mark.parametrize(
    ("device", "asked", "one_by_one", "expected"),
    [(CPU, "bf16", True, True), (CPU, "bf16", False, False), (CPU, "fp32", True, False), (CUDA, "bf16", True, False)],
)
def test_bfloat16_is_multiplied_by_float32_where_it_would_be_number_by_number(
    device, asked, one_by_one, expected, monkeypatch
):
    calls = []
    monkeypatch.setattr(precision, "are_made_one_by_one", lambda: one_by_one)
    monkeypatch.setattr(precision, "multiply_by_float32", lambda: calls.append(1))
    with warnings.catch_warnings():  # of a GPU that is not there
        warnings.simplefilter("ignore")
        precision_context(device, asked)
    assert bool(calls) == expected
