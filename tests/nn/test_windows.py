"""Documents of more than one window, against the reference programs' over a stub encoder known by formula."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_encoders import CONFIGS, DEBERTA_V3, SOFTMAX_IN_FLOAT32, build, encoder_of
from torch import nn
from transformers import DebertaV2Config, RobertaConfig

from bench.data.batching import Batch
from bench.nn.attention_rows import ATTENTION, _remembering_sdpa
from bench.nn.encoder import Encoder
from bench.nn.windows import plan_windows

pytestmark = pytest.mark.usefixtures("windows")

CASES = [
    "short_bert",
    "n512_bert",
    "n700_bert",
    "n700_roberta",
    "mixed_bert",
    "n1021_roberta",
    "n1022_bert",
    "n1024_bert",
    "n1024_roberta",
]
EXACT = {"rtol": 1e-9, "atol": 1e-12}


class StubModel(nn.Module):
    """The stub of golden/README.md (g): layer l has states tanh((1 + 0.1 l) (E + P)), scores (1 + 0.1 l) q k^T."""

    def __init__(self, golden, layers):
        super().__init__()
        self.config = SimpleNamespace(_attn_implementation=ATTENTION, hidden_size=6)
        self.tables = {name: torch.tensor(golden[name]) for name in ("E", "P", "WQ", "WK")}
        self.layers = layers
        self.is_causal = False
        self.read = []

    def forward(self, input_ids, attention_mask, **kwargs):
        seen = torch.ones_like(input_ids).bool() if attention_mask is None else attention_mask.bool()
        self.read += [ids[own].tolist() for ids, own in zip(input_ids, seen, strict=True)]
        x = self.tables["E"][input_ids] + self.tables["P"][: input_ids.shape[1]]
        query, key = (torch.einsum("wld,hde->whle", x, self.tables[name]) for name in ("WQ", "WK"))
        states = []
        for layer in range(self.layers):
            scale = 1 + 0.1 * layer
            _remembering_sdpa(self, query, key, key, seen[:, None, None], scaling=scale, **kwargs)
            states.append((scale * x).tanh())
        return SimpleNamespace(last_hidden_state=states[-1], hidden_states=states)


class GoldenCase:
    def __init__(self, golden, name, layout):
        self.of = lambda key: golden[f"{name}.{key}"]
        self.lengths = self.of("attention_mask").sum(1)
        rows = self.of("att_rows_idx")
        self.rows = [rows < length for length in self.lengths]
        self.documents = tuple(
            layout([[p] for p in rows[keep]], int(length)) for keep, length in zip(self.rows, self.lengths, strict=True)
        )
        ids = torch.tensor(self.of("input_ids")).long()
        self.batch = Batch(ids, torch.tensor(self.of("attention_mask")).long(), self.documents, torch.zeros(0), ())

    def encoder(self, golden, layers):
        start, end = self.of("start_tokens").tolist(), self.of("end_tokens").tolist()
        return Encoder(StubModel(golden, layers), start, end, window=512, layers=layers)


@pytest.fixture(scope="module")
def arrays():
    return {}


@pytest.fixture
def golden(shared_file, arrays):
    if not arrays:
        with np.load(shared_file("golden/g_longseq.npz"), allow_pickle=False) as file:
            arrays.update({key: file[key] for key in file})
    return arrays


@pytest.fixture(params=CASES)
def case(request, golden, layout):
    return GoldenCase(golden, request.param, layout)


def test_the_golden_set_has_no_more_cases_than_are_tested(golden):
    assert {key.partition(".")[0] for key in golden if "." in key} == set(CASES)


@pytest.mark.parametrize(("layers", "prefix"), [(1, ""), (3, "dreeam_")])
def test_states_and_attention_of_merged_windows_are_the_reference_programs(golden, case, layers, prefix):
    encodings = case.encoder(golden, layers)(case.batch)
    for b, (encoding, length, kept) in enumerate(zip(encodings, case.lengths, case.rows, strict=True)):
        np.testing.assert_allclose(encoding.states, case.of(f"{prefix}seq")[b, :length], **EXACT)
        expected = case.of(f"{prefix}att_rows_f64")[b][:, kept, :length].swapaxes(0, 1)
        np.testing.assert_allclose(encoding.attention, expected, **EXACT)


def test_the_model_receives_the_reference_programs_windows(golden, case):
    encoder = case.encoder(golden, 1)
    encoder(case.batch)
    mask = case.of("model_mask").astype(bool)
    # What stands at padded positions is nobody's business.
    expected = [ids[own].tolist() for ids, own in zip(case.of("model_input_ids"), mask, strict=True)]
    assert encoder.model.read == expected


@pytest.mark.parametrize(("start", "end"), [(1, 1), (1, 2), (0, 0), (0, 1)])
@pytest.mark.parametrize(("window", "length"), [(18, 37), (18, 50), (18, 51), (18, 200), (512, 1025), (512, 2048)])
def test_longer_documents_have_the_fewest_windows_that_cover_them_about_equally(window, length, start, end):
    windows = plan_windows([length], window, start, end)
    inner = window - start - end
    assert {piece for w in windows for piece in range(w.start, w.stop)} == set(range(length))
    assert all(w.skip + w.stop - w.start + end * (w.stop < length) == window for w in windows)
    assert [w.skip for w in windows] == [0] + [start] * (len(windows) - 1)
    assert 2 * window - start - end + (len(windows) - 3) * inner < length
    overlaps = [w.stop - after.start for w, after in pairwise(windows)]
    assert min(overlaps) >= 0
    assert max(overlaps) - min(overlaps) <= 1


def test_a_window_that_the_special_tokens_fill_is_refused():
    with pytest.raises(ValueError, match="a window of 3 word pieces has no room beside 3 special tokens"):
        plan_windows([10], window=3, start=1, end=2)


@pytest.mark.parametrize("length", [1, 512, 513, 700, 1021])
def test_windows_cover_every_piece_and_none_is_longer_than_allowed(length):
    windows = plan_windows([length], window=512, start=1, end=2)
    covered = {piece for w in windows for piece in range(w.start, w.stop)}
    assert covered == set(range(length))
    for w in windows:
        assert w.skip + (w.stop - w.start) + (2 if w.stop < length else 0) <= 512


def two_windows(model, ids, markers, start, end, window, layers):
    """What `Encoder` should give for one document of more than a window, from the model run on each window by itself.

    The first window is the first pieces and `end`, the second `start` and the last ones.
    """
    length = len(ids)
    first, second = window - len(end), length - window + len(start)
    states = torch.zeros(length, 16, dtype=torch.float64)
    attention, covered = 0, torch.zeros(length, 1)
    for begin, stop, skip in ((0, first, 0), (second, length, len(start))):
        pieces = [*(start if begin else []), *ids[begin:stop].tolist(), *(end if stop < length else [])]
        assert len(pieces) == window
        output = model(torch.tensor([pieces]), output_attentions=True, output_hidden_states=True)
        hidden = output.hidden_states if layers > 1 else [output.last_hidden_state]
        at = slice(skip, skip + stop - begin)
        states[begin:stop] += torch.stack(list(hidden[-layers:])).mean(0)[0, at]
        covered[begin:stop] += 1
        maps = torch.stack(output.attentions[-layers:]).mean(0)[0][..., at]
        rows = torch.zeros(len(markers), maps.shape[0], length, dtype=torch.float64)
        for m, marker in enumerate(markers):
            if begin <= marker < stop:
                rows[m, :, begin:stop] = maps[:, marker - begin + skip]
        attention = attention + rows
    return states / covered, attention / (attention.sum(-1, keepdim=True) + 1e-10)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("end", [[3], [3, 3]], ids=["one separator", "two separators"])
@pytest.mark.parametrize("name", CONFIGS)
def test_documents_of_two_windows_are_merged_from_the_models_own_output(name, end, layers, layout, batch_of):
    long, short = layout([[1, 12], [9], [25, 3]], 27), layout([[2]], 11)
    batch = batch_of([short, long], pad_id=CONFIGS[name].pad_token_id)
    encoder = encoder_of(CONFIGS[name], layers=layers, window=18).double()
    encoder.end_ids = end
    with torch.no_grad():
        encoding = encoder(batch)[1]
        model = build(CONFIGS[name], "eager").double()
        states, attention = two_windows(model, batch.input_ids[1], [1, 12, 9, 25, 3], [2], end, 18, layers)
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if name in SOFTMAX_IN_FLOAT32 else EXACT
    torch.testing.assert_close(encoding.states, states, **tolerance)
    torch.testing.assert_close(encoding.attention, attention, **tolerance)


WHOLE = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.mark.parametrize(
    ("config", "end"),
    [
        (DebertaV2Config(**WHOLE | DEBERTA_V3 | {"position_buckets": 256}, max_position_embeddings=512), [3]),
        (RobertaConfig(**WHOLE, max_position_embeddings=514), [3, 3]),
    ],
    ids=["deberta-v3", "roberta"],
)
def test_documents_of_more_than_512_pieces(config, end, layout, batch_of):
    markers = [5, 300, 699]
    batch = batch_of([layout([[5], [300], [699]], 700)], pad_id=config.pad_token_id)
    encoder = encoder_of(config, window=512).double()
    encoder.end_ids = end
    with torch.no_grad():
        encoding = encoder(batch)[0]
        model = build(config, "eager").double()
        states, attention = two_windows(model, batch.input_ids[0], markers, [2], end, 512, 1)
    torch.testing.assert_close(encoding.states, states, **EXACT)
    torch.testing.assert_close(encoding.attention, attention, **EXACT)
