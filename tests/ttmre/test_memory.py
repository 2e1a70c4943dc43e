from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ttmre.memory import MemoryRead, ProcessingLayer

PAIRS, SIZE = 7, 32


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def plain_read(read: MemoryRead, pair: Tensor) -> Tensor:
    """The equations of section 3.2 as they stand: m + 2 tokens for every pair, one softmax over them."""
    tokens = torch.cat([read.memory_tokens.expand(len(pair), -1, -1), pair], dim=1)
    if read.memory_positions is not None and read.pair_positions is not None:
        tokens = tokens + torch.cat([read.memory_positions, read.pair_positions])
    weights = read.mlp(read.norm(tokens)).softmax(dim=1)
    return torch.einsum("ptr,pte->pre", weights, tokens)


def value_and_gradients(function: Any, read: MemoryRead, pair: Tensor, upstream: Tensor) -> dict[str, Tensor]:
    pair = pair.clone().requires_grad_()
    value = function(pair)
    wanted = {"pair": pair, **dict(read.named_parameters())}
    gradients = torch.autograd.grad(value, list(wanted.values()), upstream)
    return {"value": value, **dict(zip(wanted, gradients, strict=True))}


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("tokens", [1, 10, 200])
def test_reading_a_summary_of_the_memory_equals_reading_all_its_tokens(tokens: int, positions: bool) -> None:
    read = MemoryRead(SIZE, tokens, positions=positions, initial="normal", std=1.0).double()
    pair, upstream = torch.randn(2, PAIRS, 2, SIZE, dtype=torch.float64)
    got = value_and_gradients(read, read, pair, upstream)
    expected = value_and_gradients(lambda x: plain_read(read, x), read, pair, upstream)
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=1e-12, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


def test_read_is_exact_where_importance_would_overflow_an_exponential() -> None:
    read = MemoryRead(SIZE, 10, positions=True, initial="normal", std=1.0)
    nn.init.normal_(read.mlp[2].weight, std=1e4)
    pair, upstream = torch.randn(2, PAIRS, 2, SIZE)
    assert read.importance(pair).abs().max() > 1000  # exp of it is infinite in float32 and in float64
    got = value_and_gradients(read, read, pair, upstream)
    expected = value_and_gradients(lambda x: plain_read(read, x), read, pair, upstream)
    for name in ("value", "pair", "memory_tokens"):
        torch.testing.assert_close(got[name], expected[name], rtol=1e-4, atol=1e-4)


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements any operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_no_tensor_grows_with_pairs_times_memory() -> None:
    pairs, tokens, size = 300, 400, 16
    read = MemoryRead(size, tokens, positions=True, initial="normal")
    pair = torch.randn(pairs, 2, size, requires_grad=True)
    with LargestTensor() as largest:
        read(pair).sum().backward()
    assert largest.elements <= 2 * size * max(pairs, tokens)
    with LargestTensor() as largest:
        plain_read(read, pair).sum().backward()
    assert largest.elements > pairs * tokens  # what the plain formulation needs, so that the check can fail


@pytest.mark.parametrize("initial", ["normal", "xavier"])
def test_memory_tokens_start_with_their_spread(initial: Any) -> None:
    tokens = MemoryRead(768, 200, positions=False, initial=initial, std=0.5).memory_tokens
    expected = 0.5 if initial == "normal" else (2 / (200 + 768)) ** 0.5
    assert tokens.std().item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("groups", "tokens"), [(5, 2), (2, 9)])
def test_processing_layer_equals_the_encoder_layer_of_torch(groups: int, tokens: int) -> None:
    ours = ProcessingLayer(SIZE, heads=8).double()
    reference = nn.TransformerEncoderLayer(SIZE, 8, SIZE, dropout=0.0, batch_first=True, dtype=torch.float64)
    reference.load_state_dict(
        {
            "self_attn.in_proj_weight": ours.query_key_value.weight,
            "self_attn.in_proj_bias": nn.init.normal_(ours.query_key_value.bias),
            "self_attn.out_proj.weight": ours.attended.weight,
            "self_attn.out_proj.bias": nn.init.normal_(ours.attended.bias),
            "linear1.weight": ours.feed_forward[0].weight,
            "linear1.bias": ours.feed_forward[0].bias,
            "linear2.weight": ours.feed_forward[2].weight,
            "linear2.bias": ours.feed_forward[2].bias,
            "norm1.weight": nn.init.normal_(ours.norm_attended.weight),
            "norm1.bias": nn.init.normal_(ours.norm_attended.bias),
            "norm2.weight": nn.init.normal_(ours.norm.weight),
            "norm2.bias": nn.init.normal_(ours.norm.bias),
        }
    )
    x = torch.randn(groups, tokens, SIZE, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn_like(x)
    torch.testing.assert_close(ours(x), reference(x), rtol=1e-12, atol=1e-12)
    (got,), (expected,) = (torch.autograd.grad(layer(x), x, upstream) for layer in (ours, reference))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_heads_that_do_not_divide_the_pair_size_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="pair_size 100 is not a multiple of heads 8"):
        ProcessingLayer(100, 8)
