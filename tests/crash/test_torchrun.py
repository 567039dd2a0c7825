"""Real `torchrun` of two processes: killed at random instants it starts again by itself, and SIGTERM stops all at once.

pytest -m crash tests/crash/test_torchrun.py
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from logger.run_log import read_metrics
from tests.conftest import PROJECT
from tools.verify import find_difference
from utils.checkpoint import load_checkpoint

pytestmark = pytest.mark.crash
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
TORCHRUN = [str(Path(sys.executable).with_name("torchrun")), "--nproc_per_node=2"]
SETTINGS = ["trainer.early_stop=0", "trainer.tensorboard=false", "trainer.save_every_steps=7", "lr_scheduler=null"]
SHARDED = ["trainer.parallel=fsdp", "trainer.sharded_checkpoints=true"]
SECONDS_TO_STOP = 5  # the promise


def start(save_dir: Path, run_id: str, *settings: str, restarts: int = 0) -> subprocess.Popen:
    train = ["train.py", "-c", "config.json", "--run-id", run_id, "-s", *SETTINGS, f"trainer.save_dir={save_dir}"]
    command = [*TORCHRUN, f"--max-restarts={restarts}", *train, *settings]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=PROJECT, env=ENVIRONMENT, **pipe)


def children(torchrun: subprocess.Popen) -> list[int]:
    """The processes of the run that are alive, in no order."""
    listed = subprocess.run(["pgrep", "-P", str(torchrun.pid), "-f", "train.py"], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def n_epochs(run_dir: Path) -> int:
    return len((run_dir / "metrics.jsonl").read_bytes().split(b"\n")) - 1 if (run_dir / "metrics.jsonl").exists() else 0


@pytest.mark.parametrize("settings", [[], SHARDED], ids=["ddp", "sharded"])
def test_ten_kills_change_nothing(tmp_path, settings):
    epochs = "trainer.epochs=60"
    assert start(tmp_path, "straight", epochs, *settings).wait(600) == 0
    straight, chance, n_kills = tmp_path / "Digits_MLP" / "straight", random.Random(0), 0
    for attempt in range(4):
        run_dir = tmp_path / "Digits_MLP" / f"killed{attempt}"
        torchrun = start(tmp_path, run_dir.name, epochs, *settings, restarts=3)
        for _ in range(3 if attempt < 3 else 1):
            before = n_epochs(run_dir)
            while torchrun.poll() is None and n_epochs(run_dir) <= before:  # not before it has gone on
                time.sleep(0.02)
            time.sleep(chance.random())
            if pids := children(torchrun):
                os.kill(chance.choice(pids), signal.SIGKILL)
                n_kills += 1
        said, _ = torchrun.communicate(timeout=600)
        assert torchrun.returncode == 0, said
        one, other = (load_checkpoint(folder / "checkpoint-last.pth") for folder in (run_dir, straight))
        keep = ("model", "optimizer", "epoch", "step", "best", "train_metrics")
        assert find_difference({key: one[key] for key in keep}, {key: other[key] for key in keep}) is None
        records = [[record | {"seconds": 0} for record in read_metrics(folder)] for folder in (run_dir, straight)]
        assert records[0] == records[1]
    assert n_kills == 10


@pytest.mark.parametrize("settings", [[], SHARDED], ids=["ddp", "sharded"])
def test_twenty_sigterms_each_leave_one_checkpoint_and_no_process(tmp_path, settings):
    chance, seconds = random.Random(1), []
    for attempt in range(20 if not settings else 5):
        run_dir = tmp_path / "Digits_MLP" / str(attempt)
        torchrun = start(tmp_path, run_dir.name, "trainer.epochs=100000", *settings)
        while n_epochs(run_dir) == 0:
            assert torchrun.poll() is None
            time.sleep(0.02)
        time.sleep(2 * chance.random())
        pids = children(torchrun)
        assert len(pids) == 2
        told = {0: pids[:1], 1: pids, 2: [torchrun.pid]}[attempt % 3]
        begin = time.monotonic()
        for pid in told:
            os.kill(pid, signal.SIGTERM)
        said, _ = torchrun.communicate(timeout=60)
        seconds.append(time.monotonic() - begin)
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert said.count("stopped by SIGTERM; go on with -r") == 1
        if torchrun.pid not in told:  # else its report has no codes
            assert set(re.findall(r"exitcode\s*: (-?\d+)", said)) == {"143"}
        state = load_checkpoint(run_dir / "checkpoint-last.pth")
        assert state["step"] > 0 and all(weight.isfinite().all() for weight in state["model"].values())
    print(f"seconds: {min(seconds):.1f} to {max(seconds):.1f}")
    assert max(seconds) < SECONDS_TO_STOP
