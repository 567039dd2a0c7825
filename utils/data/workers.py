"""The worker processes of a data loader: which signals they obey, and how they end."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from utils.errors import UserError

LIKELY_CAUSES = {
    -signal.SIGKILL: ", most often because the memory is full",
    -signal.SIGBUS: ", most often because the shared memory, /dev/shm, is full",
}


class WorkerDied(UserError):
    """A worker process of a data loader ended before its work was done."""


def leave_signals_to_main(worker_id: int) -> None:
    """Ctrl-C goes to the whole process group, but the main process may need more batches to come to a step's end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def keep_child_handler() -> Iterator[None]:
    """Inside the block, torch may start workers without leaving its SIGCHLD handler behind.

    That one raises as soon as a worker dies, even in the middle of an optimizer step. Without it, torch notices
    when it waits for a batch.
    """
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield  # torch sets no handler either
        return
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)


def end_workers(iterator: Any) -> str:
    """End the workers of a DataLoader's iterator. Returns which had died before, and how; "" if none had."""
    workers = {worker.sentinel: (number, worker) for number, worker in enumerate(iterator._workers)}
    died = [workers[sentinel] for sentinel in wait(workers, timeout=0.1)]  # a death takes a moment to be seen
    causes = [_describe_death(number, worker) for number, worker in died]
    iterator._shutdown_workers()
    for _, worker in workers.values():
        worker.kill()
        worker.join()
    return " and ".join(causes)


def _describe_death(number: int, worker: Any) -> str:
    worker.join()
    code = worker.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"worker {number} (pid {worker.pid}) {how}{LIKELY_CAUSES.get(code, '')}"
