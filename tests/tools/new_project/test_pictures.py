"""Pictures as people have them: small and large, gray and with transparency, few and in parts."""

import json

import numpy as np
import pytest
from PIL import Image

import new_project
from tools import predict
from utils.errors import run_command


@pytest.fixture
def pictures(tmp_path):
    """`pictures("cat", 5, (20, 30))`: write so many pictures of a class, red or blue, with some noise."""
    rng = np.random.default_rng(0)

    def write(name, n, size=(24, 24), mode="RGB", part=""):
        folder = tmp_path / "pictures" / part / name
        folder.mkdir(parents=True)
        for i in range(n):
            colors = rng.integers(0, 60, (size[1] + i, size[0], 3)).astype(np.uint8)
            colors[..., len(name) % 3] += 150
            Image.fromarray(colors).convert(mode).save(folder / f"{i}.png")
        return tmp_path / "pictures"

    return write


@pytest.fixture
def begin(tmp_path, capsys):
    """The arguments of the model and of the data loader in the config of a new project, and what was printed."""

    def run(folder):
        target = tmp_path / "mine"
        assert run_command(new_project.main, [str(target), "--from", str(folder)]) == 0
        config = json.loads((target / "config.json").read_text())
        return config["arch"]["args"], config["data_loader"]["args"], capsys.readouterr().out

    return run


def test_gray_pictures_and_those_with_transparency_are_trained_on_tested_and_predicted(
    pictures, tmp_path, train, evaluate, capsys
):
    for name, mode in (("red", "L"), ("blue", "RGBA"), ("green", "P")):
        folder = pictures(name, 8, mode=mode)
    target = tmp_path / "mine"
    assert run_command(new_project.main, [str(target), "--from", str(folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 12
    settings = ("trainer.epochs=2", "trainer.tensorboard=false", "data_loader.args.cache=false")
    run_dir = train(str(target / "config.json"), *settings)
    assert evaluate(run_dir)["n_samples"] == 4
    (folder / "red" / "notes.png").write_text("no picture")
    capsys.readouterr()
    argv = ["-r", str(run_dir), str(folder / "red"), str(folder / "blue" / "1.png"), str(folder / "none.png")]
    assert run_command(predict.main, argv) == 0
    shown = capsys.readouterr()
    assert shown.out.count(".png") == 9 and "blue" in shown.out
    assert "notes.png cannot be read" in shown.err and "none.png" in shown.err


def test_small_gray_pictures_are_not_mirrored_and_photos_are(pictures, begin):
    pictures("a", 4, (8, 8), "L")
    model, data, _ = begin(pictures("b", 4, (8, 8), "L"))
    assert model["image_size"] == 32 and "RandomHorizontalFlip" not in str(data["transforms"])
    assert data["eval_transforms"][0] == {"type": "Resize", "args": {"size": [32, 32]}}


def test_large_pictures_in_parts(pictures, begin):
    for part, n in (("train", 6), ("test", 2)):
        pictures("a", n, (300, 280), part=part)
        folder = pictures("bb", n, (300, 280), part=part)
    model, data, printed = begin(folder)
    assert model["image_size"] == 128 and "RandomHorizontalFlip" in str(data["transforms"])
    assert "test_size" not in data and "12 pictures to train on" in printed


def test_five_pictures_of_each_of_many_classes(pictures, begin):
    for name in ("a", "b", "c", "d", "e", "f"):
        folder = pictures(name, 5)
    _, data, _ = begin(folder)
    assert (data["test_size"], data["stratify"]) == (0.2, False)
    assert data["batch_size"] == 8


def test_what_is_no_folder_of_pictures_is_one_line(pictures, tmp_path, refused):
    def refuse(folder, *options):
        message = refused("new_project", tmp_path / "mine", "--from", folder, *options)
        assert not (tmp_path / "mine").exists()
        return message

    (tmp_path / "empty").mkdir()
    assert "no image in" in refuse(tmp_path / "empty")
    folder = pictures("a", 3)
    assert "one class only, 'a'" in refuse(folder)
    pictures("b", 1)
    assert "b: 1 is too few pictures" in refuse(folder)
    assert "no --target" in refuse(folder, "--target", "a")
