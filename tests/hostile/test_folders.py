"""A checkpoint that lies in a folder of other things: nothing there is changed, renamed or removed."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.conftest import fork_command, load_script
from utils.checkpoint import load_checkpoint
from utils.errors import run_command


@pytest.fixture
def run_dir(train) -> Path:
    return train("config.json", "trainer.epochs=2", "data_loader.args.n_samples=200", "trainer.tensorboard=false")


def content(folder: Path) -> dict[str, bytes | None]:
    """Every byte below a folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def downloads(run_dir, tmp_path) -> Path:
    """The checkpoint of a run that has not made a step yet, among other people's files."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    checkpoint = load_checkpoint(run_dir / "checkpoint-last.pth")
    checkpoint |= {"epoch": 0, "step": 0, "best": None, "epochs_since_best": 0}
    torch.save(checkpoint, folder / "best.ckpt")
    shutil.copy(run_dir / "model_best.pth", folder / "checkpoint-epoch7.pth")
    for name in ("config.json", "train.log", ".thesis.tmp", "thesis.tex", "metrics.jsonl"):
        (folder / name).write_text("mine")
    return folder


REFUSED = "is not the folder of this checkpoint's run; go on in a new one with --run-id"


def test_a_checkpoint_among_other_things_is_refused_and_all_stays(refused, downloads):
    before = content(downloads)
    settings = ["-s", "loss=mse_loss", "trainer.keep_last=1"]  # its first step would fail
    assert REFUSED in refused("train", "-r", downloads / "best.ckpt", *settings)
    assert REFUSED in refused("train", "-r", downloads / "checkpoint-epoch7.pth", *settings)
    assert content(downloads) == before


def test_with_a_run_id_it_goes_on_in_a_new_folder(refused, downloads, tmp_path, read_metrics):
    before = content(downloads)
    new = ["--run-id", "new", "-s", f"trainer.save_dir={tmp_path}/new", "trainer.epochs=2"]
    argv = ["-r", downloads / "best.ckpt", *new]
    assert "loss: mse_loss" in refused("train", *argv, "loss=mse_loss")  # in its first step
    assert list(tmp_path.glob("new/*/*")) == []  # the new folder alone is removed
    assert run_command(load_script("train").main, [str(argument) for argument in argv]) == 0
    [folder] = tmp_path.glob("new/*/new")
    assert [record["epoch"] for record in read_metrics(folder)] == [1, 2]
    mark = json.loads((folder / "environment.json").read_text())["run"]
    assert load_checkpoint(folder / "checkpoint-last.pth")["run"] == mark
    assert mark != load_checkpoint(downloads / "best.ckpt")["run"]
    assert content(downloads) == before


def test_a_folder_of_another_run_is_refused(refused, train, run_dir):
    other = train("config.json", "trainer.epochs=1", "data_loader.args.n_samples=200", run_id="other")
    shutil.copy(other / "checkpoint-last.pth", run_dir / "theirs.pth")
    before = content(run_dir)
    assert REFUSED in refused("train", "-r", run_dir / "theirs.pth", "-s", "trainer.epochs=9")
    assert content(run_dir) == before


def test_a_strangers_file_names_and_values_do_not_steer_the_terminal(run_dir, tmp_path):
    folder = tmp_path / "a\x1b[2Jb\udcff"  # no UTF-8 either
    run_dir.rename(folder)
    (folder / ".lock").unlink()  # which this process holds
    (folder / "checkpoint-last.pth").write_bytes(b"damaged")
    (folder / "checkpoint-epoch\x9b2J.pth").write_bytes(b"damaged")
    checkpoint = load_checkpoint(folder / "model_best.pth")
    checkpoint["config"]["name"] = "\u202ename"
    torch.save(checkpoint, folder / "model_best.pth")
    for path in folder.glob("checkpoint-epoch?.pth"):
        path.unlink()
    argv = ["-r", str(folder), "-s", "name=mine", "trainer.epochs=3", "trainer.tensorboard=false"]
    said = ""
    for more in (["--check"], []):
        process = fork_command("train", *argv, *more, log=tmp_path / "said")
        process.join(600)
        said += (tmp_path / "said").read_text(encoding="utf-8")
        assert process.exitcode == 0, said
    assert "Everything works" in said and "epoch 3/3" in said
    assert r"checkpoint-epoch\x9b2J.pth is damaged" in said and r"a\x1b[2Jb\udcff" in said and "name" in said
    assert [c for c in said if c != "\n" and not c.isprintable()] == []
