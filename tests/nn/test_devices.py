from __future__ import annotations

import torch

from bench.nn.devices import device_name, set_seed


def test_seeding_the_device_that_is_drawn_from_gives_the_numbers_of_seeding_all():
    torch.manual_seed(7)
    expected = torch.rand(5)
    set_seed(torch.device("cpu"), 7)
    assert torch.equal(torch.rand(5), expected)


def test_a_cpu_is_named_by_the_instructions_that_pytorch_takes(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    one = device_name(torch.device("cpu"))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert one != device_name(torch.device("cpu"))
    assert "AVX2" in one
