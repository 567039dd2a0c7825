"""Two processes of one run, joined by gloo: a signal to either stops both, at the same step."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from utils.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import os, sys
import torch, torch.distributed as dist
from pathlib import Path
from torch import nn
from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer
from utils.errors import run_command

class Told(Trainer):
    def train_step(self, batch):
        if self.step in (1, 100000):
            print("training", flush=True)
        return super().train_step(batch)

def main(argv):
    dist.init_process_group("gloo", init_method="file://" + argv[0], rank=int(argv[1]), world_size=2)
    torch.manual_seed(0)
    data = torch.randn(64, 3)
    model = nn.Linear(3, 1)
    loader = BaseDataLoader(InMemoryDataset(data, data[:, :1]), 4, validation_split=0.25)
    trainer = Told(model, nn.functional.mse_loss, [], torch.optim.SGD(model.parameters(), lr=0.001), loader,
                   loader.split_validation(), epochs=10**6, tensorboard=False, save_period=10**6)
    try:
        trainer.train(Path(argv[2]))
    finally:
        print("stopped at", trainer.step, flush=True)
        dist.barrier()

code = run_command(main, sys.argv[1:])
os._exit(code)  # gloo's own threads now and then abort a process that ends in order
"""


# SIGTERM to the last process has a quicker test too: see tests/trainer/parallel
@pytest.mark.parametrize(
    ("first", "number"), [(0, signal.SIGINT), pytest.param(1, signal.SIGTERM, marks=pytest.mark.crash)]
)
def test_a_signal_to_one_of_two_processes_stops_both_at_the_same_step(tmp_path, first, number):
    arguments = [sys.executable, "-c", RUN, str(tmp_path / "meeting")]
    processes = [
        subprocess.Popen(
            [*arguments, str(rank), str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in (0, 1)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "training\n"
        for _ in range(random.Random(int(number) + first).randrange(10**6)):
            pass  # some instant
        processes[first].send_signal(number)
        told = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [128 + number] * 2
    assert told[0] == told[1] != ""
    assert load_checkpoint(tmp_path / "checkpoint-last.pth")["step"] == int(told[0].split()[-1])
