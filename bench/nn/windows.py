"""Documents longer than the encoder's input: cut into windows before it, merged to documents after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.data.batching import Batch


class DocumentEncoding(NamedTuple):
    """One encoded document: l word pieces, m surviving mentions, d wide, A heads.

    states: [l, d].   attention: [m, A, l], each row the attention from a mention's opening marker; [m, 0, l] from an
    encoder without `attention`.
    """

    states: Tensor
    attention: Tensor


@dataclass(frozen=True)
class Window:
    """Pieces `start` to `stop` of document `document`; `skip` pieces of special tokens stand before them."""

    document: int
    start: int
    stop: int
    skip: int


def plan_windows(lengths: Sequence[int], window: int, start: int, end: int) -> list[Window]:
    """One window for a document that fits, else the first and the last `window` pieces, with others between them.

    start, end: how many special tokens open and close a window that is cut out of a document.
    As in the reference programs, a document of almost `2 * window` pieces leaves start + end pieces in its middle that
    neither window covers; they get zeros. A longer one has as many windows as cover it, each overlapping the next by
    about the same. Raises ValueError for a window that the special tokens fill.
    """
    if window <= start + end:
        raise ValueError(f"a window of {window} word pieces has no room beside {start + end} special tokens")
    windows = []
    for b, length in enumerate(lengths):
        if length <= window:
            windows.append(Window(b, 0, length, 0))
            continue
        first, last = window - end, length - window + start  # where the first window stops and the last one starts
        inner, gap = window - start - end, last - first
        count = -(-gap // inner) if length > 2 * window else 0
        starts = [first - inner + (i + 1) * (gap + inner) // (count + 1) for i in range(count)]
        windows.append(Window(b, 0, first, 0))
        windows += [Window(b, at, at + inner, start) for at in starts]
        windows.append(Window(b, last, length, start))
    return windows


def rows_at(batch: Batch, windows: Sequence[Window]) -> list[Tensor]:
    """For each window the positions in it of its document's mention markers; -1 becomes 0 for those outside it.

    Every window has a row for every mention of its document, so that sizes never depend on values on the device.
    """
    rows = []
    for w in windows:
        at = batch.documents[w.document].mention_position - w.start + w.skip
        inside = (at >= w.skip) & (at < w.stop - w.start + w.skip)
        rows.append(torch.where(inside, at, torch.zeros_like(at)))
    return rows


def merge(
    batch: Batch, windows: Sequence[Window], states: list[Tensor], attention: list[Tensor], rows: list[Tensor]
) -> list[DocumentEncoding]:
    """Back to documents: states averaged where windows overlap, attention added and renormalised."""
    by_document: list[list[tuple[Window, Tensor, Tensor]]] = [[] for _ in batch.documents]
    for w, window_states, weights in zip(windows, states, attention, strict=True):
        span = slice(w.skip, w.skip + w.stop - w.start)
        by_document[w.document].append((w, window_states[span], weights[..., span]))
    merged = []
    for document, parts in zip(batch.documents, by_document, strict=True):
        if len(parts) == 1:
            merged.append(DocumentEncoding(parts[0][1], parts[0][2]))
            continue
        state_sum = covered = attention_sum = torch.zeros((), device=batch.input_ids.device)
        for w, window_states, weights in parts:
            after = document.length - w.stop
            at = document.mention_position
            inside = ((at >= w.start) & (at < w.stop)).to(weights.dtype)
            state_sum = state_sum + F.pad(window_states, (0, 0, w.start, after))
            covered = covered + F.pad(window_states.new_ones(w.stop - w.start), (w.start, after))
            attention_sum = attention_sum + F.pad(weights * inside[:, None, None], (w.start, after))
        total = attention_sum.sum(-1, keepdim=True) + 1e-10
        merged.append(DocumentEncoding(state_sum / covered.clamp(min=1)[:, None], attention_sum / total))
    return merged
