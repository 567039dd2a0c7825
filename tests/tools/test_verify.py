import os
import re

import pytest
import torch

from base import BaseTrainer
from model.mlp import MLP
from tests.conftest import define
from tools import verify
from utils.checkpoint import load_checkpoint, save_checkpoint
from utils.errors import run_command


@pytest.fixture
def run_verify(capsys):
    """`code, out, err = run_verify(*argv)`"""

    def run(*argv):
        capsys.readouterr()
        try:
            code = run_command(verify.main, [str(argument) for argument in argv])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def contents(run_dir):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in run_dir.rglob("*") if path.is_file()}


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_sound_run_is_described_and_nothing_is_written(run_dir, run_verify):
    before = contents(run_dir)
    code, out, _ = run_verify(run_dir)
    assert code == 0
    for name, epoch in (("model_best", "[123]"), ("checkpoint-last", 3), ("checkpoint-epoch2", 2)):
        [line] = [line for line in out.splitlines() if f"{name}.pth:" in line]
        size = f"{(run_dir / f'{name}.pth').stat().st_size:,}"
        assert re.fullmatch(rf"intact   \S+: epoch {epoch}, step \d+, {size} bytes", line)
    assert "step 82," in out and "step 123," in out
    assert f"train.py -r {run_dir} goes on from checkpoint-last.pth\n" in out
    assert out.endswith("5 steps from it, trained twice: weights, optimizer and random state are bit-identical\n")
    assert contents(run_dir) == before


def test_a_damaged_checkpoint_is_named_and_the_next_one_replayed(run_dir, run_verify):
    flip_a_bit(run_dir / "checkpoint-last.pth")
    code, out, _ = run_verify(run_dir, "--steps", 2)
    assert code == 1
    assert re.search(r"^DAMAGED  \S+checkpoint-last\.pth is damaged or not a checkpoint: the checksum", out, re.M)
    assert len(re.findall("^intact ", out, re.M)) == 4
    assert "goes on from checkpoint-epoch3.pth\n2 steps from it, trained twice: weights" in out


def test_a_run_of_several_processes_is_replayed_in_one(run_dir, run_verify):
    checkpoint = load_checkpoint(run_dir / "checkpoint-last.pth")
    checkpoint["config"]["trainer"] |= {"parallel": "fsdp", "sharded_checkpoints": True}
    save_checkpoint(checkpoint, run_dir / "checkpoint-last.pth")
    code, out, _ = run_verify(run_dir)
    assert (code, out.splitlines()[-1].partition(":")[0]) == (0, "5 steps from it, trained twice")


class OwnTrainer(BaseTrainer):
    """Straight from the base: it takes none of Trainer's own options."""

    def __init__(self, model, criterion, metrics=(), optimizer=None, data_loader=None, valid_data_loader=None,
                 lr_scheduler=None, **options):  # fmt: skip
        super().__init__(model, optimizer, lr_scheduler, **options)
        self.criterion, self.data_loader, self.valid_data_loader = criterion, data_loader, None

    def _train_epoch(self, epoch):
        self.data_loader.set_position(epoch, self.batch)
        for data, target in self.data_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(data), target)
            loss.backward()
            self.optimizer.step()
            self.end_step()
        return {"loss": loss.item()}


def test_a_trainer_that_is_no_trainer_of_the_template_is_replayed_too(train, run_verify, monkeypatch):
    own = define(monkeypatch, "trainer", OwnTrainer)
    run_dir = train("config.json", f"trainer.type={own}", "trainer.monitor=off", "trainer.early_stop=0",
                    "trainer.epochs=1", "trainer.tensorboard=false", "arch.args.sizes=[64, 16, 10]")  # fmt: skip
    code, out, _ = run_verify(run_dir)
    assert (code, out.splitlines()[-1].partition(":")[0]) == (0, "5 steps from it, trained twice")


