from __future__ import annotations

import threading

import pytest

from bench.inference.batches import made_ahead


def test_items_come_in_order_and_all_of_them():
    assert list(made_ahead(iter(range(100)))) == list(range(100))
    assert list(made_ahead(iter([]))) == []


def test_no_more_are_made_than_were_asked_for_and_may_wait():
    made = []
    enough = threading.Event()

    def items():
        for i in range(100):
            made.append(i)
            if i == 3:
                enough.set()
            yield i

    ahead = made_ahead(items(), ready=2)
    assert next(ahead) == 0
    assert enough.wait(timeout=10)  # one given, two waiting, one in hand
    ahead.close()
    assert made == [0, 1, 2, 3]


def test_an_error_is_raised_where_its_item_would_have_come():
    def items():
        yield 1
        raise ValueError("damaged")

    ahead = made_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)


def test_whoever_stops_asking_stops_the_thread():
    before = threading.active_count()
    ahead = made_ahead(iter(range(10**9)))
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before
