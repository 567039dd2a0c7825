"""Ctrl-C and `kill`: noted when they come, obeyed where a checkpoint can be saved."""

import signal
import threading
from typing import Any

from utils.errors import TrainingInterrupted
from utils.parallel import largest, world_size


class StopSignals:
    """Notes SIGINT and SIGTERM inside a `with` block; a second SIGINT ends the process at once.

    Outside the main thread, where Python cannot note them, they keep their usual effect.
    """

    def __init__(self):
        self._noted = 0
        self._n_processes = world_size()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before, self._noted = {}, 0

    def obey(self) -> None:
        """Raise TrainingInterrupted if one was noted. Several processes agree on it: all of them have to ask."""
        noted = self._noted if self._n_processes == 1 else largest(self._noted)
        if noted:
            raise TrainingInterrupted(noted)

    def _note(self, signal_number: int, frame: Any) -> None:
        if self._noted and signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        self._noted = signal_number
