"""Checkpoints, run folders and data of a stranger: each is refused with one line, or does no harm.

The payloads are in payloads.py; audit.py gives them to train.py and test.py in a process with an audit hook.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from parse_config import ConfigParser
from tests.hostile.audit import CONFIG, CONTROLS
from tests.hostile.payloads import PAYLOADS
from utils.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What audit.py reports; of several test processes one runs it, and the others wait."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / "hostile"
    with FileLock(root / "hostile.lock"):
        if not folder.exists():
            folder.mkdir()
            command = [sys.executable, "-m", "tests.hostile.audit", str(folder)]
            done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=3000, env=environment())
            assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "report.json").read_text())


def environment() -> dict[str, str]:
    """One thread for tiny models; and no bytecode, which would be a file written outside."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for name in PAYLOADS for command in PAYLOADS[name].words]
)
def test_a_payload_is_refused_with_one_line_or_does_no_harm(report, name, command):
    happened, words = report["payloads"][name][command], PAYLOADS[name].words[command]
    assert happened["crash"] is None
    assert happened["events"] == []
    assert happened["changed"] == []
    assert happened["raw"] == []  # nothing that would steer the terminal
    assert (happened["code"], happened["words"]) == (0, "") if words is None else happened["code"] == 2
    if words is not None:
        assert happened["words"].startswith("error: ") and words in happened["words"]
        assert len(happened["words"].splitlines()) == 1 or " faults:\n" in happened["words"]
        assert len(happened["words"]) < 5000


def test_the_honest_run_goes_on(report):
    for happened in report["payloads"]["honest"].values():
        assert happened == {"code": 0, "words": "", "raw": [], "crash": None, "events": [], "changed": []}


def test_a_config_out_of_a_checkpoint_downloads_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there: no network
    loader = {"type": "MnistDataLoader", "args": {"data_dir": str(tmp_path / "data"), "batch_size": 10}}
    with pytest.raises(ConfigError, match="Error downloading"):
        ConfigParser(CONFIG | {"data_loader": loader}).init_obj("data_loader")
    with pytest.raises(ConfigError, match=r"Dataset not found.*name the config too: -c CONFIG"):
        ConfigParser(CONFIG | {"data_loader": loader}, trusted=False).init_obj("data_loader")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CONTROLS)
def test_the_hook_sees(report, name):
    """Without these, a hook that sees nothing would prove everything."""
    assert report["controls"][name]["events"]
