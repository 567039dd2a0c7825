"""Real processes are killed in the middle of everything; the resumed run must be the uninterrupted one, bit by bit.

The short form forks this process, which has imported torch already. The long form kills `python train.py`:

    pytest -m crash tests/crash
"""

import itertools
import json
import mmap
import multiprocessing
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from base import BaseDataLoader, BaseModel, InMemoryDataset
from logger.run_dir import open_run_dir
from model.metric import accuracy
from trainer import Trainer
from utils.checkpoint import load_checkpoint, open_checkpoint
from utils.errors import run_command
from utils.seed import seed_everything

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

FORK = multiprocessing.get_context("fork")
ENVIRONMENT = '{"run": "this"}'  # the same in all folders, so that their checkpoints can be compared
SAVE_EVERY_STEPS = 2
SECONDS_TO_STOP = 5  # the promise for SIGTERM and SIGINT


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.3), nn.BatchNorm1d(5), nn.Linear(5, 2))

    def forward(self, x):
        return self.layers(x)


N_STEPS = 8 * 7  # of a whole run


class Reporting(Trainer):
    """Says in memory that survives it how many steps it has done."""

    progress: mmap.mmap

    def end_step(self):
        self.progress[:8] = struct.pack("q", self.step + 1)
        super().end_step()


def make_trainer(kind: type[Trainer] = Trainer, epochs: int = 8, small: bool = False) -> Trainer:
    """Seven steps an epoch, with dropout, augmentation, Adam and a scheduler; `small` writes few tensors."""
    seed_everything(0)
    data = torch.randn(16 if small else 56, 3)
    dataset = InMemoryDataset(data, (data.sum(1) > 0).long(), lambda batch: batch + 0.1 * torch.randn_like(batch))
    loader = BaseDataLoader(dataset, 4 if small else 6, validation_split=0.25)
    model = nn.Linear(3, 2, bias=False) if small else Net()
    optimizer = (torch.optim.SGD if small else torch.optim.Adam)(model.parameters(), lr=0.05)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    options = {"epochs": epochs, "monitor": "min val_loss", "tensorboard": False, "save_every_steps": SAVE_EVERY_STEPS,
               "keep_last": 2}  # fmt: skip
    valid = loader.split_validation()
    return kind(model, nn.functional.cross_entropy, [accuracy], optimizer, loader, valid, scheduler, **options)


def go_on(trainer: Trainer, run_dir: Path) -> None:
    """What train.py -c does in a new folder, and train.py -r in one with a checkpoint; ends the process."""
    if any(run_dir.glob("*.pth")):
        _, checkpoint = open_checkpoint(run_dir)
        trainer.resume(checkpoint)
        open_run_dir(run_dir, checkpoint)
    else:  # killed before the first: a person would start again, in another folder
        for path in run_dir.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (run_dir / "environment.json").write_text(ENVIRONMENT)
    sys.exit(run_command(lambda argv: trainer.train(run_dir)))


@pytest.fixture(scope="module", autouse=True)
def everything_imported() -> None:
    """So that the forked processes need not: what torch and scikit-learn import late takes seconds."""
    make_trainer(epochs=1).train()


def finish(run_dir: Path, **options) -> None:
    process = FORK.Process(target=lambda: go_on(make_trainer(**options), run_dir))
    process.start()
    process.join()
    assert process.exitcode == 0


