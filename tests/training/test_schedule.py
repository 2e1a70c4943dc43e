from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_experiments import execute, plans, results, stopped

from bench.data.batching import training_order
from bench.interface import Training
from bench.training.schedule import Schedule


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    pieces=st.none() | st.integers(1, 200),
    batch_size=st.integers(1, 5),
    accumulate=st.integers(1, 3),
    epochs=st.integers(1, 4),
)
def test_every_step_is_one_update_of_its_epoch_and_every_epoch_sees_every_document(
    lengths, pieces, batch_size, accumulate, epochs
):
    training = Training(batch_size=batch_size, accumulate=accumulate, epochs=epochs, tokens_per_batch=pieces)
    schedule = Schedule(np.array(lengths), training, seed=7)
    steps = [(epoch, at) for epoch in range(epochs) for at in range(len(schedule.updates(epoch)))]
    assert [schedule.at(step) for step in range(schedule.steps + 1)] == [*steps, (epochs, 0)]
    for epoch in range(epochs):
        batches = [rows for update in schedule.updates(epoch) for rows in update]
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        assert all(len(update) == accumulate for update in schedule.updates(epoch)[:-1])


def test_batches_of_a_number_of_documents_are_in_the_order_they_always_had():
    lengths = np.random.default_rng(0).integers(1, 500, 37)
    schedule = Schedule(lengths, Training(batch_size=4, accumulate=2, epochs=3), seed=5)
    for epoch in range(3):
        flat = [rows.tolist() for update in schedule.updates(epoch) for rows in update]
        assert flat == [rows.tolist() for rows in training_order(lengths, 4, 5, epoch)]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("question", [2, 4, 7])
def test_a_run_with_batches_of_a_number_of_pieces_resumes_to_the_same_bytes(question, tmp_path):
    planned = plans("atlop", "tokens_per_batch=75", "accumulate=2", "epochs=3")
    assert execute(tmp_path / "whole", planned) == []
    assert stopped(tmp_path / "parts", planned, question, kill=question == 4, seconds=0.0)
    execute(tmp_path / "parts", planned)
    assert results(tmp_path / "parts", planned) == results(tmp_path / "whole", planned)


@pytest.mark.usefixtures("small")
def test_a_number_of_pieces_makes_another_run_and_no_number_keeps_its_key():
    (counted,), (plain,) = plans("atlop", "tokens_per_batch=75"), plans("atlop")
    assert counted.key != plain.key
    assert plans("atlop", "tokens_per_batch=null")[0].stages[0].key == plain.stages[0].key
