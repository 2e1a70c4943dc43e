from __future__ import annotations

import pytest
import torch

from bench.training.repeatable import Repeatable


def without_repeating_kernel(done: list[float]) -> None:
    """`put_` is one of the few operations without a deterministic kernel on a CPU."""
    done.append(torch.zeros(2).put_(torch.tensor([1]), torch.tensor([3.0])).sum().item())


def strict() -> bool:
    return torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()


def test_work_is_done_with_repeating_kernels_alone_and_nothing_of_it_stays():
    seen: list[bool] = []
    before = strict()
    with Repeatable("stage") as kernels:
        kernels.do(lambda: seen.append(strict()))
    assert seen == [True]
    assert strict() == before


def test_memory_that_is_about_to_be_written_is_not_filled_first():
    before = torch.utils.deterministic.fill_uninitialized_memory
    with Repeatable("stage"):
        assert not torch.utils.deterministic.fill_uninitialized_memory
    assert torch.utils.deterministic.fill_uninitialized_memory == before


def test_work_without_a_repeating_kernel_is_done_all_the_same_and_told_once(capsys):
    done: list[float] = []
    with Repeatable("stage-7") as kernels:
        kernels.do(without_repeating_kernel, done)
        kernels.do(without_repeating_kernel, done)
    assert done == [3.0, 3.0]
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1
    assert "stage-7: put_ has no kernel that repeats" in told[0]


def test_what_a_failed_try_has_spoilt_is_renewed_before_the_next():
    renewed: list[str] = []
    with Repeatable("stage") as kernels:
        kernels.do(without_repeating_kernel, [], renew=lambda: renewed.append("once"))
        kernels.do(without_repeating_kernel, [], renew=lambda: renewed.append("again"))
    assert renewed == ["once"]


def test_work_beside_one_that_was_let_off_stays_strict():
    seen: list[bool] = []
    with Repeatable("stage") as kernels:
        kernels.do(without_repeating_kernel, [])
        kernels.do(lambda: seen.append(strict()))
    assert seen == [True]


def test_other_errors_are_not_taken_for_it():
    def fail() -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"), Repeatable("stage") as kernels:
        kernels.do(fail)
