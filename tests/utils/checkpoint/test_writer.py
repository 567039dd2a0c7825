"""When which file is written, and that a thread writes what the state was at the call."""

import logging
import pickle

import pytest
import torch

from utils.checkpoint.file import load_checkpoint, open_checkpoint, save_checkpoint
from utils.checkpoint.writer import CheckpointWriter
from utils.seed import random_state


class Run:
    """The least that is saved: one weight, and the trainer's numbers."""

    def __init__(self, size: int = 3):
        self.weight = torch.zeros(size)
        self.epoch = self.batch = 0

    def state_dict(self) -> dict:
        return {"model": {"w": self.weight}, "optimizer": {}, "lr_scheduler": None, "epoch": self.epoch,
                "batch": self.batch, "step": 10 * self.epoch + self.batch}  # fmt: skip

    def end_epoch(self, writer: CheckpointWriter, is_best: bool = False) -> None:
        self.epoch += 1
        self.weight += 1
        writer.keep(self.state_dict, self.epoch, is_best)


def epochs_on_disk(run_dir) -> dict[str, int]:
    return {path.name: load_checkpoint(path)["epoch"] for path in run_dir.glob("*.pth")}


def test_the_file_is_that_of_the_call_while_the_weights_go_on_changing(tmp_path):
    run = Run(size=4_000_000)
    writer = CheckpointWriter(tmp_path, {"name": "x"})
    after = run.state_dict() | {"model": {"w": run.weight + 1}, "epoch": 1, "step": 10, "random": random_state()}
    save_checkpoint(after | {"config": {"name": "x"}}, tmp_path / "sync")
    expected = (tmp_path / "sync").read_bytes()
    run.end_epoch(writer)
    changes = 0
    while not writer._saving.done():
        run.weight += 1
        changes += 1
    writer.save_best()
    assert changes > 0
    assert (tmp_path / "checkpoint-last.pth").read_bytes() == expected
    assert (tmp_path / "checkpoint-epoch1.pth").read_bytes() == expected


def test_the_end_waits_for_the_save_before_and_for_its_own(tmp_path):
    run, writer = Run(size=1_000_000), CheckpointWriter(tmp_path, {})
    for _ in range(3):
        run.end_epoch(writer, is_best=True)
    writer.save(run.state_dict())
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch1.pth": 1, "checkpoint-epoch2.pth": 2,
                                        "checkpoint-epoch3.pth": 3, "checkpoint-last.pth": 3,
                                        "model_best.pth": 3}  # fmt: skip
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("next_call", [
    lambda run, writer: run.end_epoch(writer),
    lambda run, writer: writer.save(run.state_dict()),
    lambda run, writer: writer.save_best(),
])  # fmt: skip
def test_an_error_of_the_thread_is_raised_by_the_next_call(tmp_path, next_call):
    run, writer = Run(), CheckpointWriter(tmp_path, config={"cannot be saved": lambda: 0})
    run.end_epoch(writer)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        next_call(run, writer)
    assert list(tmp_path.iterdir()) == []


def test_within_an_epoch_the_last_is_written_every_so_many_steps(tmp_path):
    run, writer = Run(), CheckpointWriter(tmp_path, {}, save_every_steps=4)
    seen = []
    for run.batch in range(1, 11):
        writer.end_step(run.state_dict, run.batch)
        writer.save_best()  # waits for the thread
        seen.append(load_checkpoint(tmp_path / "checkpoint-last.pth")["batch"] if run.batch >= 4 else 0)
    assert seen == [0, 0, 0, 4, 4, 4, 4, 8, 8, 8]


def test_only_the_newest_of_the_periodic_ones_are_kept(tmp_path):
    run, writer = Run(), CheckpointWriter(tmp_path, {}, save_period=2, keep_last=3)
    for _ in range(13):
        run.end_epoch(writer, is_best=run.epoch == 1)
    writer.save(run.state_dict())
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch8.pth": 8, "checkpoint-epoch10.pth": 10,
                                        "checkpoint-epoch12.pth": 12, "checkpoint-last.pth": 13,
                                        "model_best.pth": 2}  # fmt: skip


