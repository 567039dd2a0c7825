"""train.py and test.py as a person uses them, on the project's example."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from logger.run_dir import open_run_dir
from tests.conftest import fork, fork_command, load_script
from utils.checkpoint import load_checkpoint, open_checkpoint
from utils.errors import run_command

# What these tests look at, whatever the example.
WATCHED = ["trainer.monitor=min val_loss", "data_loader.args.validation_split=0.2"]


def without_seconds(records: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


def assert_same_checkpoint(first: Path, second: Path) -> None:
    one, other = load_checkpoint(first), load_checkpoint(second)
    for key in ("model", "optimizer", "lr_scheduler", "epoch", "step", "best", "epochs_since_best", "random"):
        assert repr(flat(one[key])) == repr(flat(other[key])), key


def flat(value):
    """Nested state as text that shows every bit."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: flat(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [flat(item) for item in value]
    return value


def test_a_run_leaves_the_files_that_were_promised(train, example, offline, read_metrics):
    run_dir = train(
        example, "trainer.epochs=3", "trainer.save_period=2", "trainer.tensorboard=true", *WATCHED, *offline
    )
    assert {path.name for path in run_dir.iterdir()} >= {
        "config.json",
        "train.log",
        "metrics.jsonl",
        "environment.json",
        "tensorboard",
        "checkpoint-epoch2.pth",
        "checkpoint-last.pth",
        "model_best.pth",
    }
    records = read_metrics(run_dir)
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert {"step", "loss", "val_loss", "lr", "seconds"} <= set(records[0])
    config = json.loads((run_dir / "config.json").read_text())
    assert config["trainer"]["epochs"] == 3 and isinstance(config["seed"], int)  # given, and filled in or given
    assert load_checkpoint(run_dir / "checkpoint-last.pth")["config"] == config
    environment = json.loads((run_dir / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__ and environment["device"] == "cpu"
    assert "epoch 3/3" in (run_dir / "train.log").read_text()


def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(train, resume, example, offline, read_metrics):
    """Epochs 1-4 against 1-2 and then 3-4: weights, optimizer, scheduler, random state, metrics, best."""
    settings = ["trainer.early_stop=5", "trainer.save_period=2", *WATCHED, *offline]
    straight = train(example, "trainer.epochs=4", *settings, run_id="straight")
    stopped = train(example, "trainer.epochs=2", *settings, run_id="stopped")
    torch.rand(5)
    resume(stopped, "trainer.epochs=4")
    for name in ("checkpoint-last.pth", "checkpoint-epoch4.pth", "model_best.pth"):
        assert_same_checkpoint(straight / name, stopped / name)
    assert without_seconds(read_metrics(straight)) == without_seconds(read_metrics(stopped))
    # and once more from an older checkpoint: later epochs are made again
    resume(stopped / "checkpoint-epoch2.pth", "trainer.epochs=4")
    assert_same_checkpoint(straight / "checkpoint-last.pth", stopped / "checkpoint-last.pth")
    assert without_seconds(read_metrics(straight)) == without_seconds(read_metrics(stopped))


def test_what_is_changed_on_resume_wins_and_is_logged(train, resume, example, offline, read_metrics):
    run_dir = train(example, "trainer.epochs=1", "lr_scheduler=null", *offline)
    resume(run_dir, "trainer.epochs=2", "optimizer.args.lr=0.0625")
    assert [record["lr"] for record in read_metrics(run_dir)][1] == 0.0625
    log = (run_dir / "train.log").read_text()
    table = [line.split("INFO")[1].split() for line in log.splitlines() if re.search("which wins|the new value", line)]
    assert table[0] == ["key", "then", "now", "which", "wins"]
    assert ["trainer.epochs", "1", "2", "the", "new", "value"] in table[1:]
    assert [[row[0], *row[2:]] for row in table if row[0] == "optimizer.args.lr"] == [
        ["optimizer.args.lr", "0.0625", "the", "new", "value"]
    ]
    assert json.loads((run_dir / "config.json").read_text())["optimizer"]["args"]["lr"] == 0.0625


def test_a_run_begins_with_a_look_at_its_data(train, example, offline):
    log = (train(example, "trainer.epochs=1", *offline) / "train.log").read_text()
    assert log.index("Steps: ") < log.index("epoch 1/1")


def test_a_finished_run_has_nothing_left_to_train(train, resume, example, offline, read_metrics):
    run_dir = train(example, "trainer.epochs=1", *offline)
    before = (run_dir / "checkpoint-last.pth").read_bytes()
    resume(run_dir)
    assert (run_dir / "checkpoint-last.pth").read_bytes() == before
    assert len(read_metrics(run_dir)) == 1


def test_a_checkpoint_is_all_that_a_test_needs(train, evaluate, example, offline, tmp_path):
    run_dir = train(example, "trainer.epochs=1", *WATCHED, *offline)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run_dir / "model_best.pth").rename(elsewhere / "renamed.pth")
    results = evaluate(elsewhere / "renamed.pth")
    assert results["n_samples"] > 0 and "loss" in results
    assert sorted(path.name for path in elsewhere.iterdir()) == ["predictions.csv", "renamed.pth", "test_metrics.json"]
    assert evaluate(elsewhere / "renamed.pth") == results
    batch_size_changed = evaluate(elsewhere / "renamed.pth", "data_loader.args.batch_size=7")
    assert batch_size_changed["n_samples"] == results["n_samples"]


def test_check_writes_nothing(example, offline, tmp_path, capsys):
    argv = ["-c", example, "--check", "-s", f"trainer.save_dir={tmp_path}/saved", *offline]
    assert run_command(load_script("train").main, argv) == 0
    assert "Everything works" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_with_its_code_and_a_checkpoint(
    tmp_path, resume, example, offline, read_metrics, number, code
):
    settings = ["trainer.epochs=100000", "trainer.early_stop=0", f"trainer.save_dir={tmp_path}", "lr_scheduler=null"]
    command = ["train", "-c", example, "--run-id", "run", "-s", *settings, *offline]
    process = fork_command(*command, log=tmp_path / "said")
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("*/run/checkpoint-last.pth")) and process.is_alive():
        assert time.monotonic() < deadline, "no checkpoint within five minutes"
        time.sleep(0.05)
    os.kill(process.pid, number)
    process.join(300)
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert process.exitcode == code, said
    assert "Traceback" not in said
    [run_dir] = tmp_path.glob("*/run")
    checkpoint = load_checkpoint(run_dir / "checkpoint-last.pth")
    assert [record["epoch"] for record in read_metrics(run_dir)] == list(range(1, checkpoint["epoch"] + 1))
    resume(run_dir, f"trainer.epochs={checkpoint['epoch'] + 2}")
    assert len(read_metrics(run_dir)) == checkpoint["epoch"] + 2


