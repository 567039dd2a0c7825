"""A run's folder belongs to one run, and to one process at a time."""

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from logger.run_dir import create_run_dir, lock_run_dir, remove_run_dir
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


@needs_fork
def test_a_taken_run_id_is_answered_by_what_is_in_its_folder(tmp_path):
    folder = create_run_dir(tmp_path, "name", "id")
    ours, theirs = FORK.Pipe()
    first = FORK.Process(target=hold, args=(folder, theirs))
    first.start()
    child = ours.recv()
    try:
        with pytest.raises(
            UserError, match=rf"process {first.pid} on .+ is training in {folder}; wait for it, or name"
        ):
            create_run_dir(tmp_path, "name", "id")
    finally:
        first.kill()
        first.join()
        os.kill(child, signal.SIGKILL)
    with pytest.raises(UserError, match="delete it, it is empty of checkpoints, or name another"):
        create_run_dir(tmp_path, "name", "id")
    (folder / "checkpoint-last.pth").touch()
    with pytest.raises(UserError, match=f"go on with it by -r {folder}, or name another"):
        create_run_dir(tmp_path, "name", "id")


@needs_fork
def test_the_question_whose_a_folder_is_changes_nothing_there(tmp_path):
    folder = create_run_dir(tmp_path, "name", "id")
    (folder / ".lock").write_text("process 1 on other")
    (folder / ".x.tmp").touch()
    with pytest.raises(UserError, match="delete it"):
        create_run_dir(tmp_path, "name", "id")
    assert (folder / ".lock").read_text() == "process 1 on other" and (folder / ".x.tmp").exists()


@needs_fork
def test_a_removed_folder_can_be_made_and_locked_again(tmp_path):
    for _ in range(2):
        folder = create_run_dir(tmp_path, "name", "id")
        lock_run_dir(folder)
        assert (folder / ".lock").exists()
        remove_run_dir(folder)
        assert not folder.exists()


def test_where_a_file_system_has_no_locks_the_run_goes_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("logger.run_dir.fcntl.lockf", refuse)
    lock_run_dir(tmp_path)
    assert "cannot be locked (No locks available): do not train there twice at once" in caplog.text
