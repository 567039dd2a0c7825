"""When which file is written, and that a thread writes what the state was at the call."""

import logging
from pathlib import Path

import pytest
import torch

from utils.checkpoint import CheckpointWriter, load_checkpoint, open_checkpoint, save_checkpoint, snapshot
from utils.errors import UserError


class Run:
    """The least that is saved: one weight, and the trainer's numbers. Ten steps an epoch."""

    def __init__(self, run_dir: Path, size: int = 3, epoch: int = 0, **options):
        self.weight = torch.full((size,), float(epoch))
        self.epoch = epoch
        self.batch = 0
        self.writer = CheckpointWriter(run_dir, self.take_state, {"w"}, **options)

    def take_state(self) -> dict:
        return snapshot({"model": {"w": self.weight}, "optimizer": {}, "lr_scheduler": None, "config": {},
                         "epoch": self.epoch, "step": 10 * self.epoch + self.batch})  # fmt: skip

    def end_epoch(self, is_best: bool = False) -> None:
        self.epoch += 1
        self.weight += 1
        self.writer.end_epoch(self.epoch, is_best)

    def train(self, n_epochs: int, best: int | None = None) -> "Run":
        with self.writer:
            for _ in range(n_epochs):
                self.end_epoch(is_best=self.epoch + 1 == best)
        return self


def epochs_on_disk(run_dir: Path) -> dict[str, int]:
    assert not list(run_dir.glob(".*"))
    return {path.name: load_checkpoint(path)["epoch"] for path in run_dir.glob("*.pth")}


def test_the_file_is_that_of_the_call_while_the_weights_go_on_changing(tmp_path):
    run, changes = Run(tmp_path, size=4_000_000), 0
    with run.writer:
        run.end_epoch()
        while not run.writer._saving.done():
            run.weight += 1
            changes += 1
        run.weight.fill_(1)
    assert changes > 0
    for name in ("checkpoint-last.pth", "checkpoint-epoch1.pth"):
        assert torch.equal(load_checkpoint(tmp_path / name)["model"]["w"], run.weight)


def test_the_end_waits_for_the_save_before_and_for_its_own(tmp_path):
    run = Run(tmp_path, size=1_000_000, save_period=2)
    with run.writer:
        for _ in range(3):
            run.end_epoch(is_best=True)
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch2.pth": 2, "checkpoint-last.pth": 3, "model_best.pth": 3}


@pytest.mark.parametrize("is_next_call", [True, False])
def test_an_error_of_the_thread_is_raised_by_the_next_call_or_at_the_end(tmp_path, is_next_call):
    run = Run(tmp_path)
    with pytest.raises(AttributeError, match="lambda"), run.writer:
        run.writer._save(run.take_state() | {"cannot be saved": lambda: 0})
        if is_next_call:
            run.end_epoch()
            pytest.fail("not reached")
    assert list(tmp_path.iterdir()) == []


def test_within_an_epoch_the_last_is_written_every_so_many_steps(tmp_path):
    run, seen = Run(tmp_path, save_every_steps=4), []
    with run.writer:
        for run.batch in range(1, 11):
            run.writer.end_step(run.batch)
            run.writer._wait()
            seen.append(load_checkpoint(tmp_path / "checkpoint-last.pth")["step"] if run.batch >= 4 else 0)
    assert seen == [0, 0, 0, 4, 4, 4, 4, 8, 8, 8]
    assert load_checkpoint(tmp_path / "checkpoint-last.pth")["step"] == 10


def test_only_the_newest_of_the_periodic_ones_are_kept(tmp_path):
    Run(tmp_path, save_period=2, keep_last=3).train(13, best=2)
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch8.pth": 8, "checkpoint-epoch10.pth": 10,
                                        "checkpoint-epoch12.pth": 12, "checkpoint-last.pth": 13,
                                        "model_best.pth": 2}  # fmt: skip


def test_a_damaged_one_of_a_later_epoch_does_not_cost_the_newest_valid_one(tmp_path):
    (tmp_path / "checkpoint-epoch9.pth").write_bytes(b"damaged")
    Run(tmp_path, save_period=4, keep_last=1).train(8)
    (tmp_path / "checkpoint-last.pth").unlink()
    assert open_checkpoint(tmp_path)[0].name == "checkpoint-epoch8.pth"


# ---------------------------------------------------------------------------------------- back to an older checkpoint


@pytest.fixture
def five_epochs(tmp_path: Path) -> Path:
    Run(tmp_path).train(5, best=4)
    return tmp_path


BACK = {"checkpoint-epoch1.pth": 1, "checkpoint-epoch2.pth": 2, "checkpoint-epoch3.pth": 3, "checkpoint-last.pth": 3,
        "abandoned-epoch4.pth": 4, "abandoned-epoch5.pth": 5, "abandoned-best.pth": 4}  # fmt: skip


