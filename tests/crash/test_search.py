"""python -m tools.tune is killed 20 times: no process is left, no trial is lost or begun anew, the table is the same.

pytest -m crash tests/crash/test_search.py
"""

import csv
import itertools
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("looks into /proc", allow_module_level=True)

N_KILLS = 20
SPACE = {"optimizer.args.lr": {"log": [1e-4, 1e-1]}, "arch.args.dropout": {"range": [0.0, 0.5]}}
SETTINGS = ["trainer.epochs=6", "trainer.tensorboard=false", "trainer.save_every_steps=5"]


def launch(tmp_path: Path, name: str) -> subprocess.Popen:
    space = tmp_path / "space.json"
    space.write_text(json.dumps(SPACE))
    command = [sys.executable, "-m", "tools.tune", "-c", "config.json", "--space", str(space), "--trials", "6",
               "--parallel", "2", "--name", name, "-s", *SETTINGS, f"trainer.save_dir={tmp_path}"]  # fmt: skip
    environment = os.environ | {"SEARCH_OF_TEST": str(tmp_path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def is_left(tmp_path: Path) -> bool:
    """Whether a process of a search is there."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"SEARCH_OF_TEST={tmp_path}".encode() in path.read_bytes():
                return True
        except OSError:  # it has just ended
            continue
    return False


def last_saved(folder: Path) -> int:
    """Another number after each checkpoint."""
    return sum(path.stat().st_mtime_ns for path in folder.glob("trial-*/checkpoint-last.pth"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.crash
def test_twenty_kills_of_a_search(tmp_path):
    straight, _ = launch(tmp_path, "straight").communicate()
    assert "Best: val_loss" in straight
    instants, kills = random.Random(0), 0
    for number in itertools.count():
        folder, interrupted = tmp_path / "Digits_MLP" / f"killed-{number}", set()
        code = None
        while code != 0:
            process, before = launch(tmp_path, folder.name), last_saved(folder)
            if kills < N_KILLS:
                while process.poll() is None and last_saved(folder) == before:
                    time.sleep(0.01)
                time.sleep(instants.uniform(0, 1))
                process.kill()
            output, _ = process.communicate()
            code = process.returncode
            assert code in (0, -9), output
            kills += code != 0
            killed_at = time.monotonic()
            while is_left(tmp_path):
                assert time.monotonic() < killed_at + 30, "a process is left"
                time.sleep(0.01)
            begun = {path.parent for path in folder.glob("trial-*/checkpoint-last.pth")}
            interrupted |= {run_dir for run_dir in begun if not (run_dir / "result.json").exists()}
        assert rows(folder) == rows(folder.parent / "straight")
        assert all("Going on from" in (run_dir / "train.log").read_text() for run_dir in interrupted)
        if kills >= N_KILLS:
            print(f"{kills} kills, {number + 1} searches")
            return
