"""Reading samples one by one, here or in worker processes: each with random numbers of its own."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import Any

import numpy as np
import torch
from torch._C import _error_if_any_worker_fails
from torch.utils.data import Dataset

from utils.errors import UserError
from utils.parallel import own_share
from utils.seed import derive_seed, random_state, set_random_state


class SeededDataset(Dataset):
    """Reads batches of another dataset; each sample has random numbers of its own, from (seed, round, index)."""

    place = 0, 1  # which share of a batch to read, of how many

    def __init__(self, dataset: Dataset, seed: int, collate_fn: Callable[[list[Any]], Any]):
        self.dataset, self.seed, self.collate_fn = dataset, seed, collate_fn

    def __getitems__(self, keys: list[tuple[int, int]]) -> Any:
        """The batch of these (round, index), or a UserError for the main process to raise if one cannot be read."""
        before, samples, which = random_state(), [], ""
        try:
            keys = own_share(keys, *self.place)
            for number, index in keys:
                which = f"sample {index}"
                seed = derive_seed(self.seed, number, index + 1)  # with a 0 it would be that of the round's order
                random.seed(seed)
                np.random.seed(seed % 2**32)
                torch.default_generator.manual_seed(seed)
                samples.append(self.dataset[index])
            which = f"samples {[index for _, index in keys]}"
            return self.collate_fn(samples)
        except (UserError, OSError) as error:
            return UserError(f"{error} ({which} of {type(self.dataset).__name__})")
        except Exception as error:
            error.add_note(f"{which} of {type(self.dataset).__name__}")
            raise
        finally:
            set_random_state(before)

    @staticmethod
    def collate(batch: Any) -> Any:
        """For torch, which would collate what is a batch already."""
        return batch

    @staticmethod
    def leave_signals_to_main(worker_id: int) -> None:
        """Ctrl-C goes to the whole process group, but the main process may need more batches to end a step."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        is_alone = "LOCAL_RANK" not in os.environ  # else other processes wait for this one to end the step
        signal.signal(signal.SIGTERM, signal.SIG_DFL if is_alone else signal.SIG_IGN)
        if os.getppid() != getattr(parent_process(), "pid", None):
            os._exit(1)  # the main process has ended before torch in this one looks for it


class WorkerDied(UserError):
    """A worker process of a data loader ended before its work was done."""


@contextmanager
def hear_of_deaths() -> Iterator[None]:
    """Let a worker's death raise RuntimeError inside the block only; torch's handler would even within a step."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield  # where no handler can be set, torch looks every five seconds
        return
    before = signal.signal(signal.SIGCHLD, lambda *_: _error_if_any_worker_fails())
    try:
        _error_if_any_worker_fails()  # one may have died before
        yield
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def end_workers(iterator: Any) -> WorkerDied | None:
    """End the workers of a DataLoader's iterator. Returns what to raise if some had died before."""
    workers = iterator._workers
    died = wait([worker.sentinel for worker in workers], timeout=0.1)  # a death takes a moment to be seen
    iterator._shutdown_workers()  # asks, waits five seconds for each, sends SIGTERM
    for worker in workers:
        worker.kill()  # if its dataset ignores that
    dead = [f"pid {worker.pid}, exit code {worker.exitcode}" for worker in workers if worker.sentinel in died]
    text = (f"a worker process of the data loader died ({'; '.join(dead)}). Exit code -9 mostly means a full memory, "
            "-7 a full /dev/shm. Try fewer workers, or none: data_loader.args.num_workers=0.")  # fmt: skip
    return WorkerDied(text) if dead else None