def test_a_run_whose_checkpoints_are_all_damaged(run_dir, run_verify):
    for path in run_dir.glob("*.pth"):
        path.write_bytes(b"")
    code, out, _ = run_verify(run_dir)
    assert code == 1
    assert len(re.findall("^DAMAGED ", out, re.M)) == 5
    assert (
        f"A resume would fail: {run_dir} holds no checkpoint (checkpoint-*.pth or model_best.pth) that is intact" in out
    )


def test_a_checkpoint_that_is_whole_but_does_not_fit(run_dir, run_verify):
    path = run_dir / "checkpoint-last.pth"
    save_checkpoint(load_checkpoint(path) | {"random": {}}, path)
    code, out, _ = run_verify(run_dir)
    assert code == 1
    assert "A resume would fail: the checkpoint does not fit this run: KeyError" in out


def test_a_model_that_is_not_repeatable_is_found_out(run_dir, run_verify, monkeypatch):
    forward = MLP.forward
    monkeypatch.setattr(MLP, "forward", lambda self, x: forward(self, x) * (1 + os.urandom(1)[0] / 256))
    code, out, _ = run_verify(run_dir)
    assert code == 1
    assert "5 steps from it, trained twice: NOT the same, first in " in out


def test_a_run_that_is_not_done_is_replayed_over_the_ends_of_its_epochs(run_dir, run_verify):
    for path in run_dir.glob("*.pth"):
        if path.name != "checkpoint-epoch1.pth":
            path.unlink()
    assert "50 steps from it, trained twice: weights" in run_verify(run_dir, "--steps", 50)[1]
    code, out, _ = run_verify(run_dir, "--steps", 1000)  # two epochs are left
    assert code == 0 and "82 steps from it" in out


@pytest.mark.parametrize(("schedule_per", "total_steps"), [("epoch", 2), ("step", 82)])
def test_a_done_run_whose_scheduler_has_no_further_step(schedule_per, total_steps, train, run_verify):
    one_cycle = f'{{"type": "OneCycleLR", "args": {{"max_lr": 0.01, "total_steps": {total_steps}}}}}'
    run_dir = train("config.json", "trainer.epochs=2", "trainer.tensorboard=false", "arch.args.sizes=[64, 16, 10]",
                    f"trainer.schedule_per={schedule_per}", f"lr_scheduler={one_cycle}")  # fmt: skip
    code, out, _ = run_verify(run_dir, "--steps", 100)
    assert code == 0 and "41 steps from it, trained twice: weights" in out


def test_wrong_usage(run_verify, tmp_path):
    code, _, err = run_verify(tmp_path / "nothing")
    assert code == 2 and "holds no checkpoint" in err
    code, _, err = run_verify(tmp_path)
    assert code == 2 and "holds no checkpoint" in err
    code, _, err = run_verify(tmp_path, "--steps", 0)
    assert code == 2 and "--steps 0" in err
    assert run_verify()[0] == 2


@pytest.mark.parametrize(
    ("other", "place"),
    [
        ({"a": [torch.zeros(2), float("nan")], "b": {"c": torch.tensor(float("nan"))}}, None),
        ({"a": [torch.tensor([0.0, -0.0]), float("nan")], "b": {"c": torch.tensor(float("nan"))}}, "a.0"),
        ({"a": [torch.zeros(2).double(), float("nan")], "b": {"c": torch.tensor(float("nan"))}}, "a.0"),
        ({"a": [torch.zeros(1, 2), float("nan")], "b": {"c": torch.tensor(float("nan"))}}, "a.0"),
        ({"a": [torch.zeros(2), 1], "b": {"c": torch.tensor(float("nan"))}}, "a.1"),
        ({"a": [torch.zeros(2), float("nan"), 3], "b": {"c": torch.tensor(float("nan"))}}, "a.2"),
        ({"a": [torch.zeros(2), float("nan")], "b": {}}, "b.c"),
        ({"a": [torch.zeros(2), float("nan")], "b": {"c": None}}, "b.c"),
    ],
)
def test_states_are_compared_bit_by_bit(other, place):
    state = {"a": [torch.zeros(2), float("nan")], "b": {"c": torch.tensor(float("nan"))}}
    assert verify.find_difference(state, other) == place
    assert verify.find_difference(other, state) == place
