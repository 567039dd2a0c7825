"""What the tests of the tools share: a run that is done, and processes that begin at once."""

import multiprocessing
import shutil
from pathlib import Path

import pytest

from parse_config import ConfigParser
from tools.trials import processes
from utils.config import read_json


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A run in this process: what a run imports and reads, its forks have."""
    from train import run

    settings = ["trainer.epochs=3", "trainer.save_period=1", "trainer.tensorboard=false", "arch.args.sizes=[64,16,10]",
                f"trainer.save_dir={tmp_path_factory.mktemp('finished')}"]  # fmt: skip
    return run(ConfigParser(read_json(Path("config.json")), settings=settings))["run_dir"]


@pytest.fixture
def run_dir(finished_run, tmp_path):
    """A run that is done: epochs 1, 2 and 3, of 41 steps each."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def quick_processes(finished_run, monkeypatch):
    """Trials are copies of this process. The commands of docs/search.md start them as they are started."""
    monkeypatch.setattr(processes, "CONTEXT", multiprocessing.get_context("fork"))
