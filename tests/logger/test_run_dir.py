"""A run's folder belongs to one run, and to one process at a time."""

import errno
import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from logger import run_dir as module
from logger.run_dir import create_run_dir, open_run_dir, record_environment, remove_run_dir, run_mark
from utils.errors import UserError

FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
needs_fork = pytest.mark.skipif(FORK is None, reason="needs fork")


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, dict]:
    """The folder of a run that another process has begun, and what its checkpoint holds."""
    run_dir = create_run_dir(tmp_path, "name", "run")
    record_environment(run_dir, "cpu", {})
    (run_dir / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    module._locks.pop(run_dir).close()
    module._made.remove(run_dir)
    return run_dir, {"run": run_mark(run_dir), "epoch": 2}


def content(folder: Path) -> dict[str, bytes | str]:
    """Every byte of a folder, and where its links lead."""
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


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


def hold(run_dir: Path, checkpoint: dict, connection) -> None:
    open_run_dir(run_dir, checkpoint)
    child = FORK.Process(target=signal.pause)  # such as a data loader's worker, which can outlive a killed parent
    child.start()
    connection.send(child.pid)
    signal.pause()


@needs_fork
def test_a_second_process_is_refused_until_the_first_is_dead(run):
    run_dir, checkpoint = run
    ours, theirs = FORK.Pipe()
    first = FORK.Process(target=hold, args=(run_dir, checkpoint, theirs))
    first.start()
    child = ours.recv()
    half_a_file = run_dir / ".checkpoint-last.pth.123.tmp"
    half_a_file.touch()
    before = content(run_dir)
    try:
        for _ in range(2):
            with pytest.raises(UserError, match=rf"^{run_dir}: process {first.pid} on .+ is at work there; wait"):
                open_run_dir(run_dir, checkpoint)
        assert content(run_dir) == before
    finally:
        first.kill()
        first.join()
    open_run_dir(run_dir, checkpoint)
    assert not half_a_file.exists()  # what a kill has left
    open_run_dir(run_dir, checkpoint)  # again, in the same process: as after train.py in a notebook
    os.kill(child, signal.SIGKILL)


def test_a_taken_run_id_is_refused(run):
    run_dir, _ = run
    before = content(run_dir)
    with pytest.raises(UserError, match="exists; go on with it by -r, delete it, or name another"):
        create_run_dir(run_dir.parents[1], "name", "run")
    assert content(run_dir) == before


def test_where_no_folder_can_be_made_the_setting_is_named(tmp_path):
    (tmp_path / "name").touch()
    with pytest.raises(UserError, match=r"trainer\.save_dir: cannot make a folder in"):
        create_run_dir(tmp_path, "name")


def test_a_removed_folder_can_be_made_and_locked_again(tmp_path):
    for _ in range(2):
        folder = create_run_dir(tmp_path, "name", "id")
        assert (folder / ".lock").exists()
        remove_run_dir(folder)
        assert not folder.exists()


def test_only_a_folder_that_this_process_has_made_is_removed(run):
    run_dir, checkpoint = run
    open_run_dir(run_dir, checkpoint)
    before = content(run_dir)
    with pytest.raises(KeyError):
        remove_run_dir(run_dir)
    assert content(run_dir) == before


@needs_fork
def test_where_a_file_system_has_no_locks_the_run_goes_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", refuse)
    create_run_dir(tmp_path, "name")
    assert "No locks available): do not train there twice at once" in caplog.text


# ------------------------------------------------------------------------------------ whose folder, and is it intact


def damaged(name: str, content: str):
    return lambda run_dir, checkpoint: (run_dir / name).write_text(content)


def linked(name: str, target: str):
    def make(run_dir, checkpoint):
        if (run_dir / name).exists():
            (run_dir / name).unlink()
        (run_dir / name).symlink_to(target)

    return make


NOT_THIS_RUNS = "is not the folder of this checkpoint's run; go on in a new one with --run-id"
FAULTS = {
    "another run's checkpoint": (lambda run_dir, checkpoint: checkpoint.update(run="x"), NOT_THIS_RUNS),
    "a checkpoint of no run": (lambda run_dir, checkpoint: checkpoint.pop("run"), NOT_THIS_RUNS),
    "no environment.json": (lambda run_dir, checkpoint: (run_dir / "environment.json").unlink(), NOT_THIS_RUNS),
    "a mark that is null": (damaged("environment.json", '{"run": null}'), NOT_THIS_RUNS),
    "a damaged environment.json": (damaged("environment.json", "{"), "environment.json is damaged"),
    "an environment.json of a list": (damaged("environment.json", "[]"), "environment.json is damaged"),
    "no metrics.jsonl": (lambda run_dir, checkpoint: (run_dir / "metrics.jsonl").unlink(), "metrics.jsonl is missing"),
    "a damaged line": (damaged("metrics.jsonl", '{"epoch": 1, \n{"epoch": 2}\n'), "line 1 is no record of an epoch"),
    "a missing line": (damaged("metrics.jsonl", '{"epoch": 1}\n'), "ends with epoch 1, the checkpoint is of epoch 2"),
    "a linked log": (linked("train.log", "/dev/null"), "train.log is a link"),
    "linked metrics": (linked("metrics.jsonl", "config.json"), "metrics.jsonl is a link"),
    "linked figures": (linked("figures", "/tmp"), "figures is a link"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_folder_that_is_not_this_runs_or_damaged_is_refused_and_stays_as_it_is(run, case):
    run_dir, checkpoint = run
    make, words = FAULTS[case]
    (run_dir / ".x.tmp").touch()
    (run_dir / "config.json").write_text("somebody's")
    make(run_dir, checkpoint)
    before = content(run_dir)
    with pytest.raises(UserError, match=words):
        open_run_dir(run_dir, checkpoint)
    assert content(run_dir) == before


def test_a_run_that_goes_on_keeps_its_mark_and_notes_the_resume(run):
    run_dir, checkpoint = run
    record_environment(open_run_dir(run_dir, checkpoint), "cuda:1", {})
    environment = json.loads((run_dir / "environment.json").read_text())
    assert environment["run"] == checkpoint["run"] and environment["device"] == "cpu"
    assert [resumed["device"] for resumed in environment["resumed"]] == ["cuda:1"]