def test_a_resume_from_an_older_checkpoint_gives_up_the_later_ones(five_epochs, caplog):
    caplog.set_level(logging.INFO)
    Run(five_epochs, epoch=3).writer.go_back()
    assert epochs_on_disk(five_epochs) == BACK
    assert "checkpoint-epoch4.pth" in caplog.text and "abandoned-epoch4.pth" in caplog.text
    (five_epochs / "checkpoint-last.pth").write_bytes(b"")
    assert open_checkpoint(five_epochs)[0].name == "checkpoint-epoch3.pth"


@pytest.mark.parametrize("n_done", [1, 2, 3])
def test_a_kill_on_the_way_back_never_leads_to_the_future_that_was_given_up(five_epochs, monkeypatch, n_done):
    """The operations are the last checkpoint's replacement and three renames; the next one is the kill's."""
    replace, done = Path.replace, []

    def killed(path, target):
        if len(done) == n_done:
            raise KeyboardInterrupt
        done.append(target)
        return replace(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        Run(five_epochs, epoch=3).writer.go_back()
    path, checkpoint = open_checkpoint(five_epochs)
    assert (path.name, checkpoint["epoch"]) == ("checkpoint-last.pth", 3)
    Run(five_epochs, epoch=checkpoint["epoch"]).writer.go_back()
    assert epochs_on_disk(five_epochs) == BACK


def test_a_resume_from_the_newest_gives_up_nothing(tmp_path):
    run = Run(tmp_path).train(2)
    before = epochs_on_disk(tmp_path)
    run.writer.go_back()
    assert epochs_on_disk(tmp_path) == before


def test_a_damaged_last_is_replaced_by_what_the_run_is_resumed_from(tmp_path):
    for name in ("checkpoint-last.pth", "model_best.pth"):
        (tmp_path / name).write_bytes(b"damaged")
    Run(tmp_path, epoch=4).writer.go_back()
    assert load_checkpoint(tmp_path / "checkpoint-last.pth")["epoch"] == 4


# ------------------------------------------------------------------------------------------------- what is not saved


def test_a_state_that_is_on_disk_is_not_written_again_at_the_end(tmp_path):
    run = Run(tmp_path)
    with run.writer:
        run.end_epoch()
        run.writer._wait()
        written_at = (tmp_path / "checkpoint-last.pth").stat().st_mtime_ns
    assert (tmp_path / "checkpoint-last.pth").stat().st_mtime_ns == written_at


def test_after_an_error_the_best_is_saved_but_not_the_state_in_the_middle_of_a_step(tmp_path):
    run = Run(tmp_path, save_period=100)
    with pytest.raises(RuntimeError, match="a bug"), run.writer:
        run.end_epoch(is_best=True)
        run.writer._wait()
        run.end_epoch(is_best=True)
        run.end_epoch()
        raise RuntimeError("a bug")
    assert epochs_on_disk(tmp_path) == {"checkpoint-last.pth": 1, "model_best.pth": 2}


def test_weights_that_are_not_finite_are_not_saved(tmp_path, caplog):
    run = Run(tmp_path)
    with run.writer:
        run.end_epoch(is_best=True)
        run.weight.fill_(torch.nan)
        run.end_epoch(is_best=True)
    assert set(epochs_on_disk(tmp_path).values()) == {1}
    assert caplog.text.count("Weights are NaN or infinite in step 20") == 1


def test_what_a_disk_has_refused_is_saved_at_the_end(tmp_path, caplog):
    run = Run(tmp_path)
    with run.writer:
        (tmp_path / "checkpoint-last.pth").mkdir()  # no file can take its place
        run.end_epoch()
        run.writer._wait()
        (tmp_path / "checkpoint-last.pth").rmdir()
    assert "No checkpoint saved" in caplog.text
    assert load_checkpoint(tmp_path / "checkpoint-last.pth")["epoch"] == 1


def test_a_save_that_the_logs_would_be_behind_is_put_off(tmp_path, caplog):
    def before_save():
        if run.epoch == 1:
            raise OSError(28, "No space left on device")

    run = Run(tmp_path, before_save=before_save)
    with run.writer:
        run.end_epoch(is_best=True)
        assert list(tmp_path.iterdir()) == []
        run.end_epoch()
    assert caplog.text.count("No space left on device") == 1
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch2.pth": 2, "checkpoint-last.pth": 2, "model_best.pth": 1}


def test_at_the_end_a_disk_that_refuses_is_an_error_and_the_state_lies_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "run" / "checkpoint-last.pth").mkdir(parents=True)
    with pytest.raises(UserError, match=f"The state is saved in {tmp_path}/run-"):
        Run(tmp_path / "run", save_period=9).train(2, best=1)
    [folder] = tmp_path.glob("run-*")
    assert epochs_on_disk(folder)["checkpoint-last.pth"] == 2


def test_files_saved_by_hand_are_left_alone(tmp_path):
    save_checkpoint(Run(tmp_path, epoch=7).take_state(), tmp_path / "mine.pth")
    Run(tmp_path, keep_last=1).train(3)
    assert epochs_on_disk(tmp_path) == {"checkpoint-epoch3.pth": 3, "checkpoint-last.pth": 3, "mine.pth": 7}
