from __future__ import annotations

import os
import signal

import pytest

from bench.runs.interrupt import SIGNALS, Interrupt, Interrupted, handling_signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_asks_for_a_stop_and_the_next_check_stops(number):
    with handling_signals() as interrupt:
        interrupt.check()
        os.kill(os.getpid(), number)
        assert interrupt.requested == number
        with pytest.raises(Interrupted, match=signal.Signals(number).name):
            interrupt.check()


def test_a_second_ctrl_c_stops_at_once():
    with handling_signals() as interrupt:
        interrupt.request(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("first", "second"), [("SIGTERM", "SIGTERM"), ("SIGUSR2", "SIGTERM"), ("SIGTERM", "SIGINT")])
def test_other_signals_may_come_twice_without_cutting_the_checkpoint_short(first, second):
    interrupt = Interrupt()
    interrupt.request(signal.Signals[first])
    interrupt.request(signal.Signals[second])
    assert interrupt.requested == signal.Signals[second]


def test_the_handlers_from_before_are_back_afterwards():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with pytest.raises(ZeroDivisionError), handling_signals():
        raise ZeroDivisionError
    assert {number: signal.getsignal(number) for number in SIGNALS} == before
