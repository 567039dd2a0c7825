"""The worker processes of a data loader: which signals they obey, and how they end."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from utils.errors import UserError

LIKELY_CAUSES = {signal.SIGKILL: " (most often the memory is full)", signal.SIGBUS: " (most often /dev/shm is full)"}

_torchs_handler: Any = None


class WorkerDied(UserError):
    """A worker process of a data loader ended before its work was done."""


def leave_signals_to_main(worker_id: int) -> None:
    """Ctrl-C goes to the whole process group, but the main process may need more batches to come to a step's end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def hear_of_deaths() -> Iterator[None]:
    """Inside the block, where workers are started or waited for, a worker's death raises RuntimeError, and only there.

    For that torch sets a SIGCHLD handler, which would raise at any instant, even in the middle of an optimizer step.
    """
    global _torchs_handler
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield  # torch sets none either, and looks every five seconds
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        if _torchs_handler is not None:
            signal.signal(signal.SIGCHLD, _torchs_handler)
            _torchs_handler(signal.SIGCHLD, None)  # a worker may have died before
        yield
        _torchs_handler = signal.getsignal(signal.SIGCHLD)
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def end_workers(iterator: Any) -> str:
    """End the workers of a DataLoader's iterator. Returns which had died before, and how; "" if none had."""
    workers = iterator._workers
    died = wait([worker.sentinel for worker in workers], timeout=0.1)  # a death takes a moment to be seen
    deaths = [_describe_death(number, worker) for number, worker in enumerate(workers) if worker.sentinel in died]
    iterator._shutdown_workers()
    for worker in workers:
        worker.kill()  # if it does not listen
        worker.join()
    return " and ".join(deaths)


def _describe_death(number: int, worker: Any) -> str:
    worker.join()
    how = f"ended with exit code {worker.exitcode}"
    if worker.exitcode < 0:
        how = f"was killed by {signal.Signals(-worker.exitcode).name}{LIKELY_CAUSES.get(-worker.exitcode, '')}"
    return f"the data loader's worker {number} (pid {worker.pid}) {how}"
