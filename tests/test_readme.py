"""The commands and blocks of the README, and of the page on everyday use, work as they stand."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from parse_config import ConfigParser
from tests.docs.pages import blocks, run_line
from utils.config import apply_settings, read_json
from utils.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8") + (PROJECT / "docs" / "everyday.md").read_text("utf-8")


MAKE, START, EVERYDAY = (block.splitlines() for _, block in blocks(README, "bash"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that the commands can be run word for word without leaving runs here."""
    leave_out = shutil.ignore_patterns(".*", "saved", "__pycache__")
    project = shutil.copytree(PROJECT, tmp_path_factory.mktemp("readme") / "project", ignore=leave_out)
    shutil.rmtree(project / "data", ignore_errors=True)
    return project


def test_the_commands_run_in_the_order_of_the_page(project, monkeypatch):
    monkeypatch.chdir(project)
    train, test, tensorboard = START
    assert tensorboard.startswith("tensorboard --logdir")
    monkeypatch.setattr("logger.figures.results.draw_figures", lambda *arguments: [])  # docs/looking.md has them
    run_line(train)
    printed = run_line(test)
    results = json.loads((project / "saved/Digits_MLP/first/test_metrics.json").read_text())
    best = max(json.loads(line)["val_accuracy"]
               for line in (project / "saved/Digits_MLP/first/metrics.jsonl").read_text().splitlines())  # fmt: skip
    assert results["accuracy"] >= 0.97 and best >= 0.97
    [shown] = [block for _, block in blocks(README, "text") if "n_samples" in block]
    names = re.findall(r"^ {4}(\w+)", shown, re.MULTILINE)
    assert names == list(results) == re.findall(r"^ {4}(\w+)", printed, re.MULTILINE)

    assert "--check" in EVERYDAY[0]
    for command in EVERYDAY:
        run_line(command)
    assert (project / "../my-project/train.py").is_file()


def test_make_has_the_two_targets(project):
    for command in MAKE:
        target = command.removeprefix("make ")
        assert f"\n{target}: .venv/installed" in (project / "Makefile").read_text()
        subprocess.run(["make", "--dry-run", target], cwd=project, check=True, capture_output=True)


def test_ci_runs_the_readmes_test_command():
    assert (PROJECT / ".ci" / "run").read_text().rstrip().endswith(MAKE[1])


def test_the_config_shown_is_right():
    [(_, config)] = blocks(README, "json")
    ConfigParser(json.loads(config))


def test_the_message_shown_is_the_message():
    [shown] = [block for _, block in blocks(README, "text") if block.startswith("error:")]
    config = read_json(PROJECT / "config.json")
    apply_settings(config, ["trainer.epoch=3", "optimizer.type=adamw"])
    with pytest.raises(ConfigError) as error:
        ConfigParser(config, "config.json")
    for line, real in zip(shown.splitlines(), f"error: {error.value}".splitlines(), strict=True):
        assert real.startswith(line.removesuffix("..."))


def test_the_paths_named_exist():
    paths = re.findall(r"\b(?:tests|docs|benchmarks|tools|data_loader|model|trainer|base|utils|logger)/[\w/.]*", README)
    for path in paths:
        assert (PROJECT / path.rstrip(".")).exists() or "mine" in path, path
