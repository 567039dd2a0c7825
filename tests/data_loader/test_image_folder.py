import logging
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torchvision.transforms import v2

from data_loader import image_folder
from data_loader.image_folder import ImageFolderDataLoader
from data_loader.images.transform import to_floats
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
    image = torch.full((3, 4, 4), 255, dtype=torch.uint8)
    assert torch.equal(to_floats([v2.Normalize([0.5] * 3, [0.25] * 3)])(image), torch.full((3, 4, 4), 2.0))
    assert torch.equal(to_floats([])(image), torch.ones(3, 4, 4))


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
        ({"type": "Normalize", "args": {"mean": [0.5], "std": [0.0]}}, "transforms: .*std"),
        ({"type": "FiveCrop", "args": {"size": 4}}, "transforms: .*must make one image"),
    ],
)
def test_a_transform_that_cannot_work_is_refused(folder, entry, message):
    with pytest.raises(ValueError, match=message):
        loader(folder, [RESIZE, entry])
    with pytest.raises(ValueError, match=f"eval_{message}" if message.startswith("transforms") else message):
        loader(folder, [RESIZE], eval_transforms=[RESIZE, entry])


def test_what_is_missing_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere: put the images in .*/nowhere/train/<class>/"):
        loader(folder / "nowhere", fitted={"classes": ["a", "b"], "n_images": 2})
    with pytest.raises(FileNotFoundError, match="no folder for a class in"):
        loader(folder / "nowhere")
    (folder / "one" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match="one class only, 'cat'"):
        loader(folder / "one")
    (folder / "train" / "bird").mkdir()
    with pytest.raises(FileNotFoundError, match="no image of bird in"):
        loader(folder)


def test_classes_of_the_test_folder_are_those_of_training(folder):
    fitted = loader(folder).fitted
    for path in (folder / "test" / "cat").iterdir():
        path.unlink()
    (folder / "test" / "cat").rmdir()
    [(_, target)] = loader(folder, training=False)
    assert target.tolist() == [1] * 4  # dog keeps its number
    [(_, target)] = loader(folder / "test", training=False, fitted=fitted, whole=True)
    assert target.tolist() == [1] * 4  # there, too, though it is the only class
    write_image(folder / "test" / "fish" / "0.png", 3)
    with pytest.raises(ValueError, match=r"test has classes that were not trained: fish; known: \['cat', 'dog'\]"):
        loader(folder, training=False)


def test_what_cannot_have_been_learnt_is_refused(folder):
    for fitted in ({"classes": [1, 2], "n_images": 3}, {"classes": ["cat"]}, {"classes": "cat", "n_images": 3}):
        with pytest.raises(ValueError, match="damaged, or of another task"):
            loader(folder, fitted=fitted)


@pytest.fixture
def unsplit(tmp_path):
    for number, name in enumerate(["cat", "dog"]):
        for i in range(10 + 10 * number):
            write_image(tmp_path / "all" / name / f"{i}.png", value=100 * number + i)
    return tmp_path / "all"


def test_a_folder_without_parts_is_split(unsplit, caplog):
    train_part = loader(unsplit, validation_split=0.25, stratify=True)
    seen = []
    for part in (train_part, train_part.split_validation(), loader(unsplit, training=False)):
        target = torch.cat([target for _, target in part])
        assert (target == 1).sum() == 2 * (target == 0).sum()
        seen += torch.cat([data[:, 1, 0, 0] for data, _ in part]).mul(255).round().int().tolist()
    assert sorted(seen) == [*range(10), *range(100, 120)]  # each image in one part
    assert loader(unsplit, training=False, fitted=train_part.fitted, whole=True).n_samples == 30
    write_image(unsplit / "cat" / "new.png", 3)
    loader(unsplit, training=False, fitted=train_part.fitted)
    assert "has 31 images, and had 30 in the training" in caplog.text


