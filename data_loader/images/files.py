"""Which images a folder holds, and reading them."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from torch import Tensor
from tqdm import tqdm

from utils.errors import ConfigError, UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # those of torchvision
# What PIL recognizes by itself includes formats that other programs are started for, whatever a file is called.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; hidden ones, such as .ipynb_checkpoints, are none."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def list_images(folder: str | Path, below: bool = True) -> list[str]:
    """The paths of all images in a folder and, with `below`, in those in it, sorted. Opens none of them."""
    return sorted(_images(str(folder), below))


def _images(folder: str, below: bool) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):  # also ._cat.jpg, which macOS leaves
                continue
            if entry.name.lower().endswith(EXTENSIONS):
                yield entry.path
            elif below and entry.is_dir(follow_symlinks=False):  # links may lead round in a circle
                yield from _images(entry.path, below)


def images_of_classes(folder: Path, classes: Sequence[str], below: bool) -> tuple[list[str], list[int]]:
    """The paths of the images in <folder>/<class>/ and the class number of each.

    Raises FileNotFoundError if there are none, and ValueError for a folder of another class.
    """
    folders = class_folders(folder)
    unknown = [name for name in folders if name not in classes]
    if unknown:
        raise ValueError(f"{folder} has classes that were not trained: {', '.join(unknown)}; known: {[*classes]}")
    files, numbers = [], []
    for number, name in enumerate(classes):
        found = list_images(folder / name, below) if name in folders else []
        files += found
        numbers += [number] * len(found)
    if not files:
        raise FileNotFoundError(f"no image in {folder}/<class>/; images end in {', '.join(EXTENSIONS)}")
    return files, numbers


def read_image(path: str, file: IO[bytes] | None = None) -> Tensor:
    """An image as RGB: bytes, (3, height, width). Raises UserError, naming the file, if it cannot be read.

    file: the image itself, where `path` only says where it is from.
    """
    from PIL import Image
    from torchvision.transforms.v2.functional import pil_to_tensor

    try:
        if Path(path).exists() and not Path(path).is_file():
            raise OSError("it is no file")  # a pipe would be waited for
        with Image.open(file or path, formats=FORMATS) as image:
            if image.mode[0] in "IF":
                raise ValueError("more than 8 bits per colour would be cut off; convert it")
            return pil_to_tensor(image.convert("RGB"))
    except Exception as error:  # PIL raises many kinds
        raise UserError(f"{path} cannot be read as an image: {error}") from error


def require_images(folder: Path) -> None:
    """Decode every image of an ImageFolderDataLoader's folder. Raises ConfigError, naming each that cannot be read."""
    parts = [folder / part for part in ("train", "test")] if (folder / "train").is_dir() else [folder]
    paths = [path for part in parts if part.is_dir() for path in list_images(part)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # PIL decodes without Python's lock
        faults = list(filter(None, tqdm(pool.map(_fault, paths), "images", len(paths), leave=False, disable=None)))
    if faults:
        raise ConfigError(f"{folder}", faults)


def _fault(path: str) -> str:
    try:
        read_image(path)
    except UserError as error:
        return str(error)
    return ""
