"""Checkpoints in parts: each is whole or not there, whatever stops which process. See also test_same_training.py."""

import errno
import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch

import trainer.parallel.sharded as sharded
from logger.logger import setup_logging
from tests.trainer.parallel.test_same_training import go_on, make_trainer, state
from tools import merge
from tools.verify import find_difference, report_files
from utils.checkpoint import load_checkpoint, open_checkpoint, save_checkpoint
from utils.errors import UserError
from utils.parallel import rank

OPTIONS = {"fsdp": True, "sharded_checkpoints": True}


def parts(run_dir: Path) -> list[str]:
    return sorted(str(path.relative_to(run_dir)) for path in run_dir.glob("*.parts/*"))


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory, together) -> Path:
    """Of two processes."""
    run_dir = tmp_path_factory.mktemp("sharded") / "run"
    assert together(2, partial(go_on, run_dir, keep_last=1, **OPTIONS)) == ([0, 0], ["", ""])
    return run_dir


@pytest.fixture
def run_dir(two_epochs, tmp_path) -> Path:
    return shutil.copytree(two_epochs, tmp_path / "run")


def test_a_checkpoint_is_one_file_and_a_folder_and_is_read_as_one(run_dir, tmp_path, capsys):
    own = torch.load(run_dir / "checkpoint-last.pth", weights_only=True)
    steps = {name: load_checkpoint(run_dir / name)["step"] for name in ("checkpoint-last.pth", "model_best.pth")}
    steps["checkpoint-epoch2.pth"] = steps["checkpoint-last.pth"]
    assert parts(run_dir) == sorted(f"{name}.parts/{step}-1-of-2.pth" for name, step in steps.items())
    go_on(tmp_path / "alone")
    alone = load_checkpoint(tmp_path / "alone" / "checkpoint-last.pth")
    both = load_checkpoint(run_dir / "checkpoint-last.pth")
    torch.testing.assert_close(both["model"], alone["model"], rtol=1e-9, atol=1e-10)
    for name, [rows] in own["model"].items():
        assert len(rows) == (len(both["model"][name]) + 1) // 2  # the larger half
    path = run_dir / "checkpoint-last.pth"
    assert report_files([path]) == 0
    n_bytes = sum(file.stat().st_size for file in (path, *(run_dir / f"{path.name}.parts").iterdir()))
    assert f"{n_bytes:,} bytes" in capsys.readouterr().out


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


def test_a_run_that_is_no_longer_sharded_leaves_no_parts(run_dir, caplog):
    go_on(run_dir, epochs=3, keep_last=1, sharded_checkpoints=True)
    assert "trainer.sharded_checkpoints has no effect" in caplog.text
    assert {name.partition("/")[0] for name in parts(run_dir)} <= {"model_best.pth.parts"}
    assert not (run_dir / "checkpoint-epoch2.pth").exists()


def test_a_part_that_is_not_intact_is_named_and_another_checkpoint_is_taken(run_dir):
    [part] = (run_dir / "checkpoint-last.pth.parts").iterdir()
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    harms = {
        "does not fit": lambda: save_checkpoint({"model": 3, "optimizer": [1]}, part),
        f"{part} is damaged": lambda: part.write_bytes(damaged),
        f"{part}: no such checkpoint": part.unlink,
        f"{part}: no such": lambda: part.symlink_to(os.devnull),  # as good as a pipe, or endless zeros
    }
    for words, harm in harms.items():
        harm()
        with pytest.raises(UserError, match=words):
            load_checkpoint(run_dir / "checkpoint-last.pth")
        path, content = open_checkpoint(run_dir)
        assert path.name == "checkpoint-epoch2.pth" and content["epoch"] == 2


def test_going_back_takes_the_parts_of_what_is_abandoned_along(run_dir, together):
    def go_back(argv=None):
        trainer = make_trainer(epochs=3, **OPTIONS)
        trainer.resume(first)
        trainer.train(run_dir)

    first = load_checkpoint(run_dir / "checkpoint-epoch2.pth")
    assert together(2, partial(go_on, run_dir, epochs=3, **OPTIONS)).codes == [0, 0]
    assert together(2, go_back).codes == [0, 0]
    assert load_checkpoint(run_dir / "abandoned-epoch3.pth")["epoch"] == 3


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


def finds_a_full_disk(run_dir: Path, names: set[str], argv=None) -> None:
    """Files of these names do not fit on the disk."""

    def save(content, path):
        if path.name in names:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save_checkpoint(content, path)

    sharded.save_checkpoint = save
    setup_logging()
    go_on(run_dir, save_every_steps=4, **OPTIONS)


def test_a_full_disk_of_one_process_costs_all_one_save(tmp_path, together):
    ended = together(2, partial(finds_a_full_disk, tmp_path / "run", {"4-1-of-2.pth"}))
    assert ended.codes == [0, 0]
    assert "No checkpoint saved" in ended.said[0] and "No space left" in ended.said[0]
    assert load_checkpoint(tmp_path / "run" / "checkpoint-last.pth")["epoch"] == 2


def test_a_full_disk_is_not_filled_with_parts_of_nothing(tmp_path, together):
    ended = together(2, partial(finds_a_full_disk, tmp_path / "run", {"model_best.pth", "checkpoint-last.pth"}))
    assert ended.codes == [2, 2] and "Make room, and go on" in "".join(ended.said)
    assert not parts(tmp_path / "run")


def may_not_remove_anything(run_dir: Path, argv=None) -> None:
    unlink = Path.unlink

    def refuse(path, missing_ok=False):
        if path.suffix == ".pth" and rank() == 0:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path, missing_ok)

    Path.unlink = refuse
    go_on(run_dir, keep_last=1, **OPTIONS)


def test_an_old_file_that_cannot_be_removed_stays_and_that_is_all(tmp_path, together):
    assert together(2, partial(may_not_remove_anything, tmp_path / "run")) == ([0, 0], ["", ""])
    assert open_checkpoint(tmp_path / "run")[1]["epoch"] == 2
    assert all(load_checkpoint(tmp_path / "run" / f"checkpoint-epoch{n}.pth")["epoch"] == n for n in (1, 2))


def spoils_a_row(run_dir: Path, argv=None) -> None:
    """One that no loss depends on, and that the second process holds."""
    setup_logging()
    trainer = make_trainer(epochs=1, **OPTIONS)
    if rank() == 1:
        trainer.model.unused.weight.to_local().data[0] = torch.nan
    trainer.train(run_dir)


def test_a_nan_that_only_another_process_holds_is_said_and_not_saved(tmp_path, together):
    ended = together(2, partial(spoils_a_row, tmp_path / "run"))
    assert ended.codes == [0, 0] and ended.said[0].count("Weights are NaN or infinite in step 5") == 1
    assert not list((tmp_path / "run").glob("**/*.pth"))
