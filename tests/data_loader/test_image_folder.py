import logging
import re

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data_loader.image_folder import ImageFolderDataLoader, make_transform
from utils.errors import UserError, run_command

RESIZE = {"type": "Resize", "args": {"size": [8, 8]}}
FLIP = {"type": "RandomHorizontalFlip", "args": {"p": 1.0}}


def write_image(path, value, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size[1], size[0], 3), value, np.uint8)
    image[:, : size[0] // 2, 0] = 255  # the left half is red: a flip shows
    Image.fromarray(image).save(path)


def write_images(folder, n_train=10):
    for part, n_images in (("train", n_train), ("test", 4)):
        for number, name in enumerate(["cat", "dog"]):
            for i in range(n_images):
                write_image(folder / part / name / f"{i}.png", value=100 * number + i)


def offline_settings(folder):
    """With which a config with this loader runs: two classes of small images."""
    write_images(folder, n_train=40)
    return [f"data_loader.args.data_dir={folder}", "data_loader.args.num_workers=0"]


@pytest.fixture
def folder(tmp_path):
    write_images(tmp_path)
    return tmp_path


def loader(folder, transforms=(RESIZE,), batch_size=5, **options):
    return ImageFolderDataLoader(folder, batch_size, transforms=transforms, **options)


def test_classes_are_the_folders_and_images_float(folder):
    [(data, target)] = loader(folder, batch_size=20)
    assert (data.shape, data.dtype, type(data)) == ((20, 3, 8, 8), torch.float32, torch.Tensor)
    assert data.min() == 0 and data.max() == 1
    assert torch.equal(target, (data[:, 1, 0, 0] > 50 / 255).long())
    assert loader(folder).classes == ["cat", "dog"]
    assert loader(folder, training=False).n_samples == 8


def test_a_hidden_folder_is_no_class(folder):
    for part in ("train", "test"):
        (folder / part / ".ipynb_checkpoints").mkdir()
    assert loader(folder).classes == ["cat", "dog"]
    assert loader(folder, training=False).n_samples == 8


def is_flipped(data):
    return data[:, 0, 0, -1] > data[:, 0, 0, 0]


def test_only_training_is_augmented(folder):
    options = {"transforms": [RESIZE, FLIP], "eval_transforms": [RESIZE]}
    train_part = loader(folder, **options, validation_split=0.5, stratify=True)
    for data, _ in train_part:
        assert is_flipped(data).all()
    for part in (train_part.split_validation(), loader(folder, **options, training=False)):
        for data, _ in part:
            assert not is_flipped(data).any()


def test_random_transforms_in_the_evaluation_are_warned_of(folder, caplog):
    with caplog.at_level(logging.WARNING):
        loader(folder, [RESIZE, FLIP])
    assert "validation and test are augmented too" in caplog.text


def test_making_the_loader_draws_no_random_number(folder):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    loader(folder, [RESIZE, {"type": "RandomRotation", "args": {"degrees": 90}}])
    assert torch.equal(torch.rand(1), expected)


def test_normalize_comes_after_the_conversion_to_float():
    normalize = {"type": "Normalize", "args": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}
    image = torch.full((3, 4, 4), 255, dtype=torch.uint8)
    assert torch.equal(make_transform([normalize], "transforms")(image), torch.full((3, 4, 4), 2.0))
    assert torch.equal(make_transform([], "transforms")(image), torch.ones(3, 4, 4))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "Resise", "args": {"size": 8}}, "transforms.1.type: 'Resise' is unknown, did you mean 'Resize'"),
        ({"type": "functional.resize"}, "is unknown"),
        ({"type": "_transform"}, "is unknown"),
        ({"type": "InterpolationMode"}, "is unknown"),
        ({"type": "Transform"}, "is unknown"),
        ({"name": "Resize"}, "is not {"),
        ({"type": "Resize", "args": {"sise": 8}}, "transforms.1.args: Resize:.*sise"),
        ({"type": "CenterCrop"}, "transforms.1.args: CenterCrop:.*size"),
        ({"type": "Normalize", "args": {"mean": [0.5], "std": [0.0]}}, "transforms: ValueError: std"),
        ({"type": "FiveCrop", "args": {"size": 4}}, "must make one image"),
    ],
)
def test_a_transform_that_cannot_work_is_refused(folder, entry, message):
    with pytest.raises(ValueError, match=message):
        loader(folder, [RESIZE, entry])
    with pytest.raises(ValueError, match=f"eval_{message}" if message.startswith("transforms") else message):
        loader(folder, [RESIZE], eval_transforms=[RESIZE, entry])


def test_what_is_missing_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere/train: put the images in .*/train/<class>/"):
        loader(folder / "nowhere")
    (folder / "empty" / "train").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="find any class folder in"):
        loader(folder / "empty")
    (folder / "train" / "bird").mkdir()
    with pytest.raises(FileNotFoundError, match="no valid file for the classes bird"):
        loader(folder)


def test_classes_of_the_test_folder_are_those_of_training(folder):
    for path in (folder / "test" / "cat").iterdir():
        path.unlink()
    (folder / "test" / "cat").rmdir()
    [(_, target)] = loader(folder, training=False)
    assert target.tolist() == [1] * 4  # dog keeps its number
    write_image(folder / "test" / "fish" / "0.png", 3)
    with pytest.raises(ValueError, match=r"test has classes that were not trained: fish; known: \['cat', 'dog'\]"):
        loader(folder, training=False)


def test_unreadable_images_are_found_when_the_loader_is_made(folder):
    (folder / "train" / "cat" / "3.png").write_text("no image")
    (folder / "train" / "dog" / "4.png").write_bytes(b"")
    png = (folder / "train" / "dog" / "5.png").read_bytes()
    (folder / "train" / "dog" / "5.png").write_bytes(png[:-30])
    with pytest.raises(ValueError, match=r"3 of 20 images cannot be read: .*3\.png.*4\.png.*5\.png"):
        loader(folder)


def cut_off(path):
    """OSError: image file is truncated."""
    path.write_bytes(path.read_bytes()[:-500])


def too_long_a_comment(path):
    """ValueError: Decompressed data too large."""
    comment = PngInfo()
    comment.add_text("comment", "a" * 2**21, zip=True)
    Image.open(path).save(path, "PNG", pnginfo=comment)


def broken_chunk(path):
    """SyntaxError: broken PNG file."""
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("damage", [cut_off, too_long_a_comment, broken_chunk])
def test_an_image_that_is_damaged_later_is_named_in_one_line(folder, damage, num_workers, capsys):
    path = folder / "train" / "dog" / "x.jpg"
    write_image(path, 50, size=(200, 200))
    images = loader(folder, num_workers=num_workers)
    damage(path)
    assert run_command(lambda argv: list(images)) == 2
    assert re.fullmatch(
        rf"error: {path} cannot be read as an image: .* \(sample \d+ of .*\)\n", capsys.readouterr().err
    )


def test_images_of_different_sizes_come_with_advice(folder):
    write_image(folder / "train" / "dog" / "wide.png", 50, size=(40, 10))
    shorter_side = {"type": "Resize", "args": {"size": 8}}
    with pytest.raises(UserError, match=r"\(8, 9\), \(8, 32\).*Give Resize both sides"):
        list(loader(folder, [shorter_side], batch_size=21))
