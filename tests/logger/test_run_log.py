import json
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from logger.run_log import RunLog


def record(epoch: int, **values: float) -> dict:
    return {"epoch": epoch, "step": epoch * 10, "loss": 1 / epoch, "val_loss": 2 / epoch, **values,
            "lr": 0.1, "seconds": 0.5}  # fmt: skip


def write(run_dir, epochs, first_epoch=0, total=None, tensorboard=False):
    with RunLog(run_dir, first_epoch, total or len(epochs), tensorboard) as log:
        for epoch in epochs:
            log.write(record(epoch), is_best=False)


def lines(run_dir) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_written_exactly(tmp_path):
    write(tmp_path, [1, 2, 3])
    assert lines(tmp_path) == [record(1), record(2), record(3)]


def test_numbers_that_json_does_not_know_become_null(tmp_path):
    with RunLog(tmp_path, 0, 1, tensorboard=False) as log:
        log.write(record(1, f1=math.nan, top=math.inf), is_best=False)
    assert lines(tmp_path)[0]["f1"] is None and lines(tmp_path)[0]["top"] is None


@pytest.mark.parametrize("rest", ["", '{"epoch": 4, "st', "\x00\x00"])
def test_epochs_after_the_checkpoint_are_written_anew(tmp_path, rest):
    write(tmp_path, [1, 2, 3])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(rest)  # cut off by a kill
    write(tmp_path, [3, 4], first_epoch=2, total=4)
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2, 3, 4]


def test_a_flush_hands_everything_over(tmp_path):
    with RunLog(tmp_path, 0, 5, tensorboard=False) as log:
        log.write(record(1), is_best=True)
        log.flush()
        assert lines(tmp_path) == [record(1)]


def test_tensorboard_shows_training_and_validation_side_by_side(tmp_path):
    write(tmp_path, [1, 2, 3], tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/train", "loss/valid", "lr", "seconds"}
    assert [(e.step, e.value) for e in events.Scalars("loss/valid")] == [
        (1, 2.0),
        (2, 1.0),
        (3, pytest.approx(2 / 3)),
    ]


def test_of_very_many_epochs_some_are_shown_and_all_are_kept(tmp_path, caplog):
    caplog.set_level("INFO")
    write(tmp_path, range(1, 2501))
    assert len(lines(tmp_path)) == 2500
    shown = [message.split("/")[0] for message in caplog.messages]
    assert 400 <= len(shown) <= 501
    assert (shown[0], shown[-1]) == ("epoch 1", "epoch 2500")


def test_without_a_folder_only_lines_are_written(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    write(None, [1, 2], tensorboard=True)
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages[0] == "epoch 1/2  loss 1  val_loss 2  lr 0.1  (0.50 s)"
