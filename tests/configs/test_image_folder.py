"""The two examples on folders of images, on the tiles that the docs cut out of two photos."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from torchvision import models

from utils.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """data/images, made by the code in docs/examples/images.md."""
    folder = tmp_path_factory.mktemp("project")
    page = Path("docs/examples/images.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(code, {})
    return folder / "data" / "images"


def test_image_folder_tells_the_photos_apart(train, evaluate, images):
    run_dir = train(
        "configs/image_folder.json",
        f"data_loader.args.data_dir={images}",
        "data_loader.args.num_workers=0",
        "trainer.epochs=2",
        "trainer.tensorboard=false",
    )
    results = evaluate(run_dir)
    assert results["n_samples"] == 260
    assert results["accuracy"] > 0.75  # the classes are equally large


def test_tar_images_trains_from_the_tar_files_of_the_page(train, evaluate, images, monkeypatch):
    page = Path("docs/examples/images.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(import io.*?)```", page, re.DOTALL)
    with monkeypatch.context() as patch:
        patch.chdir(images.parent.parent)
        exec(code, {"Path": Path})
    settings = (f"data_loader.args.data_dir={images.parent / 'tar'}", "data_loader.args.num_workers=0")
    run_dir = train("configs/tar_images.json", *settings, "trainer.epochs=2", "trainer.tensorboard=false")
    results = evaluate(run_dir)
    assert results["n_samples"] == 260
    assert results["accuracy"] > 0.75


def test_torchvision_finetune_runs_offline_from_a_local_weights_file(
    train, evaluate, refused, read_metrics, images, tmp_path
):
    few = tmp_path / "few"  # a quarter of them
    for path in sorted(images.glob("t*/*/*.png"))[::4]:
        (few / path.relative_to(images).parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, few / path.relative_to(images))
    torch.manual_seed(0)
    weights = models.resnet18().state_dict()
    path = tmp_path / "resnet18.pth"
    torch.save(weights, path)
    small = [{"type": "Resize", "args": {"size": [32, 32]}}]
    settings = (
        f"data_loader.args.data_dir={few}",
        f"data_loader.args.transforms={small}".replace("'", '"'),
        f"data_loader.args.eval_transforms={small}".replace("'", '"'),
        "data_loader.args.num_workers=0",
        "trainer.epochs=2",
        "trainer.tensorboard=false",
    )
    run_dir = train("configs/torchvision_finetune.json", *settings, f"arch.args.weights={path}")
    results = evaluate(run_dir)
    assert results["n_samples"] == 65
    first, last = read_metrics(run_dir)
    assert last["loss"] < first["loss"]
    for name, value in load_checkpoint(run_dir / "checkpoint-last.pth")["model"].items():
        if name.startswith("features."):
            assert torch.equal(value, weights[name.removeprefix("features.")])

    del weights["layer4.1.bn2.bias"]
    torch.save(weights, path)
    message = refused("train", "-c", "configs/torchvision_finetune.json", "-s", *settings, f"arch.args.weights={path}")
    assert "arch: weights:" in message and "layer4.1.bn2.bias is missing" in message
    path.unlink()
    assert evaluate(run_dir, "arch.args.weights=null") == results


def test_an_unreadable_image_and_an_unknown_transform_end_with_their_cause(refused, images, tmp_path):
    folder = shutil.copytree(images, tmp_path / "images")
    (folder / "train" / "china" / "0_0.png").write_text("no image")
    command = ("train", "-c", "configs/image_folder.json", "-s", f"data_loader.args.data_dir={folder}")
    message = refused(*command)
    assert message.startswith(f"error: {folder}/train/china/0_0.png cannot be read as an image: ")
    message = refused(*command, "data_loader.args.transforms.0.type=Resise")
    assert "data_loader: transforms.0.type: 'Resise' is unknown, did you mean 'Resize'?" in message
