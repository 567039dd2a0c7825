import importlib.util
import os
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import PROJECT, fork
from tools import export
from utils.checkpoint import load_checkpoint
from utils.errors import run_command


def needs(*packages):
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def expected(run_dir):
    """Images, and what the trained model answers, computed by hand from the checkpoint's weights."""
    weights = load_checkpoint(run_dir / "model_best.pth")["model"]
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return images.numpy(), by_hand({name: weight.numpy() for name, weight in weights.items()}, images.numpy())


def by_hand(weights, images):
    hidden = images.reshape(len(images), -1) @ weights["layers.1.weight"].T + weights["layers.1.bias"]
    return np.maximum(hidden, 0) @ weights["layers.4.weight"].T + weights["layers.4.bias"]


def run_export(*argv):
    return run_command(export.main, [str(argument) for argument in argv])


def run_elsewhere(folder, images, code, *without):
    """`run(images)`, defined by the code, in a process of another folder, without the template and other packages.

    Returns its output for the whole batch, and for a batch of the first image alone.
    """
    absent = {path.stem for path in PROJECT.iterdir()} | {*without}

    def run():
        for name in [name for name in sys.modules if name.partition(".")[0] in absent]:
            del sys.modules[name]
        sys.modules.update(dict.fromkeys(absent))  # an import of one of them fails
        os.chdir(folder)
        defined = {}
        exec(code, defined)
        np.savez("outputs.npz", defined["run"](images), defined["run"](images[:1]))

    process = fork(run, folder / "said")
    process.join()
    assert process.exitcode == 0, (folder / "said").read_text()
    return np.load(folder / "outputs.npz").values()


def test_state_dict_is_read_by_torch_alone(run_dir, expected):
    images, output = expected
    assert run_export("-r", run_dir, "--format", "state_dict") == 0
    weights = torch.load(run_dir / "model_best.pt", weights_only=True)
    model = nn.Module()
    model.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 10))
    model.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(model.layers.eval()(torch.from_numpy(images)), torch.from_numpy(output))


@needs("safetensors")
def test_safetensors_is_read_without_torch(run_dir, expected):
    from safetensors.numpy import load_file

    images, output = expected
    assert run_export("-r", run_dir, "--format", "safetensors") == 0
    np.testing.assert_allclose(by_hand(load_file(run_dir / "model_best.safetensors"), images), output, rtol=1e-6)


@needs("safetensors")
def test_safetensors_takes_tied_weights(tmp_path):
    from safetensors.torch import load_file

    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    with (tmp_path / "tied.safetensors").open("wb") as file:
        export.write_safetensors(model, None, file)
    weights = load_file(tmp_path / "tied.safetensors")
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())


def test_torch_export_runs_without_the_template_on_batches_of_any_size(run_dir, expected, tmp_path):
    images, output = expected
    assert run_export("-r", run_dir, "--format", "torch_export", "-o", tmp_path / "m.pt2") == 0
    code = """
import torch
model = torch.export.load('m.pt2').module()
run = lambda images: model(torch.from_numpy(images)).detach().numpy()
"""
    of_all, of_one = run_elsewhere(tmp_path, images, code)
    np.testing.assert_allclose(of_all, output, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_one, output[:1], rtol=1e-4, atol=1e-5)


def test_a_generator_is_exported_with_noise_for_input(train, tmp_path):
    run_dir = train("configs/digits_gan.json", "trainer.epochs=1", "trainer.tensorboard=false")
    assert run_export("-r", run_dir, "--format", "torch_export", "-o", tmp_path / "g.pt2") == 0
    config = load_checkpoint(run_dir / "checkpoint-last.pth")["config"]
    noise = torch.randn(3, config["arch"]["generator"]["args"]["n_noise"])
    images = torch.export.load(tmp_path / "g.pt2").module()(noise)
    assert images.shape == (3, *config["arch"]["generator"]["args"]["image_shape"])


@needs("onnx", "onnxscript", "onnxruntime")
def test_onnx_runs_without_torch_on_batches_of_any_size(run_dir, expected, tmp_path):
    images, output = expected
    assert run_export("-r", run_dir, "--format", "onnx", "-o", tmp_path / "m.onnx") == 0
    code = """
import onnxruntime
session = onnxruntime.InferenceSession('m.onnx')
run = lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]
"""
    of_all, of_one = run_elsewhere(tmp_path, images, code, "torch")
    np.testing.assert_allclose(of_all, output, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_one, output[:1], rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------- what is written


def test_a_run_folder_means_its_best_checkpoint_and_nothing_else_is_written(run_dir, capsys):
    before = {path.name for path in run_dir.iterdir()}
    assert run_export("-r", run_dir, "--format", "state_dict") == 0
    assert {path.name for path in run_dir.iterdir()} - before == {"model_best.pt"}
    assert re.search(r"model_best\.pth, epoch \d, written to \S+model_best\.pt as state_dict", capsys.readouterr().out)


def test_a_checkpoint_can_be_named(run_dir):
    assert run_export("-r", run_dir / "checkpoint-last.pth", "--format", "state_dict") == 0
    assert (run_dir / "checkpoint-last.pt").exists()
    weights = torch.load(run_dir / "checkpoint-last.pt", weights_only=True)
    assert all(map(torch.equal, weights.values(), load_checkpoint(run_dir / "checkpoint-last.pth")["model"].values()))


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.fixture
def refuse(capsys):
    def run(*argv):
        assert run_export(*argv) == 2
        return capsys.readouterr().err

    return run


def test_what_cannot_be_read(refuse, run_dir, tmp_path):
    assert "no such checkpoint" in refuse("-r", tmp_path / "nothing.pth", "--format", "state_dict")
    (tmp_path / "empty").mkdir()
    assert "holds no checkpoint" in refuse("-r", tmp_path / "empty", "--format", "state_dict")
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes((run_dir / "model_best.pth").read_bytes()[:5000])
    assert "is damaged" in refuse("-r", damaged, "--format", "state_dict")


def test_what_cannot_be_written(refuse, run_dir, tmp_path):
    arguments = ["-r", run_dir, "--format", "state_dict", "-o"]
    assert "cannot be written: No such file or directory" in refuse(*arguments, tmp_path / "nowhere" / "m.pt")
    assert "cannot be written: Is a directory" in refuse(*arguments, tmp_path)
    checkpoint = run_dir / "model_best.pth"
    content = checkpoint.read_bytes()
    assert "is the checkpoint itself" in refuse(*arguments, checkpoint)
    assert checkpoint.read_bytes() == content


def test_an_unknown_format_is_answered_with_the_known_ones(run_dir, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_export("-r", run_dir, "--format", "pickle")
    message = capsys.readouterr().err
    assert all(name in message for name in export.FORMATS)


def test_a_missing_package_is_named(refuse, run_dir, monkeypatch):
    absent = export.Format(export.write_onnx, ".onnx", ("torch", "no_such_package"))
    monkeypatch.setitem(export.FORMATS, "onnx", absent)
    message = refuse("-r", run_dir, "--format", "onnx")
    assert message == "error: --format onnx needs no_such_package: pip install no_such_package\n"
    assert not (run_dir / "model_best.onnx").exists()
