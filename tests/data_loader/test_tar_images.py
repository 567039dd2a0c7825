import io
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from data_loader.image_folder import ImageFolderDataLoader
from data_loader.tar_images import TarImagesDataLoader
from utils.errors import UserError

RESIZE = {"type": "Resize", "args": {"size": [8, 8]}}


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def png(value):
    file = io.BytesIO()
    Image.fromarray(np.full((10, 12, 3), value, np.uint8)).save(file, "png")
    return file.getvalue()


def write_tars(folder, n_train=20, n_files=3):
    """Images as bright as they are numbered, of two classes in turn, spread over some files."""
    folder.mkdir(exist_ok=True)
    for part, n in (("train", n_train), ("test", 6)):
        for number in range(n_files):
            with tarfile.open(folder / f"{part}-{number:03}.tar", "w") as tar:
                for i in range(number * n // n_files, (number + 1) * n // n_files):
                    add(tar, f"{i:06}.cls", str(i % 2).encode())
                    add(tar, f"{i:06}.json", b"{}")  # which nobody asked for
                    add(tar, f"{i:06}.png", png(i))


def offline_settings(folder):
    """With which a config with this loader runs: two classes of small images."""
    write_tars(folder, n_train=40)
    return [f"data_loader.args.data_dir={folder}", "data_loader.args.num_workers=0"]


@pytest.fixture
def folder(tmp_path):
    write_tars(tmp_path)
    return tmp_path


def loader(folder, **options):
    return TarImagesDataLoader(folder, 5, transforms=[RESIZE], **options)


def read_all(loader):
    data, target = (torch.cat(part) for part in zip(*loader, strict=True))
    return (data[:, 0, 0, 0] * 255).round().int().tolist(), target.tolist()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_image_comes_with_its_class_from_whatever_file(folder, num_workers):
    numbers, classes = read_all(loader(folder, shuffle=False, num_workers=num_workers))
    assert numbers == [*range(20)]
    assert classes == [number % 2 for number in numbers]
    shuffled = read_all(loader(folder, num_workers=num_workers))[0]
    assert shuffled != numbers and sorted(shuffled) == numbers
    assert read_all(loader(folder, training=False))[0] == [*range(6)]


def test_an_epoch_goes_on_in_the_middle_and_processes_share_batches(folder):
    torch.manual_seed(0)
    whole = list(loader(folder))
    torch.manual_seed(0)
    rest = loader(folder)
    rest.set_position(1, batch=2)
    for (data, target), (other_data, other_target) in zip(whole[2:], rest, strict=True):
        assert torch.equal(data, other_data) and torch.equal(target, other_target)
    shares = []
    for rank in range(2):
        torch.manual_seed(0)
        shares.append(loader(folder))
        shares[-1].place = rank, 2
    for (data, _), *parts in zip(whole, *shares, strict=True):
        assert torch.equal(data, torch.cat([part for part, _ in parts]))


def test_the_split_keeps_the_proportions(folder):
    part = loader(folder, validation_split=0.2, stratify=True)
    assert sorted(target for _, batch in part.split_validation() for target in batch.tolist()) == [0, 0, 1, 1]


def test_the_same_images_in_folders_are_the_same_batches(folder, tmp_path):
    for part, n in (("train", 20), ("test", 6)):
        for i in range(n):
            path = tmp_path / "folders" / part / str(i % 2) / f"{i:06}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(i))
    in_folders = ImageFolderDataLoader(tmp_path / "folders", 20, transforms=[RESIZE], shuffle=False, cache=False)
    [(data, target)] = in_folders
    tar_data, tar_target = (torch.cat(part) for part in zip(*loader(folder, shuffle=False), strict=True))
    order = tar_target.argsort(stable=True)  # a folder's images are sorted by class
    assert torch.equal(data, tar_data[order]) and torch.equal(target, tar_target[order])
    assert loader(folder).classes == in_folders.classes


def damaged(path, change):
    content = path.read_bytes()
    path.write_bytes(change(content))


def test_a_file_that_is_cut_off_or_none_is_named(folder):
    path = folder / "train-001.tar"
    for change in (
        lambda c: c[: c.rindex(b"\x89PNG") + 100],
        lambda c: c[: c.rindex(b"\x89PNG") - 512],
        lambda c: b"no",
    ):
        write_tars(folder)
        damaged(path, change)
        with pytest.raises(UserError, match=rf"{path} is damaged, or no tar file"):
            loader(folder)


def test_an_image_without_a_class_and_a_class_without_an_image_are_named(folder):
    for name, content in (("a.png", png(1)), ("a.cls", b"1"), ("a.cls", b"-1")):
        with tarfile.open(folder / "train-009.tar", "w") as tar:
            add(tar, name, content)
        with pytest.raises(UserError, match=r"train-009.tar: a needs an image and, as a.cls, its class number"):
            loader(folder)
    with tarfile.open(folder / "train-009.tar", "w") as tar:
        add(tar, "a.cls", b"cat")
    with pytest.raises(UserError, match=r"train-009.tar is damaged, .*'cat'"):
        loader(folder)


def test_an_image_that_cannot_be_read_is_named_by_its_place_when_it_is_met(folder):
    with tarfile.open(folder / "train-009.tar", "w") as tar:
        add(tar, "a.png", b"no image")
        add(tar, "a.cls", b"1")
    with pytest.raises(UserError, match=r"train-009.tar, byte 512, cannot be read as an image: .*sample 20 of"):
        list(loader(folder, shuffle=False))


def test_other_classes_than_the_trained_ones_and_no_files_are_refused(folder, tmp_path):
    fitted = loader(folder).fitted
    with tarfile.open(folder / "test-009.tar", "w") as tar:
        add(tar, "a.png", png(1))
        add(tar, "a.cls", b"2")
    with pytest.raises(ValueError, match=r"has class 2; trained were 0 to 1"):
        loader(folder, training=False, fitted=fitted)
    with pytest.raises(FileNotFoundError, match=r"no image in .*/nowhere/train-\*\.tar"):
        loader(tmp_path / "nowhere")


def test_new_images_are_read_as_for_the_model(folder, tmp_path):
    (tmp_path / "new.png").write_bytes(png(200))
    batch, names, problems, notes = TarImagesDataLoader.read_inputs(
        loader(folder).fitted, tmp_path / "new.png", transforms=[RESIZE], data_dir=str(folder)
    )
    assert batch.shape == (1, 3, 8, 8) and (problems, notes) == ([], {}) and names == [str(tmp_path / "new.png")]


def test_what_is_silently_wrong_with_transforms_or_a_checkpoint_is_said(folder, caplog):
    flip = {"type": "RandomHorizontalFlip", "args": {}}
    TarImagesDataLoader(folder, 5, transforms=[RESIZE, flip])
    assert "Without eval_transforms, validation and test are augmented too" in caplog.text
    with pytest.raises(ValueError, match=r"transforms: .*it must make one image"):
        TarImagesDataLoader(folder, 5, transforms=[{"type": "FiveCrop", "args": {"size": 4}}])
    with pytest.raises(ValueError, match=r"what the checkpoint holds of its training data is damaged"):
        loader(folder, fitted={"classes": [1, 2]})
