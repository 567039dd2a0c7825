import os
import signal
import threading

import pytest

from utils.errors import TrainingInterrupted
from utils.loop.stop_signals import StopSignals


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_noted_and_obeyed_later(number, exit_code):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        signals.obey()
        send(number)
        with pytest.raises(TrainingInterrupted) as interrupted:
            signals.obey()
    assert interrupted.value.exit_code == exit_code
    assert signal.getsignal(number) == before
    signals.obey()  # nothing is left for what comes after


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), StopSignals():
        send(signal.SIGTERM)
        send(signal.SIGINT)


def test_outside_the_main_thread_nothing_is_noted_and_nothing_fails():
    before, results = signal.getsignal(signal.SIGINT), []
    signals = StopSignals()
    with signals:
        pass

    def use() -> None:
        with signals:
            results.append(signal.getsignal(signal.SIGINT))
            signals.obey()
        results.append("ended")

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert results == [before, "ended"]
