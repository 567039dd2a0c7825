"""Two processes of one run, joined by gloo: a signal to either stops both, at the same step."""

import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from tests.conftest import fork
from trainer import Trainer
from utils.checkpoint import load_checkpoint
from utils.errors import run_command


class Told(Trainer):
    """Says when the training is under way."""

    def train_step(self, batch):
        if self.step == 1:
            print("training", flush=True)
        return super().train_step(batch)


def train(folder: Path, rank: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    torch.manual_seed(0)
    data = torch.randn(64, 3)
    model = nn.Linear(3, 1)
    loader = BaseDataLoader(InMemoryDataset(data, data[:, :1]), 4, validation_split=0.25)
    trainer = Told(model, nn.functional.mse_loss, [], torch.optim.SGD(model.parameters(), lr=0.001), loader,
                   loader.split_validation(), epochs=10**6, tensorboard=False, save_period=10**6)  # fmt: skip
    try:
        trainer.train(folder)
    finally:
        print("stopped at", trainer.step, flush=True)
        dist.barrier()


def run(folder: Path, rank: int) -> None:
    code = run_command(lambda argv: train(folder, rank), [])
    os._exit(code)  # gloo's own threads now and then abort a process that ends in order


# SIGTERM to the last process has a quicker test too: see tests/trainer/parallel
@pytest.mark.parametrize(
    ("first", "number"), [(0, signal.SIGINT), pytest.param(1, signal.SIGTERM, marks=pytest.mark.crash)]
)
def test_a_signal_to_one_of_two_processes_stops_both_at_the_same_step(tmp_path, first, number):
    said = [tmp_path / "first", tmp_path / "second"]
    processes = [fork(partial(run, tmp_path, rank), log) for rank, log in enumerate(said)]
    try:
        while not all("training\n" in log.read_text() for log in said):
            assert all(process.is_alive() for process in processes)
            time.sleep(0.01)
        for _ in range(random.Random(int(number) + first).randrange(10**6)):
            pass  # some instant
        os.kill(processes[first].pid, number)
        for process in processes:
            process.join(60)
    finally:
        for process in processes:
            process.kill()
    assert [process.exitcode for process in processes] == [128 + number] * 2
    stopped = [[line for line in log.read_text().splitlines() if line.startswith("stopped at")] for log in said]
    assert stopped[0] == stopped[1] != []
    assert load_checkpoint(tmp_path / "checkpoint-last.pth")["step"] == int(stopped[0][0].split()[-1])
