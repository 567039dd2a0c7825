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
from logger.data_report import report_data
from trainer import Trainer
from utils.checkpoint import load_checkpoint
from utils.data import SampleError, SeededDataset
from utils.errors import UserError, run_command
from utils.seed import derive_seed


class TwoArguments(Exception):
    """Torch cannot make it anew from one text."""

    def __init__(self, file, line):
        super().__init__(f"{file}, line {line}")


class Faulty(BaseDataset):
    """Numbers; reading sample 21 calls `fault` in the epochs after the first `n_good` ones."""

    def __init__(self, fault, n_good=0):
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
    def fault():
        raise error

    return fault


def read(fault, num_workers):
    """All batches in order; the loader is closed whatever happens."""
    loader = BaseDataLoader(Faulty(fault), 4, shuffle=False, num_workers=num_workers)
    try:
        return list(loader)
    finally:
        loader.close()


class Ragged(BaseDataset):
    """Samples of which number 7 is unlike the others."""

    def __init__(self, usual, odd):
        self.usual, self.odd = usual, odd

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return self.odd if index == 7 else self.usual


with_and_without_workers = pytest.mark.parametrize("num_workers", [0, 2])


@with_and_without_workers
@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("two\nlines"), "ValueError: two lines"),
        (KeyError("label"), "KeyError: 'label'"),
        (TwoArguments("a.csv", 3), "TwoArguments: a.csv, line 3"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "invalid start byte"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_a_fault_of_the_datasets_code_names_the_sample_and_keeps_its_traceback(error, cause, num_workers):
    with pytest.raises(SampleError) as caught:
        read(raising(error), num_workers)
    lines = "".join(traceback.format_exception(caught.value)).strip().splitlines()
    assert "sample 21 of Faulty: " in lines[-1] and lines[-1].endswith(cause)
    assert any("raise error" in line for line in lines)  # the line of the dataset's code
    if num_workers == 0:
        assert caught.value.__cause__ is error


@with_and_without_workers
@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UserError("a.csv: column 'age' is missing"), "a.csv: column 'age' is missing"),
        (PermissionError(13, "Permission denied", "a.png"), "[Errno 13] Permission denied: 'a.png'"),
    ],
)
def test_what_a_person_can_mend_is_one_line(error, cause, num_workers, capsys):
    assert run_command(lambda argv: read(raising(error), num_workers)) == 2
    assert capsys.readouterr().err == f"error: sample 21 of Faulty: {cause}\n"


# ------------------------------------------------------------------------------------------------ a worker that dies


def dying(how):
    """A fault that ends the process it is called in: by a signal, or with an exit code from 1 on."""
    return (lambda: os.kill(os.getpid(), how)) if isinstance(how, signal.Signals) else (lambda: os._exit(how))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (signal.SIGKILL, "was killed by SIGKILL, most often because the memory is full"),
        (signal.SIGBUS, "was killed by SIGBUS, most often because the shared memory, /dev/shm, is full"),
        (signal.SIGSEGV, "was killed by SIGSEGV, perhaps by a fault in compiled code"),
        (3, "ended with exit code 3, perhaps"),
    ],
)
def test_a_worker_that_dies_is_told_in_one_line(how, words):
    with pytest.raises(UserError, match=rf"^in epoch 1, after \d batches, a worker .* {words}.*num_workers=0") as error:
        read(dying(how), num_workers=2)
    assert "\n" not in str(error.value)


def test_a_worker_that_dies_is_told_even_if_torch_tells_it_while_the_loader_is_closed(monkeypatch):
    """torch's signal handler raises between any two instructions: here, when closing has just begun."""
    tell = iter([RuntimeError("DataLoader worker is killed by signal")])
    end_workers = BaseDataLoader._end_workers

    def interrupted(loader):
        for error in tell:
            raise error
        end_workers(loader)

    monkeypatch.setattr(BaseDataLoader, "_end_workers", interrupted)
    with pytest.raises(UserError, match="was killed by SIGKILL"):
        read(dying(signal.SIGKILL), num_workers=2)


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x):
        return self.layer(x)


class Slow(Trainer):
    """Its steps take so long that a worker dies during one, when torch's signal handler raises amid the step."""

    def train_step(self, batch):
        result = super().train_step(batch)
        until = time.monotonic() + 0.1
        while self.epoch == 1 and time.monotonic() < until:
            pass
        return result


