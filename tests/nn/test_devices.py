from __future__ import annotations

import torch

from bench.nn import precision
from bench.nn.devices import device_name, set_seed


def test_seeding_the_device_that_is_drawn_from_gives_the_numbers_of_seeding_all():
    torch.manual_seed(7)
    expected = torch.rand(5)
    set_seed(torch.device("cpu"), 7)
    assert torch.equal(torch.rand(5), expected)


def test_cpus_that_round_otherwise_have_other_names(monkeypatch):
    names = set()
    for capability, bfloat16 in (("AVX2", ()), ("AVX512", ()), ("AVX512", ("avx512_bf16",))):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        monkeypatch.setattr(precision, "bfloat16_instructions", lambda bfloat16=bfloat16: bfloat16)
        names.add(device_name(torch.device("cpu")))
        assert capability in device_name(torch.device("cpu"))
    assert len(names) == 3