def test_of_a_run_with_a_damaged_checkpoint_the_one_before_is_resumed_and_the_log_says_so(
    train, resume, example, offline
):
    settings = ["trainer.epochs=3", "trainer.save_period=1", "lr_scheduler=null", *offline]
    straight = train(example, *settings, run_id="straight")
    damaged = Path(shutil.copytree(straight, straight.with_name("damaged")))
    (damaged / "checkpoint-last.pth").write_bytes(b"")
    (damaged / "model_best.pth").write_bytes(b"PK")
    (damaged / "checkpoint-epoch3.pth").write_bytes((damaged / "checkpoint-epoch3.pth").read_bytes()[:-100])
    (damaged / "train.log").unlink()
    resume(damaged)
    assert f"Going on from {damaged / 'checkpoint-epoch2.pth'}" in (damaged / "train.log").read_text()
    assert_same_checkpoint(straight / "checkpoint-last.pth", damaged / "checkpoint-last.pth")
    assert_same_checkpoint(straight / "checkpoint-epoch3.pth", damaged / "checkpoint-epoch3.pth")


def test_a_run_under_way_cannot_be_resumed_by_a_second_process(example, offline, tmp_path):
    run_dir = tmp_path / "saved" / json.loads(Path(example).read_text(encoding="utf-8"))["name"] / "run"
    argv = ["-c", example, "--run-id", "run", "-s", "trainer.epochs=1", f"trainer.save_dir={tmp_path}/saved", *offline]
    first = fork_command("train", *argv, log=tmp_path / "first")
    first.join(300)
    assert first.exitcode == 0

    def hold():
        open_run_dir(run_dir, open_checkpoint(run_dir)[1])
        print("locked", flush=True)
        time.sleep(600)

    other = fork(hold, tmp_path / "other")
    while other.is_alive() and not (tmp_path / "other").read_text():
        time.sleep(0.05)
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    refused = fork_command("train", "-r", str(run_dir), "-s", "trainer.epochs=2", log=tmp_path / "refused")
    refused.join(300)
    other.kill()
    other.join()
    assert refused.exitcode == 2
    assert (tmp_path / "refused").read_text("utf-8").startswith(f"error: {run_dir}: process {other.pid} on ")
    assert before == {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
