"""Real processes of one run: forks of this one, which has imported torch already, joined by gloo as torchrun would."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import sklearn.metrics
import torch
import torch._dynamo
from torch.distributed import TCPStore

from tools.launch import run_command

WARM = sklearn.metrics, torch._dynamo  # what a child would spend seconds to import
SECONDS = 120  # more than anything here takes; what hangs is killed and fails
Main = Callable[[list[str] | None], None]


class Ended(NamedTuple):
    codes: list[int]
    said: list[str]


def become(rank: int, n: int, port: int, log: Path, attempt: int, main: Main) -> None:
    """In the child: what torchrun sets for a process, and what it would run."""
    os.environ |= {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}", "WORLD_SIZE": f"{n}", "MASTER_ADDR": "localhost",
                   "MASTER_PORT": f"{port}", "TORCHELASTIC_RUN_ID": "test",
                   "TORCHELASTIC_RESTART_COUNT": f"{attempt}"}  # fmt: skip
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run_command(main, [])


@pytest.fixture
def together(tmp_path: Path) -> Callable[..., Ended]:
    """`together(3, main)`: `main` in three processes; returns their exit codes, and what each has said."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    fork = multiprocessing.get_context("fork")
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    n_runs = 0

    def run(n: int, main: Main, while_running: Callable[[list], None] = lambda processes: None) -> Ended:
        nonlocal n_runs
        logs = [tmp_path / f"{n_runs}-{rank}.log" for rank in range(n)]
        processes = [
            fork.Process(target=become, args=(rank, n, store.port, logs[rank], n_runs, main)) for rank in range(n)
        ]
        n_runs += 1
        for process in processes:
            process.start()
        try:
            while_running(processes)
            for process in processes:
                process.join(SECONDS)
            return Ended([process.exitcode for process in processes], [log.read_text() for log in logs])
        finally:
            for process in processes:
                process.kill()
                process.join()

    torch.set_num_threads(1)
    return run
