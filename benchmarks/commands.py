"""Whole processes, timed from outside."""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.measure import Contestants

PROJECT = Path(__file__).resolve().parent.parent
TORCH_ALONE = "import os, torch; os._exit(0)"
STEP_BY_HAND = """
import os, torch
weight = torch.nn.Parameter(torch.zeros(1))
optimizer = torch.optim.SGD([weight], lr=0.1)
weight.sum().backward()
optimizer.step()
os._exit(0)
"""
# Runs a script until the first step of an optimizer is done.
ONE_STEP = """
import os, runpy, sys
from torch.optim.optimizer import register_optimizer_step_post_hook
register_optimizer_step_post_hook(lambda *step: os._exit(0))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
sys.exit("no step was taken")
"""


def seconds(*arguments: str) -> float:
    """How long Python takes from its start to its end. Raises CalledProcessError when it fails."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=PROJECT, check=True, capture_output=True)
    return time.perf_counter() - start


def comparisons(save_dir: str, epochs: int) -> dict[str, Contestants]:
    """The contestants of each comparison.

    save_dir: where runs are saved.
    epochs: the length of the short run.
    """
    digits = ["train.py", "-d", "cpu", "-c", "config.json", "-s", f"trainer.save_dir={save_dir}"]
    parabola = [*digits[:4], "configs/quadratic_regression.json", *digits[5:]]
    return {
        "short-run": {
            "by hand": partial(seconds, "benchmarks/digits_by_hand.py", str(epochs)),
            "train.py": partial(seconds, *digits, f"trainer.epochs={epochs}"),
        },
        "first-step": {
            "import torch": partial(seconds, "-c", TORCH_ALONE),
            "a step by hand": partial(seconds, "-c", STEP_BY_HAND),
            "train.py, parabola": partial(seconds, "-c", ONE_STEP, *parabola),
            "train.py, digits": partial(seconds, "-c", ONE_STEP, *digits),
        },
        "help": {
            "python": partial(seconds, "-c", ""),
            "train.py --help": partial(seconds, "train.py", "--help"),
        },
    }
