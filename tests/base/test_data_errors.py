"""A sample that cannot be read, and a worker process that dies: real ones, with and without workers."""

import os
import signal
import subprocess
import sys
import time
import traceback

import pytest
import torch

from base import BaseDataLoader, BaseDataset
from tests.conftest import PROJECT
from trainer import Trainer
from utils.checkpoint import load_checkpoint
from utils.data import WorkerDied
from utils.errors import UserError, run_command


class TwoArguments(Exception):
    """Torch cannot make it anew from one text."""

    def __init__(self, file, line):
        super().__init__(f"{file}, line {line}")


class Faulty(BaseDataset):
    """Numbers; reading sample 21 calls `fault` in the epochs after the first `n_good` ones."""

    def __init__(self, fault=lambda: None, n_good=0):
        self.fault = fault
        self.n_good = n_good
        self.n_read = 0

    def __len__(self):
        return 40

    def __getitem__(self, index):
        if index == 21:
            self.n_read += 1
            if self.n_read > self.n_good:
                self.fault()
        return torch.tensor([float(index)]), torch.tensor([float(index)])


def raising(error):
    vars(error).pop("__notes__", None)  # of another test

    def fault():
        raise error

    return fault


def read(fault, num_workers, **options):
    """All batches in order."""
    return list(BaseDataLoader(Faulty(fault), 4, shuffle=False, num_workers=num_workers, **options))


with_and_without_workers = pytest.mark.parametrize("num_workers", [0, 2])


@with_and_without_workers
@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("two\nlines"), "ValueError: two\nlines"),
        (TwoArguments("a.csv", 3), "TwoArguments: a.csv, line 3"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_a_fault_of_the_datasets_code_keeps_its_traceback_which_ends_with_the_sample(error, cause, num_workers):
    with pytest.raises(Exception) as caught:
        read(raising(error), num_workers)
    text = "".join(traceback.format_exception(caught.value)).strip()
    assert text.endswith(f"{cause}\nsample 21 of Faulty")
    assert "raise error" in text  # the line of the dataset's code


@with_and_without_workers
@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UserError("a.csv: column 'age' is missing"), "a.csv: column 'age' is missing"),
        (FileNotFoundError(2, "No such file", "a.png"), "[Errno 2] No such file: 'a.png'"),
    ],
)
def test_what_a_person_can_mend_is_one_line(error, cause, num_workers, capsys):
    assert run_command(lambda argv: read(raising(error), num_workers)) == 2
    assert capsys.readouterr().err == f"error: {cause} (sample 21 of Faulty)\n"


def broken_collate(samples):
    raise KeyError("a bug of its own")


def advising_collate(samples):
    raise UserError("Resize them")


@with_and_without_workers
@pytest.mark.parametrize(
    ("collate_fn", "kind", "words"),
    [
        (broken_collate, KeyError, "its own'\nsamples [0, 1, 2, 3] of Faulty"),
        (advising_collate, UserError, "UserError: Resize them (samples [0, 1, 2, 3] of Faulty)"),
    ],
)
def test_samples_that_make_no_batch_are_named(collate_fn, kind, words, num_workers):
    with pytest.raises(kind) as caught:
        read(lambda: None, num_workers, collate_fn=collate_fn)
    assert "".join(traceback.format_exception(caught.value)).strip().endswith(words)


def test_an_error_leaves_the_random_state_as_it_was():
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="torn"):
        read(raising(ValueError("torn")), num_workers=0)
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------------------------------------ a worker that dies


def dying(how):
    """A fault that ends the process it is called in: by a signal, or with an exit code."""
    return (lambda: os.kill(os.getpid(), how)) if isinstance(how, signal.Signals) else (lambda: os._exit(how))


def workers_of(loader):
    return loader._iterator._workers


def is_running(pid):
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def end_soon(pids):
    """Whether processes end within 30 seconds: torch's workers look every 5 whether the main process is there."""
    until = time.monotonic() + 30
    while any(map(is_running, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return pids and not any(map(is_running, pids))


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (signal.SIGKILL, "-9"),
        (signal.SIGTERM, "-15"),
        (3, "3"),
        (0, "0"),
    ],
)
def test_a_worker_that_dies_is_told_in_one_line_and_the_others_end(how, code):
    loader = BaseDataLoader(Faulty(dying(how)), 4, shuffle=False, num_workers=2)
    pids = []
    with pytest.raises(
        WorkerDied,
        match=rf"^a worker process of the data loader died \(pid \d+, exit code {code}\)\. .*num_workers=0",
    ) as error:
        for _ in loader:
            pids = [worker.pid for worker in workers_of(loader)]
    assert "\n" not in str(error.value)
    assert pids and not any(map(is_running, pids))


