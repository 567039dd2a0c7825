import json
import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from logger.run_log import RunLog, lines_to_keep, read_metrics
from logger.writers import Writers
from utils.errors import UserError


def record(epoch: int, **values: float) -> dict:
    return {"epoch": epoch, "step": epoch * 10, "loss": 1 / epoch, "val_loss": 2 / epoch, **values,
            "lr": 0.1, "seconds": 0.5}  # fmt: skip


def open_log(run_dir, first_epoch=0, total=1, tensorboard=False):
    writer = Writers(lambda: 10 * first_epoch)
    if tensorboard:
        writer.open(["tensorboard"], run_dir, {})
    return RunLog(run_dir, first_epoch, total, writer)


def write(run_dir, epochs, first_epoch=0, total=None, tensorboard=False):
    with open_log(run_dir, first_epoch, total or len(epochs), tensorboard) as log:
        for epoch in epochs:
            log.write(record(epoch), is_best=False)


def lines(run_dir) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_written_exactly(tmp_path):
    write(tmp_path, [1, 2, 3])
    assert lines(tmp_path) == read_metrics(tmp_path) == [record(1), record(2), record(3)]


def test_numbers_that_json_does_not_know_become_null(tmp_path):
    with open_log(tmp_path) as log:
        log.write(record(1, f1=math.nan, top=math.inf), is_best=False)
    assert lines(tmp_path)[0]["f1"] is None and lines(tmp_path)[0]["top"] is None


@pytest.mark.parametrize("rest", [b"", b'{"epoch": 4, "st', b"\x00\x00"])
def test_epochs_after_the_checkpoint_are_written_anew(tmp_path, rest):
    write(tmp_path, [1, 2, 3])
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(rest)  # cut off by a kill
    write(tmp_path, [3, 4], first_epoch=2, total=4)
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("text", [
    '{"epoch": 1}\n{"epoch": 2}',  # an editor has taken the last line end
    '\ufeff{"epoch": 1}\n{"epoch": 2}\n',
    '{"epoch": 1, "note": "a\u2028b\u0085c"}\n{"epoch": 2}\n',
    '{"epoch": 1}\r\n\r\n{"epoch": 2}\r\n',
])  # fmt: skip
def test_what_an_editor_makes_of_the_file_is_gone_on_with(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_bytes(text.encode())
    write(tmp_path, [3], first_epoch=2)
    assert [record["epoch"] for record in read_metrics(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"epoch": "x"}', "[" * 100_000, '{"epoch": ' + "9" * 9999 + "}"])
def test_a_damaged_line_in_the_middle_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"epoch": 1}}\n{line}\n{{"epoch": 3}}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl: line 2 is no record of an epoch"):
        lines_to_keep(path, last_epoch=3)


def test_a_flush_hands_everything_over(tmp_path):
    with open_log(tmp_path) as log:
        log.write(record(1), is_best=True)
        log.flush()
        assert lines(tmp_path) == [record(1)]


def test_tensorboard_shows_training_and_validation_side_by_side_by_steps(tmp_path):
    write(tmp_path, [1, 2, 3], tensorboard=True)
    write(tmp_path, [2, 3], first_epoch=1, tensorboard=True)  # a resume: what came after is given up
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss/train", "loss/valid", "lr", "seconds"} == set(events.Tags()["scalars"])
    assert [(e.step, e.value) for e in events.Scalars("loss/valid")] == [
        (10, 2.0),
        (20, 1.0),
        (30, pytest.approx(2 / 3)),
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
    write(None, [1, 2])
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages[0] == "epoch 1/2  loss 1  val_loss 2  lr 0.1  (0.50 s)"
