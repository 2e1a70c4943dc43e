from __future__ import annotations

import torch

from bench.nn.devices import set_seed


def test_seeding_the_device_that_is_drawn_from_gives_the_numbers_of_seeding_all():
    torch.manual_seed(7)
    expected = torch.rand(5)
    set_seed(torch.device("cpu"), 7)
    assert torch.equal(torch.rand(5), expected)
