"""A run's folder belongs to one run, and to one process at a time."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from logger.run_dir import create_run_dir, lock_run_dir
from utils.errors import UserError

FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
needs_fork = pytest.mark.skipif(FORK is None, reason="needs fork")


@needs_fork
def test_twenty_launches_at_the_same_instant_get_folders_of_their_own(tmp_path):
    barrier, folders = FORK.Barrier(20), FORK.SimpleQueue()

    def launch():
        barrier.wait()
        folders.put(create_run_dir(tmp_path, "name"))

    launches = [FORK.Process(target=launch) for _ in range(20)]
    for process in launches:
        process.start()
    made = {folders.get() for _ in launches}
    assert len(made) == 20 and all(folder.is_dir() for folder in made)


def hold(run_dir: Path, connection) -> None:
    lock_run_dir(run_dir)
    child = FORK.Process(target=signal.pause)  # such as a data loader's worker, which can outlive a killed parent
    child.start()
    connection.send(child.pid)
    signal.pause()


@needs_fork
def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    ours, theirs = FORK.Pipe()
    first = FORK.Process(target=hold, args=(tmp_path, theirs))
    first.start()
    child = ours.recv()
    half_a_file = tmp_path / ".checkpoint-last.pth.123.tmp"
    half_a_file.touch()
    try:
        for _ in range(2):
            with pytest.raises(UserError, match=rf"^{tmp_path}: process {first.pid} on .+ is training there; wait"):
                lock_run_dir(tmp_path)
        assert half_a_file.exists()
    finally:
        first.kill()
        first.join()
    lock_run_dir(tmp_path)
    assert not half_a_file.exists()  # what a kill has left
    lock_run_dir(tmp_path)  # again, in the same process: as after train.py in a notebook
    os.kill(child, signal.SIGKILL)
