"""The worker processes of a data loader: which signals they obey, and how they end."""

import atexit
import os
import signal
import weakref
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from typing import Any

from utils.errors import UserError

LIKELY_CAUSES = {
    -signal.SIGKILL: "most often because the memory is full",
    -signal.SIGBUS: "most often because the shared memory, /dev/shm, is full",
}
# How workers end that nobody killed: by themselves, or after the SIGTERM that ends the whole run.
NORMAL_EXITS = (None, 0, -signal.SIGTERM, -signal.SIGALRM)
_to_close: weakref.WeakSet = weakref.WeakSet()
SECONDS_TO_LIVE = 5  # of a worker after SIGTERM: for the main process to reach a step's end and save


def leave_signals_to_main(worker_id: int) -> None:
    """A signal to the whole process group, such as Ctrl-C, is the main process's: it may need more batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_TO_LIVE))


def end_at_exit(loader: Any) -> None:
    """Close a data loader when Python ends, if it is still there: a notebook's loop may have been left early.

    Python would end the workers by SIGTERM, and they wait for the main process then.
    """
    _to_close.add(loader)


def _close_all(process: int) -> None:
    if os.getpid() == process:  # not one forked from it
        for loader in list(_to_close):
            loader.close()


atexit.register(_close_all, os.getpid())


def raise_if_killed(workers: Iterable[BaseProcess], where: str) -> None:
    """Raise UserError if one of some ended processes ended in another way than by the end of its work."""
    for worker in workers:
        code = worker.exitcode
        if code in NORMAL_EXITS:
            continue
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = LIKELY_CAUSES.get(code, "perhaps by a fault in compiled code that the dataset calls")
        raise UserError(
            f"{where}, a worker process of the data loader {how}, {why}. Try fewer workers, or none "
            "(-s data_loader.args.num_workers=0). Checkpoints saved before are intact."
        )
