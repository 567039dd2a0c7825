"""Real processes of one run: forks of this one, which has imported torch already, joined by gloo as torchrun would."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import pytest
import sklearn.metrics
import sklearn.model_selection
import torch
import torch._dynamo
import torch.distributed.fsdp
import torch.utils.tensorboard
from torch.distributed import TCPStore

import data_loader.build
import trainer.build
from trainer.parallel import run_command
from utils.config import OBJECTS, definitions

# What each child would spend seconds to import, and to read.
WARM = (sklearn.metrics, sklearn.model_selection, torch._dynamo, torch.distributed.fsdp, torch.utils.tensorboard,
        data_loader.build, trainer.build, *[definitions(place.package) for place in OBJECTS.values()])  # fmt: skip
SECONDS = 600  # more than anything here takes; what hangs is killed and fails
Main = Callable[[list[str] | None], None]


class Ended(NamedTuple):
    codes: list[int]
    said: list[str]


def become(
    rank: int, n: int, port: int, all_are_there: Barrier, log: Path, attempt: int, main: Main, argv: list[str]
) -> None:
    """In the child: what torchrun sets for a process, and what it would run."""
    all_are_there.wait()  # the store's thread looks up who connects: a fork meanwhile would copy the C library's lock
    os.environ |= {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": f"{n}", "MASTER_ADDR": "localhost",
                   "MASTER_PORT": f"{port}", "TORCHELASTIC_RUN_ID": "test",
                   "TORCHELASTIC_RESTART_COUNT": f"{attempt}"}  # fmt: skip
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run_command(main, argv)


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """`together(3, main)`: `main` in three processes; returns their exit codes, and what each has said.

    restart: as torchrun does it when the processes before have failed.
    """
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    fork = multiprocessing.get_context("fork")
    stores, n_runs, folder = [], 0, tmp_path_factory.mktemp("together")

    def run(n: int, main: Main, argv: list[str] | None = None, restart: bool = False) -> Ended:
        nonlocal n_runs
        if not restart:
            stores.append(TCPStore("localhost", 0, is_master=True, wait_for_workers=False))
        store = stores[-1]
        logs = [folder / f"{n_runs}-{rank}.log" for rank in range(n)]
        place = n, store.port, fork.Barrier(n)
        processes = [
            fork.Process(target=become, args=(rank, *place, logs[rank], n_runs, main, argv or [])) for rank in range(n)
        ]
        n_runs += 1
        for process in processes:
            process.start()
        try:
            for process in processes:
                process.join(SECONDS)
            return Ended([process.exitcode for process in processes], [log.read_text() for log in logs])
        finally:
            for process in processes:
                process.kill()
                process.join()

    torch.set_num_threads(1)
    return run