@pytest.mark.parametrize("kind", [Trainer, Slow])
def test_a_run_whose_worker_dies_keeps_its_checkpoints_and_can_go_on(kind, tmp_path, capsys):
    def make(fault):
        torch.manual_seed(0)
        model = Line()
        loader = BaseDataLoader(Faulty(fault, n_good=1), 4, shuffle=False, num_workers=1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
        options = {"epochs": 3, "tensorboard": False}
        return kind(model, torch.nn.functional.mse_loss, [], optimizer, loader, **options)

    assert run_command(lambda argv: make(dying(signal.SIGKILL)).train(tmp_path)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: in epoch 2, after ") and message.endswith(
        "Checkpoints saved before are intact.\n"
    )
    checkpoint = load_checkpoint(tmp_path / "checkpoint-last.pth")
    assert (checkpoint["epoch"], checkpoint["step"]) == (1, 10)
    trainer = make(lambda: None)
    trainer.resume(checkpoint)
    trainer.train(tmp_path)
    assert (trainer.epoch, trainer.step) == (3, 30)


@with_and_without_workers
@pytest.mark.parametrize(
    ("usual", "odd", "words"),
    [
        ((torch.ones(4), 1), (torch.ones(3), 1), r"sample 7 is \[\[3\], 'int'\], sample \d+ is \[\[4\], 'int'\]"),
        ((torch.ones(4), 1), None, r"sample 7 is NoneType, sample \d+ is \[\[4\], 'int'\]"),
        ({"x": torch.ones(4)}, {"x": torch.ones(4, 1)}, r"sample 7 is \{'x': \[4, 1\]\}"),
    ],
)
def test_a_sample_that_makes_no_batch_with_the_others_is_named(usual, odd, words, num_workers):
    loader = BaseDataLoader(Ragged(usual, odd), 12, num_workers=num_workers)
    try:
        with pytest.raises(UserError, match=f"Ragged: {words}"):
            list(loader)
    finally:
        loader.close()


def broken_collate(samples):
    raise KeyError("a bug of its own")


def advising_collate(samples):
    raise UserError("Resize them")


@with_and_without_workers
def test_a_collate_fn_of_ones_own_has_its_own_errors(num_workers):
    for collate_fn, kind, words in (
        (broken_collate, KeyError, "its own"),
        (advising_collate, UserError, "^Resize them$"),
    ):
        loader = BaseDataLoader(
            Ragged(torch.ones(4), torch.ones(3)), 12, num_workers=num_workers, collate_fn=collate_fn
        )
        try:
            with pytest.raises(kind, match=words):
                list(loader)
        finally:
            loader.close()


def test_the_report_before_a_training_names_the_sample_too():
    for fault in (Ragged(torch.ones(4), torch.ones(3)), Faulty(raising(UserError("torn")))):
        with pytest.raises(UserError, match=r"sample (7|21)\b"):
            report_data(BaseDataLoader(fault, 4))


def test_a_samples_random_numbers_are_not_those_of_the_epochs_order():
    [first] = SeededDataset(Drawing(), seed=5).__getitems__([(3, 0)])
    assert first != torch.rand(1, generator=torch.Generator().manual_seed(derive_seed(5, 3)))


class Drawing(BaseDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return torch.rand(1)


def test_samples_that_are_alike_but_make_no_batch_keep_torchs_error():
    with pytest.raises(TypeError, match="default_collate"):
        list(BaseDataLoader(Ragged(object(), object()), 4, shuffle=False))


def test_a_worker_leaves_ctrl_c_to_the_main_process():
    loader = BaseDataLoader(Ragged(torch.ones(1), torch.ones(1)), 1, num_workers=1)
    batches = iter(loader)
    next(batches)
    [worker] = loader._iterator._workers
    os.kill(worker.pid, signal.SIGINT)
    assert len(list(batches)) == 11
    loader.close()


def test_a_script_that_leaves_a_loop_early_ends_at_once_and_silently():
    script = """
import torch
from base import BaseDataLoader, BaseDataset

class Ones(BaseDataset):
    def __len__(self):
        return 40
    def __getitem__(self, index):
        return torch.ones(1)

loader = BaseDataLoader(Ones(), 4, num_workers=2)
batches = iter(loader)
next(batches)
empty = BaseDataLoader(Ones(), 50, num_workers=1, drop_last=True)
assert list(empty) == []
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
