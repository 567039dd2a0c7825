"""What the tests of searches and repeats share: processes that begin at once."""

import multiprocessing
from pathlib import Path

import pytest

from parse_config import ConfigParser
from tools.trials import processes
from utils.config import read_json


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """A run in this process: what a run imports and reads, its copies have."""
    from train import run

    settings = ["trainer.epochs=1", "trainer.tensorboard=false", f"trainer.save_dir={tmp_path_factory.mktemp('warm')}"]
    run(ConfigParser(read_json(Path("config.json")), settings=settings))


@pytest.fixture
def quick_processes(warm, monkeypatch):
    """Trials are copies of this process. The commands of docs/search.md start them as they are started."""
    monkeypatch.setattr(processes, "CONTEXT", multiprocessing.get_context("fork"))
