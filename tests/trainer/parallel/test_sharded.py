"""Checkpoints in parts: each is whole or not there, whatever stops which process. See also test_same_training.py."""

import errno
import os
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

import trainer.parallel.sharded as sharded
from logger.logger import setup_logging
from tests.trainer.parallel.test_same_training import go_on, make_trainer, state
from tools import merge
from tools.verify import find_difference
from utils.checkpoint import load_checkpoint, open_checkpoint, save_checkpoint
from utils.errors import UserError
from utils.parallel import rank

OPTIONS = {"fsdp": True, "sharded_checkpoints": True}


def parts(run_dir: Path) -> list[str]:
    return sorted(str(path.relative_to(run_dir)) for path in run_dir.glob("*.parts/*"))


@pytest.fixture
def run_dir(tmp_path, together) -> Path:
    """Two epochs of two processes."""
    assert together(2, partial(go_on, tmp_path / "run", epochs=2, keep_last=1, **OPTIONS)) == ([0, 0], ["", ""])
    return tmp_path / "run"


def test_a_checkpoint_is_one_file_and_a_folder_and_is_read_as_one(run_dir, tmp_path):
    own = torch.load(run_dir / "checkpoint-last.pth", weights_only=True)
    steps = {name: load_checkpoint(run_dir / name)["step"] for name in ("checkpoint-last.pth", "model_best.pth")}
    steps["checkpoint-epoch2.pth"] = steps["checkpoint-last.pth"]
    assert parts(run_dir) == sorted(f"{name}.parts/{step}-1-of-2.pth" for name, step in steps.items())
    go_on(tmp_path / "alone", epochs=2)
    alone = load_checkpoint(tmp_path / "alone" / "checkpoint-last.pth")
    both = load_checkpoint(run_dir / "checkpoint-last.pth")
    torch.testing.assert_close(both["model"], alone["model"], rtol=1e-9, atol=1e-10)
    for name, [rows] in own["model"].items():
        assert len(rows) == (len(both["model"][name]) + 1) // 2  # the larger half


def test_merging_makes_ordinary_files_of_it(run_dir, capsys):
    before = load_checkpoint(run_dir / "checkpoint-last.pth")
    merge.main([str(run_dir)])
    assert "3 of 3 checkpoints merged" in capsys.readouterr().out
    assert not list(run_dir.glob("*.parts"))
    merged = torch.load(run_dir / "checkpoint-last.pth", weights_only=True)
    torch.testing.assert_close(merged["model"], before["model"], rtol=0, atol=0)
    for name, values in merged["optimizer"]["state"].items():
        assert values["momentum_buffer"].shape == merged["model"][name.removeprefix("model.")].shape
    make_trainer(epochs=3).resume(merged)
    merge.main([str(run_dir)])
    assert "0 of 3 checkpoints merged" in capsys.readouterr().out


def test_a_run_that_is_no_longer_sharded_leaves_no_parts(run_dir):
    go_on(run_dir, epochs=3, keep_last=1)
    assert {name.partition("/")[0] for name in parts(run_dir)} <= {"model_best.pth.parts"}
    assert not (run_dir / "checkpoint-epoch2.pth").exists()


def test_a_part_that_is_not_intact_is_named_and_another_checkpoint_is_taken(run_dir):
    [part] = (run_dir / "checkpoint-last.pth.parts").iterdir()
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    harms = {
        "does not fit": lambda: save_checkpoint({"model": 3, "optimizer": [1]}, part),
        f"{part} is damaged": lambda: part.write_bytes(damaged),
        f"{part} is damaged or not a checkpoint: .*No such file": part.unlink,
    }
    for words, harm in harms.items():
        harm()
        with pytest.raises(UserError, match=words):
            load_checkpoint(run_dir / "checkpoint-last.pth")
        path, content = open_checkpoint(run_dir)
        assert path.name == "checkpoint-epoch2.pth" and content["epoch"] == 2


def test_going_back_takes_the_parts_of_what_is_abandoned_along(run_dir, together):
    def go_back(argv=None):
        trainer = make_trainer(**OPTIONS)
        trainer.resume(first)
        trainer.train(run_dir)

    first = load_checkpoint(run_dir / "checkpoint-epoch2.pth")
    assert together(2, partial(go_on, run_dir, epochs=4, **OPTIONS)).codes == [0, 0]
    assert together(2, go_back).codes == [0, 0]
    assert load_checkpoint(run_dir / "abandoned-epoch4.pth")["epoch"] == 4


def dies_before_the_mark(run_dir: Path, argv=None) -> None:
    """Rank 0 is killed when all parts of the second checkpoint-last.pth are on disk, and its own part is not."""

    def save(content, path):
        if path.name == "checkpoint-last.pth" and content["step"] == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        save_checkpoint(content, path)

    sharded.save_checkpoint = save
    go_on(run_dir, save_every_steps=4, **OPTIONS)


def test_a_kill_between_the_parts_loses_one_save_and_nothing_else(tmp_path, together):
    assert together(2, partial(go_on, tmp_path / "straight", save_every_steps=4, **OPTIONS)).codes == [0, 0]
    codes = together(2, partial(dies_before_the_mark, tmp_path / "run")).codes
    assert codes[0] == -signal.SIGKILL and codes[1] != 0
    assert any(name.startswith("checkpoint-last.pth.parts/8-") for name in parts(tmp_path / "run"))
    assert open_checkpoint(tmp_path / "run")[1]["step"] < 8
    assert together(2, partial(go_on, tmp_path / "run", save_every_steps=4, **OPTIONS)) == ([0, 0], ["", ""])
    assert find_difference(state(tmp_path / "run"), state(tmp_path / "straight")) is None


def finds_a_full_disk(run_dir: Path, argv=None) -> None:
    """The disk of the second process is full for a while."""

    def save(content, path):
        if rank() == 1 and path.parent.name == "checkpoint-last.pth.parts" and path.name.startswith("4-"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save_checkpoint(content, path)

    sharded.save_checkpoint = save
    setup_logging()
    go_on(run_dir, save_every_steps=4, **OPTIONS)


def test_a_full_disk_of_one_process_costs_all_one_save(tmp_path, together):
    ended = together(2, partial(finds_a_full_disk, tmp_path / "run"))
    assert ended.codes == [0, 0]
    assert "No checkpoint saved" in ended.said[0] and "No space left" in ended.said[0]
    assert load_checkpoint(tmp_path / "run" / "checkpoint-last.pth")["epoch"] == 3