def test_a_worker_that_dies_between_two_epochs_is_told_in_the_next():
    loader = BaseDataLoader(Faulty(), 4, num_workers=2)
    assert len(list(loader)) == 10
    os.kill(workers_of(loader)[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="exit code -9"):
        list(loader)
    assert len(list(loader)) == 10  # new workers
    loader.close()


def test_a_worker_that_dies_disturbs_no_code_but_the_loaders():
    before = signal.getsignal(signal.SIGCHLD)
    loader = BaseDataLoader(Faulty(), 4, num_workers=1)
    batches = iter(loader)
    next(batches)
    assert signal.getsignal(signal.SIGCHLD) is before
    [worker] = workers_of(loader)
    worker.kill()
    until = time.monotonic() + 0.3
    while time.monotonic() < until:  # where torch's signal handler would raise
        pass
    with pytest.raises(WorkerDied):
        list(batches)


def test_closing_after_a_worker_has_died_is_silent():
    loader = BaseDataLoader(Faulty(), 4, num_workers=2)
    next(iter(loader))
    pids = [worker.pid for worker in workers_of(loader)]
    os.kill(pids[1], signal.SIGTERM)
    loader.close()
    loader.close()
    assert not any(map(is_running, pids))


def test_a_worker_leaves_ctrl_c_to_the_main_process():
    loader = BaseDataLoader(Faulty(), 4, num_workers=1)
    batches = iter(loader)
    next(batches)
    os.kill(workers_of(loader)[0].pid, signal.SIGINT)
    assert len(list(batches)) == 9
    loader.close()


def test_a_run_whose_worker_dies_keeps_its_checkpoints_and_can_go_on(tmp_path, capsys):
    def make(fault):
        torch.manual_seed(0)
        model = torch.nn.Linear(1, 1)
        loader = BaseDataLoader(Faulty(fault, n_good=1), 4, shuffle=False, num_workers=1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
        return Trainer(model, torch.nn.functional.mse_loss, [], optimizer, loader, epochs=3, tensorboard=False)

    assert run_command(lambda argv: make(dying(signal.SIGKILL)).train(tmp_path)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: a worker process of the data loader died (pid ") and "exit code -9" in message
    checkpoint = load_checkpoint(tmp_path / "checkpoint-last.pth")
    assert (checkpoint["epoch"], checkpoint["step"]) == (1, 10)
    trainer = make(lambda: None)
    trainer.resume(checkpoint)
    trainer.train(tmp_path)
    assert (trainer.epoch, trainer.step) == (3, 30)


SCRIPT = """
import os, signal, sys, time, torch
from base import BaseDataLoader, BaseDataset

class Slow(BaseDataset):
    def __init__(self, seconds):
        self.seconds = seconds
    def __len__(self):
        return 40
    def __getitem__(self, index):
        if index > 7:
            time.sleep(self.seconds)
        return torch.ones(1)

def leave_early(seconds):
    global loader, batches
    loader = BaseDataLoader(Slow(seconds), 4, shuffle=False, num_workers=2)
    batches = iter(loader)
    next(batches)
    print(*[worker.pid for worker in loader._iterator._workers], flush=True)

def do_as(name):  # a fork that ends as a script does, which it is; another Python would import torch anew
    if child := os.fork():
        with open(name + ".code", "w") as file:
            file.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        return False
    os.setsid()
    for number, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(name + "." + kind, os.O_WRONLY | os.O_CREAT), number)
    return True

if do_as("exit"):
    leave_early(60)
    raise SystemExit(5)
if do_as("worker"):
    leave_early(60)
    os.kill(loader._iterator._workers[0].pid, signal.SIGKILL)
    sys.exit()
if do_as("group"):
    leave_early(60)
    os.killpg(0, signal.SIGTERM)
if do_as("killed"):
    leave_early(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A folder with the exit code and the words of each part of SCRIPT."""
    folder = tmp_path_factory.mktemp("scripts")
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=environment, check=True, timeout=300)
    return folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("ending", "code"), [("exit", 5), ("worker", 0), ("group", -signal.SIGTERM)])
def test_a_script_that_leaves_a_loop_early_ends_silently_and_leaves_no_process(ended, ending, code):
    assert (ended / f"{ending}.code").read_text() == str(int(code))
    assert (ended / f"{ending}.err").read_text() == ""
    assert end_soon((ended / f"{ending}.out").read_text().split())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_whose_main_process_is_killed_end_too(ended):
    assert end_soon((ended / "killed.out").read_text().split())
