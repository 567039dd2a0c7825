"""Writers: what they leave on disk is read back with their own libraries, all offline."""

import fcntl
import logging
import os
import pty
import re
import struct
import sys
import termios
import threading
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from logger import writers
from logger.writers import Terminal, Writers, run_bar
from utils.checkpoint import load_checkpoint


def scalars(run_dir, tag):
    events = EventAccumulator(str(run_dir / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    return events, [(event.step, event.value) for event in events.Scalars(tag)]


def wandb_records(path):
    """The records of a .wandb file: behind 7 bytes, blocks of 32 KiB of (checksum, length, kind, part of a record)."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, position, part = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        part += content[position + 7 : position + 7 + length]
        position += 7 + length
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
        if kind in (1, 4):  # whole, or its last part
            record, part = Record(), b""
            record.ParseFromString(content[position - length : position] if kind == 1 else part)
            yield record


def wandb_history(run_dir):
    """The id, the project and the steps with their numbers, of all starts of a W&B run."""
    ids, steps = set(), []
    for path in sorted(run_dir.glob("wandb/offline-run-*/run-*.wandb")):
        for record in wandb_records(path):
            if record.run.run_id:
                ids.add((record.run.run_id, record.run.project, record.run.display_name))
            if items := {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}:
                steps.append(items)
    return ids, steps


def test_a_trainers_own_image_and_all_numbers_reach_every_writer_across_a_resume(train, resume, monkeypatch):
    """The GAN of the examples calls `self.writer.add_image`."""
    pytest.importorskip("wandb")
    mlflow = pytest.importorskip("mlflow")
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "wandb.sdk.launch.inputs.internal", None)  # wandb does without, and it takes long
    settings = ["trainer.epochs=2", "trainer.save_period=1", "trainer.ema=null", 'trainer.writers=["wandb","mlflow"]']
    settings += ["data_loader.args.n_samples=200", "arch.generator.args.sizes=[8]", "arch.discriminator.args.sizes=[8]"]
    run_dir = train("configs/digits_gan.json", *settings, run_id="run")
    resume(run_dir / "checkpoint-epoch1.pth", "trainer.epochs=3")  # epoch 2 is made again
    expected = [2, 4, 6]  # steps: two an epoch

    events, curve = scalars(run_dir, "energy_distance/valid")
    assert [step for step, _ in curve] == expected
    assert [image.step for image in events.Images("generated")] == expected

    [(run_id, project, name)], steps = wandb_history(run_dir)
    assert (project, name) == ("Digits_GAN", "run") and run_id == (run_dir / "wandb" / "run_id").read_text()
    assert [int(items["_step"]) for items in steps] == expected
    assert [float(items["energy_distance/valid"]) for items in steps] == pytest.approx([value for _, value in curve])
    assert all(list(run_dir.glob(f"wandb/*/files/{items['generated/path'][1:-1]}")) for items in steps)

    client = mlflow.MlflowClient(f"sqlite:///{run_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("Digits_GAN")
    [found] = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "run" and found.info.status == "FINISHED"
    assert found.data.params["arch.generator.args.n_noise"] == "16"
    history = client.get_metric_history(found.info.run_id, "energy_distance/valid")
    assert [metric.step for metric in history] == expected
    assert len(list(run_dir.glob("mlflow/*/artifacts/images/generated*.png"))) == 3


def test_what_is_drawn_besides_changes_nothing_of_the_training(train, offline):
    settings = ["trainer.epochs=2", "arch.args.sizes=[64,16,10]", "data_loader.args.n_samples=200", *offline]
    plain = train("config.json", *settings, "trainer.tensorboard=false", run_id="plain")
    what = '["graph","histograms","images","pr_curves"]'
    drawn = train("config.json", *settings, f"trainer.draw={what}", run_id="drawn")
    assert not (plain / "tensorboard").exists()
    one, other = (load_checkpoint(folder / "checkpoint-last.pth") for folder in (plain, drawn))
    assert all(torch.equal(weight, other["model"][name]) for name, weight in one["model"].items())

    events, norms = scalars(drawn, "grad_norm")
    assert len(norms) == 2 and all(norm > 0 for _, norm in norms)
    tags = events.Tags()
    assert {"loss/train", "loss/valid", "lr", "seconds", "best/val_loss"} <= {*tags["scalars"]}
    assert {*tags["histograms"]} == {f"{kind}/{name}" for kind in ("weights", "gradients") for name in one["model"]}
    assert tags["images"] == ["predictions"] and tags["graph"] and "pr/3" in tags["tensors"]
    plugins = [events.summary_metadata[tag].plugin_data for tag in events.summary_metadata]
    contents = b"".join(plugin.content for plugin in plugins if plugin.plugin_name == "hparams")
    assert b"optimizer.args.lr" in contents and b"loss/valid" in contents


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_one_line_and_leaves_no_folder(refused, tmp_path, monkeypatch, offline, name):
    monkeypatch.setattr(writers, "find_spec", lambda package: None)
    settings = [f"trainer.save_dir={tmp_path}/saved", f'trainer.writers=["{name}"]', "trainer.tensorboard=false"]
    error = refused("train", "-c", "config.json", "-s", *settings, *offline)
    assert error == f"error: trainer.writers: {name} needs the package {name}: pip install {name}\n"
    assert not list(tmp_path.glob("saved/*/*"))


def test_an_unknown_writer_is_named_with_those_there_are(refused):
    error = refused("train", "-c", "config.json", "-s", 'trainer.writers=["wandbb"]', 'trainer.draw=["graphs"]')
    assert "trainer.writers" in error and "'mlflow'" in error and "trainer.draw" in error and "'pr_curves'" in error


def test_a_writer_that_cannot_go_on_is_left_behind(tmp_path, caplog):
    writer = Writers(lambda: 1)
    (tmp_path / "tensorboard").write_text("a file where the folder would be")
    writer.open(["tensorboard"], tmp_path, {})
    writer.add_scalar("a", 1.0)
    writer.add_scalar("a", 2.0)
    writer.close()
    [message] = caplog.messages
    assert message.startswith("What tensorboard writes ends here: ")


class Screen:
    """A terminal: what is written there, as text."""

    def __init__(self):
        self.reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        self.stream, self.text = os.fdopen(writer, "w"), ""
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while not self.text.endswith("\x04"):
            self.text += os.read(self.reader, 65536).decode()

    def close(self):
        print("\x04", end="", file=self.stream, flush=True)
        self.thread.join(10)
        self.stream.close()
        os.close(self.reader)


@pytest.mark.skipif(os.name != "posix", reason="a terminal of its own")
@pytest.mark.parametrize("verbosity", [0, 1])
def test_on_a_terminal_there_is_one_bar_and_lines_go_above_it(monkeypatch, verbosity):
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen.stream)
    monkeypatch.setattr(sys, "stderr", screen.stream)
    handler, logger = Terminal(screen.stream), logging.getLogger("on_a_terminal")
    handler.setLevel((logging.WARNING, logging.INFO)[verbosity])
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    logger.setLevel(logging.INFO)
    with run_bar(epochs=4, n_steps=10, n_done=10, monitor="val_loss") as bar:
        assert (bar is not None) == (verbosity == 1)
        for epoch in (2, 3, 4):
            logger.info("line %d", epoch, extra={"in_bar": True})
            if bar is not None:
                for _ in range(10):
                    bar.end_step()
                bar.end_epoch({"epoch": epoch, "loss": 0.5, "val_loss": 1 / epoch, "lr": 1}, best=1 / epoch)
        logger.warning("look here")
    screen.close()
    assert "line 3" not in screen.text and "look here" in screen.text
    last = re.split("[\r\n]+", screen.text.rstrip("\x04\r\n"))[-1]
    if verbosity == 1:
        assert "epoch 4/4 loss 0.5 val_loss 0.25 (best 0.25) 100%|" in last and "left" in last


def test_without_a_terminal_there_is_no_bar(monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [Terminal(sys.stdout)])
    with run_bar(1, 1, 0, "") as bar:
        assert bar is None


def test_a_run_begins_with_at_most_ten_lines(train, offline):
    log = (train("config.json", "trainer.epochs=1", *offline) / "train.log").read_text()
    first = log[: log.index("epoch 1/1")].splitlines()
    said = [line for line in first if " INFO " in line]
    assert len(said) <= 10
    for words in ("on cpu", "training samples", "Model: MLP", "Steps: ", "tensorboard --logdir"):
        assert words in "\n".join(said)
    assert Path(said[0].split("Training in ")[1].split(" on ")[0]).is_dir()
