"""A config for a folder of pictures that nobody has seen: the size they are brought to, and a network of that size."""

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from tools.new_project.settings import balance, config_for
from utils.errors import UserError

LOOKED_AT = 200  # pictures whose size and colour are looked up
TEST_SIZE, VALIDATION_SPLIT = 0.2, 0.2
# By the side of a usual picture in pixels, at most: the side that all are brought to, and the network's feature maps.
SIZES = {40: (32, [16, 32, 64]), 200: (64, [16, 32, 64, 128]), 10**9: (128, [16, 32, 64, 128, 128])}
EPOCHS = {300: 100, 2_000: 40, 20_000: 20}  # each for fewer pictures to train on than that; else 10
MIN_FOR_WORKERS = 2_000  # pictures, with which it pays to read them in other processes


def config_for_pictures(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """A config that tells the classes of folder/<class>/ or of folder/train/<class>/ apart, and lines that say how.

    Raises UserError if there are no such folders, or too few pictures.
    """
    from data_loader.image_folder import ImageFolderDataLoader
    from data_loader.images.files import class_folders, images_of_classes

    is_split = (folder / "train").is_dir() and class_folders(folder / "train") != []
    root = folder / "train" if is_split else folder
    try:
        classes = class_folders(root)
        files, numbers = images_of_classes(root, classes, below=is_split)
        counts = Counter(numbers)
        for number, name in enumerate(classes):
            if counts[number] < 2:
                raise UserError(f"{root / name}: {counts[number]} is too few pictures to train on and to test")
        usual, is_photo = look_at(files)
        side, channels = next(found for most, found in SIZES.items() if usual <= most)
        arguments = {"data_dir": str(folder.resolve()), **transforms_for(side, is_photo)}
        arguments |= split_for(counts, is_split) | {"num_workers": 0 if len(files) < MIN_FOR_WORKERS else 2}
        n_train = ImageFolderDataLoader(**arguments, batch_size=1).n_samples
    except (ValueError, OSError) as error:
        raise UserError(f"{folder}: {error}") from error
    network = {"channels": channels, "image_size": side, "num_classes": "auto", "in_channels": 3, "dropout": 0.3}
    epochs = next((epochs for most, epochs in EPOCHS.items() if n_train < most), 10)
    data = ("ImageFolderDataLoader", arguments)
    config = config_for(
        folder.resolve().name, {"type": "CNN", "args": network}, data, n_train, "classification", epochs
    )
    balanced = balance(config, [*counts.values()])
    frequent, rare = max(counts.values()), min(counts.values())
    return config, [
        f"{len(files)} pictures{' to train on' * is_split}, {len(classes)} classes of {rare} to {frequent}: "
        f"{', '.join(classes[:20])}{' ...' * (len(classes) > 20)}",
        f"Their shorter side is usually {usual} pixels; all become {side} x {side}",
        *balanced,
    ]


def look_at(paths: list[str]) -> tuple[int, bool]:
    """The usual shorter side of some pictures in pixels, and whether they look like photos: large, and in colour."""
    from PIL import Image

    from data_loader.images.files import FORMATS

    sides, in_colour = [], 0
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        try:
            with Image.open(path, formats=FORMATS) as image:
                sides.append(min(image.size))
                in_colour += image.mode not in ("1", "L", "LA", "I", "I;16", "F")
        except Exception:  # PIL raises many kinds; the loader names the file when it meets it
            continue
    if not sides:
        raise UserError(f"none of the pictures can be read, such as {paths[0]}")
    usual = int(median(sides))
    return usual, in_colour > len(sides) / 2 and usual > min(SIZES)


def transforms_for(side: int, is_photo: bool) -> dict[str, Any]:
    """The loader's transforms. Only photos are mirrored: a mirrored letter may be another one."""
    resize = {"type": "Resize", "args": {"size": [side, side]}}
    normalize = {"type": "Normalize", "args": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}
    shift = {"type": "RandomCrop", "args": {"size": side, "padding": side // 8}}
    mirror = [{"type": "RandomHorizontalFlip", "args": {}}] if is_photo else []
    return {"transforms": [resize, shift, *mirror, normalize], "eval_transforms": [resize, normalize]}


def split_for(counts: Counter, is_split: bool) -> dict[str, Any]:
    """How the pictures are split: so that there are some of each class in every part, if they are enough."""
    n, n_classes = counts.total(), len(counts)
    share = 0.0 if is_split else TEST_SIZE if int(n * TEST_SIZE) >= n_classes else 0.5
    n_train = n - int(n * share)
    is_enough = int(n_train * VALIDATION_SPLIT) >= n_classes and min(counts.values()) >= 4
    parts = {} if is_split else {"test_size": share}
    return parts | {"validation_split": VALIDATION_SPLIT, "stratify": is_enough}