def test_new_images_need_no_class(folder):
    fitted = loader(folder).fitted
    [(expected, _)] = loader(folder, batch_size=8, training=False)
    (folder / "test" / "cat" / "broken.jpg").write_text("no image")
    data, names, [problem], _ = ImageFolderDataLoader.read_inputs(
        fitted, folder / "test", [FLIP], [RESIZE], batch_size=3
    )
    assert torch.equal(data, expected)
    assert names == [str(folder / "test" / name / f"{i}.png") for name in ("cat", "dog") for i in range(4)]
    assert "broken.jpg cannot be read as an image" in problem
    with pytest.raises(ValueError, match="cannot be read"):
        ImageFolderDataLoader.read_inputs(fitted, folder / "test" / "cat" / "broken.jpg")


def test_an_image_of_16_bits_is_refused(folder):
    Image.fromarray(np.full((9, 9), 1000, np.uint16)).save(folder / "train" / "cat" / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png cannot be read as an image: more than 8 bits"):
        list(loader(folder))


# ----------------------------------------------------------------------------------------------- what was decoded


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where decoded images are kept."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "decoded_images"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    names, read = [], image_folder.read_image
    monkeypatch.setattr(image_folder, "read_image", lambda path: (names.append(path), read(path))[1])
    return names


def epoch(folder, **options):
    torch.manual_seed(3)
    images = loader(folder, [RESIZE, {"type": "RandomCrop", "args": {"size": 8, "padding": 2}}], **options)
    return torch.cat([data for data, _ in images])


def test_images_are_decoded_once_and_stay_the_same(folder, kept, decoded):
    options = {"eval_transforms": [RESIZE]}
    expected = epoch(folder, cache=False, **options)
    assert not kept.exists()
    for num_workers in (0, 1):
        assert torch.equal(epoch(folder, num_workers=num_workers, **options), expected)
    decoded.clear()
    assert torch.equal(epoch(folder, **options), expected)
    assert len(decoded) == 2  # the transforms are tried on one
    assert len(list(kept.iterdir())) == 1


def test_a_cache_that_is_damaged_does_no_harm(folder, kept, decoded):
    expected = epoch(folder, eval_transforms=[RESIZE])
    [path] = kept.iterdir()
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    content[-5000:] = bytes(5000)
    path.write_bytes(content)
    decoded.clear()
    assert torch.equal(epoch(folder, eval_transforms=[RESIZE]), expected)
    assert len(decoded) > 2
    path.write_bytes(b"short")
    assert torch.equal(epoch(folder, eval_transforms=[RESIZE]), expected)


@pytest.mark.parametrize("change", ["a file", "a transform", "one more file"])
def test_what_has_changed_is_decoded_anew(folder, kept, change):
    before = epoch(folder, eval_transforms=[RESIZE])
    resize = RESIZE
    if change == "a transform":
        resize = {"type": "Resize", "args": {"size": [6, 6]}}
    else:
        write_image(folder / "train" / "cat" / ("3.png" if change == "a file" else "new.png"), 77)
    torch.manual_seed(3)
    crop = {"type": "RandomCrop", "args": {"size": 8, "padding": 2}}
    after = torch.cat([data for data, _ in loader(folder, [resize, crop], eval_transforms=[resize])])
    assert after.shape != before.shape or not torch.equal(after, before)
    assert len(list(kept.iterdir())) == (1 if change == "a file" else 2)


def test_images_without_one_size_are_not_kept(folder, kept):
    crop = {"type": "CenterCrop", "args": {"size": 8}}
    list(loader(folder, [{"type": "RandomCrop", "args": {"size": 8}}], eval_transforms=[crop]))
    list(loader(folder, [{"type": "Resize", "args": {"size": 8}}], batch_size=5))
    assert not kept.exists()


def test_a_full_disk_does_no_harm(folder, kept, monkeypatch, caplog):
    expected = epoch(folder, cache=False, eval_transforms=[RESIZE])

    def no_space(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", no_space)
    assert torch.equal(epoch(folder, eval_transforms=[RESIZE]), expected)
    assert caplog.text.count("no longer kept") == 1


def test_a_cache_that_nobody_uses_is_deleted(folder, kept):
    epoch(folder, eval_transforms=[RESIZE])
    [old] = kept.iterdir()
    os.utime(old, (0, 0))
    write_image(folder / "train" / "cat" / "new.png", 77)
    epoch(folder, eval_transforms=[RESIZE])
    assert old not in kept.iterdir()


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