def test_a_damaged_one_of_a_later_epoch_does_not_cost_the_newest_valid_one(tmp_path):
    (tmp_path / "checkpoint-epoch9.pth").write_bytes(b"damaged")
    run, writer = Run(), CheckpointWriter(tmp_path, {}, save_period=4, keep_last=1)
    for _ in range(8):
        run.end_epoch(writer)
    writer.save(run.state_dict())
    (tmp_path / "checkpoint-last.pth").unlink()
    assert open_checkpoint(tmp_path)[0].name == "checkpoint-epoch8.pth"


def test_a_resume_from_an_older_checkpoint_gives_up_the_later_ones(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run, writer = Run(), CheckpointWriter(tmp_path, {})
    for _ in range(5):
        run.end_epoch(writer)
    writer.save(run.state_dict())

    run.epoch = 3
    CheckpointWriter(tmp_path, {}).start_from(run.state_dict)
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch1.pth": 1, "checkpoint-epoch2.pth": 2,
                                        "checkpoint-epoch3.pth": 3, "checkpoint-last.pth": 3,
                                        "abandoned-epoch4.pth": 4, "abandoned-epoch5.pth": 5}  # fmt: skip
    assert "checkpoint-epoch4.pth" in caplog.text and "abandoned-epoch4.pth" in caplog.text
    (tmp_path / "checkpoint-last.pth").write_bytes(b"")
    assert open_checkpoint(tmp_path)[0].name == "checkpoint-epoch3.pth"


def test_a_resume_from_the_newest_gives_up_nothing(tmp_path):
    run, writer = Run(), CheckpointWriter(tmp_path, {})
    for _ in range(2):
        run.end_epoch(writer)
    writer.save(run.state_dict())
    save_checkpoint(
        load_checkpoint(tmp_path / "checkpoint-last.pth") | {"epoch": 3}, tmp_path / "checkpoint-epoch3.pth"
    )
    CheckpointWriter(tmp_path, {}).start_from(run.state_dict)  # epoch 3's save was killed before its last file
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch1.pth": 1, "checkpoint-epoch2.pth": 2,
                                        "checkpoint-epoch3.pth": 3, "checkpoint-last.pth": 2}  # fmt: skip


def test_a_damaged_last_is_replaced_by_what_the_run_is_resumed_from(tmp_path):
    run = Run()
    run.epoch = 4
    (tmp_path / "checkpoint-last.pth").write_bytes(b"damaged")
    CheckpointWriter(tmp_path, {}).start_from(run.state_dict)
    assert epochs_on_disk(tmp_path) == {"checkpoint-last.pth": 4}


def test_a_state_that_is_on_disk_is_not_written_again_at_the_end(tmp_path):
    run, writer = Run(), CheckpointWriter(tmp_path, {})
    run.end_epoch(writer)
    writer._saving.result()
    written_at = (tmp_path / "checkpoint-last.pth").stat().st_mtime_ns
    writer.save(run.state_dict())
    assert (tmp_path / "checkpoint-last.pth").stat().st_mtime_ns == written_at
    run.batch = 1
    writer.save(run.state_dict())
    assert load_checkpoint(tmp_path / "checkpoint-last.pth")["batch"] == 1


def test_a_state_that_could_not_be_saved_is_saved_at_the_end(tmp_path, caplog):
    run, writer = Run(), CheckpointWriter(tmp_path, {})
    (tmp_path / "checkpoint-last.pth").mkdir()  # no file can take its place
    run.end_epoch(writer)
    writer._saving.result()
    (tmp_path / "checkpoint-last.pth").rmdir()
    writer.save(run.state_dict())
    assert "No checkpoint saved" in caplog.text
    assert load_checkpoint(tmp_path / "checkpoint-last.pth")["epoch"] == 1
