"""Images in folders, one folder per class.

data_dir/train/<class>/*.jpg    to train on; these folders are the classes, numbered in alphabetical order
data_dir/test/<class>/*.jpg     for test.py, with the same classes
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from base import BaseDataLoader, BaseDataset
from data_loader.transforms import make_step
from utils.errors import UserError

Sample = tuple[str, int]  # an image's path and its class number
# What PIL recognizes by itself includes formats that other programs are started for, whatever a file is called.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

logger = logging.getLogger(__name__)


class ImageFolderDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, 3, height, width) and int64 (batch,).

    data_dir: the folder with train/ and test/ in it.
    training: the images in train/; False: those in test/.
    transforms: transforms of torchvision.transforms.v2, in order, as {"type": "Resize", "args": {"size": [64, 64]}}.
    eval_transforms: the same for validation and test, without augmentation; by default `transforms`.
    options: those of BaseDataLoader.

    Images are read as RGB. They are bytes until the first Normalize, and float32 in [0, 1] from there on.
    Every file is opened and both lists are tried on one image when the loader is made. Raises FileNotFoundError for a
    missing folder or a class without images; ValueError for an unreadable image, a class in test/ that train/ does not
    have, and a transform that does not exist or does not work.
    """

    def __init__(
        self,
        data_dir: str | Path,
        batch_size: int,
        training: bool = True,
        transforms: Sequence[dict[str, Any]] = (),
        eval_transforms: Sequence[dict[str, Any]] | None = None,
        **options: Any,
    ):
        if eval_transforms is None:
            _warn_of_random(transforms)
        for_training = make_transform(transforms, "transforms")
        for_evaluation = for_training if eval_transforms is None else make_transform(eval_transforms, "eval_transforms")

        train_folder, test_folder = Path(data_dir) / "train", Path(data_dir) / "test"
        self.classes = _class_names(train_folder)
        samples = _find_images(train_folder if training else test_folder, self.classes)
        for key, transform in {"transforms": for_training, "eval_transforms": for_evaluation}.items():
            _try(ImageDataset(samples[:1], transform), key)
        eval_dataset = ImageDataset(samples, for_evaluation)
        dataset = ImageDataset(samples, for_training) if training else eval_dataset
        super().__init__(dataset, batch_size, training=training, eval_dataset=eval_dataset, collate_fn=stack, **options)


class ImageDataset(BaseDataset):
    """Image files and their class numbers, read one by one.

    transform: called with an image as bytes, (3, height, width).
    """

    def __init__(self, samples: list[Sample], transform: Callable[[Tensor], Tensor]):
        self.samples = samples
        self.transform = transform
        self.target = torch.tensor([number for _, number in samples])

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from torchvision.datasets.folder import default_loader
        from torchvision.transforms.v2.functional import pil_to_tensor

        path, number = self.samples[index]
        try:
            image = default_loader(path)
        except Exception as error:  # PIL raises many kinds; the header was right, or the file has changed since
            raise UserError(f"{path} cannot be read as an image: {error}") from error
        return self.transform(pil_to_tensor(image)), number


def make_transform(entries: Sequence[dict[str, Any]], key: str) -> Callable[[Tensor], Tensor]:
    """A transform from an image's bytes, (3, height, width), to float32, which ranges over [0, 1] before a Normalize.

    entries: see ImageFolderDataLoader. key: what to call them in an error.
    Raises ValueError for a name that is no transform of torchvision.transforms.v2, or arguments it does not take.
    """
    from torchvision.transforms import v2

    known = {
        name: value
        for name, value in vars(v2).items()
        if isinstance(value, type) and issubclass(value, v2.Transform) and value is not v2.Transform
    }
    steps = [make_step(entry, known, f"{key}.{i}") for i, entry in enumerate(entries)]
    first_float = next((i for i, step in enumerate(steps) if isinstance(step, v2.Normalize)), len(steps))
    to_float = v2.ToDtype(torch.float32, scale=True)
    return v2.Compose([*steps[:first_float], to_float, *steps[first_float:]])


def stack(samples: list[tuple[Tensor, int]]) -> Any:
    """A batch of images of one size."""
    sizes = {tuple(image.shape[-2:]) for image, _ in samples}
    if len(sizes) > 1:
        raise UserError(
            f"images of different sizes cannot be one batch: {sorted(sizes)[:5]} (height, width). Give Resize both "
            'sides, {"type": "Resize", "args": {"size": [64, 64]}}, or add a CenterCrop'
        )
    return default_collate(samples)


# ------------------------------------------------------------------------------------------------------ transforms


def _warn_of_random(entries: Sequence[dict[str, Any]]) -> None:
    names = [str(entry.get("type")) for entry in entries]
    if any(name.startswith("Random") for name in names):
        logger.warning("Without eval_transforms, validation and test are augmented too, by %s.", ", ".join(names))


def _try(dataset: ImageDataset, key: str) -> None:
    """Read one image: a transform finds most wrong arguments only when it is used."""
    with torch.random.fork_rng(devices=[]):
        try:
            image, _ = dataset[0]
        except UserError:
            raise
        except Exception as error:  # a transform may raise anything
            raise ValueError(f"{key}: {type(error).__name__}: {error}") from error
    if not isinstance(image, Tensor) or image.dim() != 3:
        raise ValueError(f"{key} must make one image (channels, height, width) of one image")


# ----------------------------------------------------------------------------------------------------------- files


def _class_names(train_folder: Path) -> list[str]:
    from torchvision.datasets.folder import find_classes

    _check_exists(train_folder)
    return [name for name in find_classes(train_folder)[0] if not name.startswith(".")]  # .ipynb_checkpoints is none


def _find_images(folder: Path, classes: list[str]) -> list[Sample]:
    """All images of some classes. Raises ValueError for a folder of another class and for an unreadable file."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    _check_exists(folder)
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    unknown = [name for name in folders if name not in classes]
    if unknown:
        raise ValueError(f"{folder} has classes that were not trained: {', '.join(unknown)}; known: {classes}")
    numbers = {name: number for number, name in enumerate(classes)}
    samples = make_dataset(folder, numbers, IMG_EXTENSIONS, allow_empty=folder.name == "test")
    if not samples:
        raise FileNotFoundError(f"no image in {folder}/<class>/; images end in {', '.join(IMG_EXTENSIONS)}")
    faults = [fault for path, _ in samples if (fault := _find_fault(path))]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise ValueError(f"{len(faults)} of {len(samples)} images cannot be read: {'; '.join(faults[:5])}{more}")
    return samples


def _check_exists(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder {folder}: put the images in {folder.parent}/train/<class>/ and {folder.parent}/test/<class>/"
        )


def _find_fault(path: str) -> str | None:
    """What is wrong with an image's header and, for a PNG, its checksums. Does not decode the image."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            image.verify()
    except Exception as error:  # a damaged file makes PIL raise many kinds
        return f"{path} ({error})"
    return None
