"""How the processes of a run end together, by a fault, a signal or a death, and what a restart makes of it."""

import dataclasses
import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed.launcher import api

import trainer.check
from base import BaseDataLoader, BaseModel, InMemoryDataset
from tests.conftest import define, fork_command, load_script
from tools.verify import find_difference
from trainer.parallel import launch
from utils.checkpoint import load_checkpoint
from utils.parallel import rank


class Line(nn.Linear, BaseModel):
    """A copied project has it, whatever its models are."""

    def __init__(self):
        super().__init__(1, 1)


class LineDataLoader(BaseDataLoader):
    def __init__(self, batch_size: int, training: bool = True, **options):
        x = torch.linspace(-1, 1, 1000).unsqueeze(1) + (0 if training else 0.001)
        super().__init__(InMemoryDataset(x, 2 * x + 3), batch_size, training=training, **options)


@pytest.fixture
def argv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of a run of 3 epochs of 3 steps, with a checkpoint after each."""
    values = {
        "name": "Together",
        "n_gpu": 0,
        "seed": 1,
        "threads": 1,
        "arch": {"type": define(monkeypatch, "model", Line)},
        "data_loader": {
            "type": define(monkeypatch, "data_loader", LineDataLoader),
            "args": {"batch_size": 300, "validation_split": 0.1},
        },
        "optimizer": {"type": "SGD", "args": {"lr": 0.01, "momentum": 0.9}},
        "loss": "l1_loss",
        "trainer": {"tensorboard": False, "epochs": 3, "save_every_steps": 1, "save_dir": str(tmp_path / "saved")},
    }
    (tmp_path / "config.json").write_text(json.dumps(values))
    return ["-c", str(tmp_path / "config.json")]


def train(at_step: dict[int, Callable[[], None]], argv: list[str]) -> None:
    """In each process: train.py, and what happens at a step."""
    module = load_script("train")
    build = module.build_trainer

    def build_trainer(*args):
        trainer = build(*args)
        end_step = trainer.end_step

        def then():
            end_step()
            at_step.get(trainer.step, lambda: None)()

        trainer.end_step = then
        return trainer

    module.build_trainer = build_trainer
    module.main(argv)


def on_rank(number: int, action: Callable[[], None]) -> Callable[[], None]:
    return lambda: action() if rank() == number else None


def fail() -> None:
    raise LookupError("a bug")


def die() -> None:
    time.sleep(0.3)  # until the last checkpoint is on disk
    os.kill(os.getpid(), signal.SIGKILL)


def settings(*words: str) -> list[str]:
    return ["-s", *words]


@pytest.mark.parametrize("words", [settings("trainer.epochs=none"), settings("data_loader.args.batch_size=2")])
def test_a_users_error_is_one_line_of_one_process_and_exit_code_2(argv, together, words):
    ended = together(3, partial(train, {}), [*argv, *words])
    assert ended.codes == [2, 2, 2]
    lines = [line for said in ended.said for line in said.splitlines()]
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert not any("Traceback" in said for said in ended.said)


def test_configs_that_differ_are_one_line(argv, together):
    other = settings("seed=2")
    ended = together(2, lambda argv: train({}, [*argv, *(other if rank() == 1 else [])]), argv)
    assert ended.codes == [2, 2]
    assert "".join(ended.said).strip() == "error: process 1 and process 0 do not have the same config"


def test_a_check_keeps_what_it_has_saved_until_all_have_read_it(argv, together):
    def check(argv):
        open_checkpoint = trainer.check.open_checkpoint

        def read_later(path):
            time.sleep(rank() / 2)
            return open_checkpoint(path)

        trainer.check.open_checkpoint = read_later
        train({}, argv)

    ended = together(2, check, [*argv, "--check"])
    assert ended.codes == [0, 0], ended.said


def test_a_bug_in_one_process_ends_all_and_only_that_one_says_it(argv, together):
    ended = together(3, partial(train, {4: on_rank(1, fail)}), argv)
    assert ended.codes == [1, 1, 1]
    assert ended.said[1].splitlines()[-1] == "LookupError: a bug"
    assert "Traceback" not in ended.said[0] + ended.said[2]


def test_after_a_death_a_restart_goes_on_and_ends_as_if_nothing_had_been(argv, together, tmp_path):
    assert together(2, partial(train, {}), [*argv, "--run-id", "straight"]).codes == [0, 0]
    folder = tmp_path / "saved" / "Together"
    argv += ["--run-id", "killed"]
    for step, victim in ((2, 1), (5, 0)):
        codes, said = together(2, partial(train, {step: on_rank(victim, die)}), argv, restart=step > 2)
        assert codes[victim] == -signal.SIGKILL and codes[1 - victim] != 0, said
    assert together(2, partial(train, {}), argv, restart=True).codes == [0, 0]
    one, other = (load_checkpoint(folder / name / "checkpoint-last.pth") for name in ("straight", "killed"))
    assert find_difference(one | {"run": ""}, other | {"run": ""}) is None


def run_script(path: str, *argv: str) -> None:
    sys.argv = [path, *argv]
    runpy.run_path(path, run_name="__main__")


class ForkingLaunch(api.elastic_launch):
    """Torch's, whose processes are forks that run the script: new Pythons would take seconds to import torch."""

    def __init__(self, config: api.LaunchConfig, python: str):
        assert python == sys.executable
        super().__init__(dataclasses.replace(config, start_method="fork"), run_script)


def test_train_py_starts_a_process_for_each_gpu_of_n_gpu(argv, tmp_path, monkeypatch):
    """Here for each of two CPUs; its exit code and its last line are theirs."""
    monkeypatch.setattr(launch, "_n_gpus", lambda wanted: 2)
    monkeypatch.setattr(api, "elastic_launch", ForkingLaunch)
    argv += ["--run-id", "two", "-s", "trainer.epochs=1000000", "n_gpu=2"]
    process = fork_command("train", *argv, log=tmp_path / "said")
    until = time.monotonic() + 600
    while process.is_alive() and "epoch 1/" not in (tmp_path / "said").read_text(encoding="utf-8"):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.terminate()
    process.join(600)
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert process.exitcode == 143, said
    run_dir = tmp_path / "saved" / "Together" / "two"
    assert said.splitlines()[-1] == f"stopped by SIGTERM; go on with -r {run_dir}"
    assert load_checkpoint(run_dir / "checkpoint-last.pth")["step"] > 0
