"""A disk that is really full: a tmpfs of one megabyte, mounted by an unprivileged process for itself alone."""

import ctypes
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import traceback
from pathlib import Path

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from logger.run_log import RunLog
from logger.writers import Writers
from trainer import Trainer
from utils.checkpoint import load_checkpoint, open_checkpoint
from utils.errors import UserError, run_command

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000


def mount_small_disk(folder: Path) -> None:
    """Mount a tmpfs of 1 MB that only this process sees; it goes with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if libc.mount(b"none", str(folder).encode(), b"tmpfs", 0, b"size=1m") != 0:
        raise OSError(ctypes.get_errno(), "mount")


def in_a_process(function, *args) -> int:
    process = multiprocessing.get_context("fork").Process(target=function, args=args)
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture(scope="module", autouse=True)
def everything_imported(tmp_path_factory) -> None:
    """So that the forked processes need not: what torch imports late takes seconds."""
    make_trainer(Trainer, epochs=1, tensorboard=True).train(tmp_path_factory.mktemp("first"))


@pytest.fixture
def on_small_disk(tmp_path, capfd):
    """Calls a function, with a run's folder on a small disk, in a process of its own; what fails there fails here."""
    if sys.platform != "linux" or in_a_process(mount_small_disk, tmp_path) != 0:
        pytest.skip("a tmpfs cannot be mounted here without more rights")

    def run(function) -> str:
        def child():
            logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
            mount_small_disk(tmp_path)
            (tmp_path / "run").mkdir()
            try:
                function(tmp_path / "run")
            except BaseException:
                traceback.print_exc()
                os._exit(1)

        capfd.readouterr()
        code = in_a_process(child)
        said = capfd.readouterr().err
        assert code == 0, said
        return said

    return run


class Disk:
    """The small disk's space, taken and given back."""

    def __init__(self, run_dir: Path):
        self.ballast = run_dir.parent / "ballast"

    def fill(self) -> None:
        with self.ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def free(self) -> None:
        self.ballast.unlink()


def make_trainer(kind: type[Trainer], epochs: int, tensorboard: bool = False) -> Trainer:
    """A state of 80 kB, saved at every epoch's end."""
    torch.manual_seed(0)
    data = torch.randn(8, 100)
    loader = BaseDataLoader(InMemoryDataset(data, torch.randn(8, 100)), 4)
    model = nn.Linear(100, 100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return kind(model, nn.functional.mse_loss, [], optimizer, loader, epochs=epochs, monitor="min loss", save_period=1,
                keep_last=1, tensorboard=tensorboard)  # fmt: skip


def at_epoch(events: dict[int, str]) -> type[Trainer]:
    """A trainer whose disk is filled or freed when some epochs begin; each waits for the save before."""

    class Eventful(Trainer):
        def _train_epoch(self, epoch):
            self.checkpoints._wait()
            if epoch in events:
                getattr(Disk(self.run_dir), events[epoch])()
            return super()._train_epoch(epoch)

    return Eventful


def epochs_logged(run_dir: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_the_training_goes_on_and_the_next_save_makes_up_for_it(on_small_disk):
    def train(run_dir):
        make_trainer(at_epoch({3: "fill", 5: "free"}), epochs=6).train(run_dir)
        assert epochs_logged(run_dir) == [1, 2, 3, 4, 5, 6]
        epochs = {path.name: load_checkpoint(path)["epoch"] for path in run_dir.glob("*.pth")}
        assert epochs == {"checkpoint-epoch6.pth": 6, "checkpoint-last.pth": 6, "model_best.pth": 6}
        assert not list(run_dir.glob(".*"))

    said = on_small_disk(train)
    assert said.count("No checkpoint saved in") == said.count("No space left on device") == 2
    assert "run: No space left on device. Those before are intact; the next save tries again." in said


@pytest.mark.parametrize("full_from", [3, 6])
def test_at_the_end_it_is_an_error_with_the_state_saved_elsewhere(
    on_small_disk, tmp_path_factory, monkeypatch, full_from
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))

    def train(run_dir):
        trainer = make_trainer(at_epoch({full_from: "fill"}), epochs=6)
        assert run_command(lambda argv: trainer.train(run_dir)) == 2
        assert trainer.epoch == 6
        path, checkpoint = open_checkpoint(run_dir)
        assert (path.name, checkpoint["epoch"]) == ("checkpoint-last.pth", full_from - 1)  # the one before is intact
        [folder] = elsewhere.glob("run-*")
        for name in ("checkpoint-last.pth", "model_best.pth"):
            assert load_checkpoint(folder / name)["epoch"] == 6
        assert torch.equal(load_checkpoint(folder / "checkpoint-last.pth")["model"]["weight"], trainer.model.weight)

    [line] = [line for line in on_small_disk(train).splitlines() if line.startswith("error:")]
    assert "run: No space left on device. The state is saved in " + str(elsewhere) in line


def test_if_there_is_no_other_place_the_message_says_so(on_small_disk, monkeypatch):
    def train(run_dir):
        monkeypatch.setattr(tempfile, "tempdir", str(run_dir))
        with pytest.raises(UserError, match=r"The state could not be saved .*either: No space left on device"):
            make_trainer(at_epoch({2: "fill"}), epochs=3).train(run_dir)
        assert load_checkpoint(run_dir / "checkpoint-last.pth")["epoch"] == 1

    on_small_disk(train)


def test_the_log_catches_up_and_tensorboard_ends(on_small_disk):
    def train(run_dir):
        writer, refused = Writers(lambda: 0), 0
        writer.open(["tensorboard"], run_dir, config={})
        with RunLog(run_dir, first_epoch=0, epochs=900, writer=writer) as run_log:
            for epoch in range(1, 901):
                if epoch in (300, 600):
                    getattr(Disk(run_dir), {300: "fill", 600: "free"}[epoch])()
                run_log.write({"epoch": epoch, "step": epoch, "loss": 1 / epoch, "lr": 0.1, "seconds": 0.1}, False)
                try:
                    run_log.flush()
                except OSError:
                    refused += 1
            assert refused > 200
        assert epochs_logged(run_dir) == list(range(1, 901))

    assert on_small_disk(train).count("What tensorboard writes ends here: No space left on device") == 1


def test_a_full_disk_at_the_start_is_one_line(on_small_disk):
    from logger.run_dir import record_environment

    def train(run_dir):
        Disk(run_dir).fill()
        assert run_command(lambda argv: record_environment(run_dir, "cpu", {})) == 2

    said = on_small_disk(train)
    assert said.startswith("error: ") and said.rstrip().endswith("environment.json: No space left on device")


def test_the_log_file_is_silent(on_small_disk):
    from logger.logger import setup_logging

    def train(run_dir):
        setup_logging(1, run_dir / "train.log")
        logging.getLogger("train").info("before")
        Disk(run_dir).fill()
        for _ in range(1000):
            logging.getLogger("train").info("a line of a few words " * 10)
        assert "before" in (run_dir / "train.log").read_text()

    assert "Traceback" not in on_small_disk(train)
