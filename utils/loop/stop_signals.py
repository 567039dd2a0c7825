"""Ctrl-C and `kill`: noted when they come, obeyed where a checkpoint can be saved."""

import signal
import threading
from typing import Any

from utils.errors import TrainingInterrupted
from utils.parallel import largest


class StopSignals:
    """Notes SIGINT and SIGTERM inside a `with` block, in the main thread; a second SIGINT ends the process at once."""

    _noted = 0  # the signal's number; 0: none came

    def __enter__(self) -> "StopSignals":
        is_main = threading.current_thread() is threading.main_thread()  # in another Python cannot note them
        numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._noted = 0

    def obey(self) -> None:
        """Raise TrainingInterrupted if a signal was noted. All processes of a run have to ask, and agree on it."""
        if noted := largest(self._noted):
            raise TrainingInterrupted(noted)

    def _note(self, signal_number: int, frame: Any) -> None:
        if self._noted and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        self._noted = signal_number