def content(run_dir: Path) -> dict:
    """All that a run has come to: every checkpoint to the last bit, and the log without its durations."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    assert not list(run_dir.glob(".*.tmp"))
    kept = (path for path in run_dir.glob("*.pth") if not path.name.startswith("abandoned-"))
    checkpoints = {path.name: flat(load_checkpoint(path)) for path in kept}
    return checkpoints | {"metrics": [line | {"seconds": None} for line in lines]}


def flat(value):
    """Nested state in which tensors are compared bit by bit."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().view(-1).numpy().tobytes()
    if isinstance(value, dict):
        return {key: flat(item) for key, item in value.items() if key != "save_dir"}
    return [flat(item) for item in value] if isinstance(value, list | tuple) else repr(value)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What an uninterrupted run comes to."""
    run_dir = tmp_path_factory.mktemp("straight")
    finish(run_dir)
    return content(run_dir)


@pytest.fixture
def run_dirs(tmp_path: Path):
    """One new folder after the other."""

    def make():
        for number in itertools.count():
            (tmp_path / f"run{number}").mkdir()
            yield tmp_path / f"run{number}"

    return make()


# ----------------------------------------------------------------------------------------------------------- SIGKILL


def test_ten_kills_at_random_instants_change_nothing(straight, run_dirs):
    instants, kills = random.Random(1), 0
    Reporting.progress = mmap.mmap(-1, 8)
    while kills < 10:
        run_dir = next(run_dirs)
        exitcode = None
        while exitcode != 0:
            Reporting.progress[:8] = struct.pack("q", 0)
            process = FORK.Process(target=lambda run_dir: go_on(make_trainer(Reporting), run_dir), args=(run_dir,))
            process.start()
            process.join(instants.uniform(0, 0.3) if kills < 10 else None)
            process.kill()
            process.join()
            exitcode = process.exitcode
            assert exitcode in (0, -signal.SIGKILL)
            kills += exitcode != 0
            [steps_done] = struct.unpack("q", Reporting.progress[:8])
            last_save = (steps_done - 1) // SAVE_EVERY_STEPS * SAVE_EVERY_STEPS  # it may have been under way
            if last_save > SAVE_EVERY_STEPS:
                assert load_checkpoint(run_dir / "checkpoint-last.pth")["step"] >= last_save - SAVE_EVERY_STEPS
        assert content(run_dir) == straight


class Killed:
    """Kills this process at the n-th write, fsync, rename or deletion; half of the write is done then."""

    def __init__(self, n: int):
        self.n = n
        self.kinds: list[str] = []
        self.open = Path.open
        Path.open = lambda path, *args, **kwargs: Spy(self.open(path, *args, **kwargs), self)
        os.fsync = self.wrap("fsync", os.fsync)
        for kind in ("replace", "unlink"):
            setattr(Path, kind, self.wrap(kind, getattr(Path, kind)))

    def wrap(self, kind: str, function):
        def counted(*args, **kwargs):
            self.count(kind)
            return function(*args, **kwargs)

        return counted

    def count(self, kind: str, before_death=lambda: None) -> None:
        self.kinds.append(kind)
        if len(self.kinds) == self.n:
            before_death()
            os.kill(os.getpid(), signal.SIGKILL)


class Spy:
    """A file whose writes are counted."""

    def __init__(self, file, killed: Killed):
        self.file = file
        self.killed = killed

    def write(self, data):
        def half():
            self.file.write(data[: len(data) // 2])
            self.file.flush()

        self.killed.count("write", before_death=half)
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()

    def __iter__(self):
        return iter(self.file)


def operations(run_dir: Path) -> list[str]:
    """What a short run does to its files, in order."""

    def train(pipe):
        (run_dir / "environment.json").write_text(ENVIRONMENT)
        killed = Killed(n=0)
        make_trainer(epochs=2, small=True).train(run_dir)
        pipe.send(killed.kinds)

    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=train, args=(sender,))
    process.start()
    kinds = receiver.recv()
    process.join()
    return kinds


def die_at(n: int, run_dir: Path) -> None:
    def train():
        Killed(n)
        go_on(make_trainer(epochs=2, small=True), run_dir)

    process = FORK.Process(target=train)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def check_deaths(run_dirs, choose) -> None:
    straight_dir = next(run_dirs)
    kinds = operations(straight_dir)
    straight = content(straight_dir)
    assert {"write", "fsync", "replace", "unlink"} == set(kinds)
    for n, kind in enumerate(kinds, 1):
        if choose(n, kind):
            run_dir = next(run_dirs)
            die_at(n, run_dir)
            finish(run_dir, epochs=2, small=True)
            assert content(run_dir) == straight, f"killed at operation {n}, a {kind}"


def test_a_kill_at_a_write_fsync_or_rename_changes_nothing(run_dirs):
    check_deaths(run_dirs, lambda n, kind: n % 61 == 0 if kind == "write" else n % 4 == 0)


@pytest.mark.crash
def test_a_kill_at_every_write_fsync_and_rename_changes_nothing(run_dirs):
    check_deaths(run_dirs, lambda n, kind: True)


# ----------------------------------------------------------------------------------------------- SIGTERM and SIGINT


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_at_random_instants_leave_a_checkpoint_of_that_step(straight, run_dirs, number, code):
    instants, run_dir = random.Random(int(number)), next(run_dirs)
    Reporting.progress = mmap.mmap(-1, 8)
    for _ in range(5):
        Reporting.progress[:8] = struct.pack("q", 0)
        process = FORK.Process(target=lambda: go_on(make_trainer(Reporting), run_dir))
        process.start()
        while Reporting.progress[:8] == bytes(8) and process.is_alive():
            time.sleep(0.001)
        time.sleep(instants.uniform(0, 0.1))
        with suppress(ProcessLookupError):  # it has ended already
            os.kill(process.pid, number)
        process.join(SECONDS_TO_STOP)
        [steps_done] = struct.unpack("q", Reporting.progress[:8])
        if steps_done == N_STEPS:  # the signal may have come when all was done
            break
        assert process.exitcode == code
        assert load_checkpoint(run_dir / "checkpoint-last.pth")["step"] == steps_done
    finish(run_dir)
    assert content(run_dir) == straight


def test_a_second_interrupt_ends_at_once(tmp_path):
    class Stuck(Trainer):
        def train_step(self, batch):
            (tmp_path / "stuck").touch()
            time.sleep(600)

    process = FORK.Process(target=lambda: go_on(make_trainer(Stuck), tmp_path))
    process.start()
    while not (tmp_path / "stuck").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    assert process.is_alive()  # it waits for the step's end
    os.kill(process.pid, signal.SIGINT)
    process.join(SECONDS_TO_STOP)
    assert process.exitcode == 130


# ------------------------------------------------------------------------------------------------- the real commands


SETTINGS = ["trainer.epochs=20", "trainer.early_stop=0", "trainer.save_period=7", "trainer.keep_last=2",
            "trainer.save_every_steps=5"]  # fmt: skip


def launch(run_dir: Path) -> subprocess.Popen:
    """train.py, new or resumed, once it has begun to train."""
    command = [sys.executable, "train.py", "-c", "config.json", "--run-id", run_dir.name, "-s", *SETTINGS,
               f"trainer.save_dir={run_dir.parents[1]}"]  # fmt: skip
    if any(run_dir.glob("*.pth")):
        command = [sys.executable, "train.py", "-r", str(run_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if line.startswith("Training in"):
            break
    return process


def time_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.fixture
def straight_command(tmp_path) -> dict:
    launch(tmp_path / "Digits_MLP" / "straight").communicate()
    return content(tmp_path / "Digits_MLP" / "straight")


@pytest.mark.crash
def test_fifty_kills_of_the_command(tmp_path, straight_command, monkeypatch):
    instants, kills = random.Random(2), 0
    for number in itertools.count():
        run_dir = tmp_path / "Digits_MLP" / f"run{number}"
        code = None
        while code != 0:
            process = launch(run_dir)
            if kills < 50 and run_dir.exists():
                time.sleep(instants.uniform(0, 1))
                process.kill()
            output, _ = process.communicate()
            code = process.returncode
            assert code in (0, -signal.SIGKILL), output
            assert "damaged" not in output
            kills += code != 0
            if not any(run_dir.glob("*.pth")):
                break  # killed before its first checkpoint: there is nothing to resume
            load_checkpoint(run_dir / "checkpoint-last.pth")
        else:
            assert content(run_dir) == straight_command
            if kills >= 50:
                return


@pytest.mark.crash
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_ten_signals_to_the_command(tmp_path, straight_command, number, code):
    instants, stops = random.Random(int(number)), 0
    for attempt in itertools.count():
        run_dir = tmp_path / "Digits_MLP" / f"run{attempt}"
        while True:
            before = time_of(run_dir / "checkpoint-last.pth")
            process = launch(run_dir)
            if stops < 10:
                while process.poll() is None and time_of(run_dir / "checkpoint-last.pth") == before:
                    time.sleep(0.01)  # before its first step, a signal ends it at once, and nothing is lost
                time.sleep(instants.uniform(0, 0.5))
                process.send_signal(number)
            output, _ = process.communicate(timeout=SECONDS_TO_STOP if stops < 10 else None)
            if "Best val_loss" in output:  # the training is over: nothing is left to be saved
                break
            assert process.returncode == code, output
            assert "Traceback" not in output
            stops += 1
        assert content(run_dir) == straight_command
        if stops >= 10:
            return
