"""What folders and tar files of images have in common: their samples, batches and transforms."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from base import BaseDataset
from data_loader.fitted import matches
from data_loader.images.transform import Entries, to_floats
from utils.errors import UserError

logger = logging.getLogger(__name__)
Steps = Sequence[Callable[[Tensor], Tensor]]


class ImageDataset(BaseDataset):
    """Images and their class numbers, read one by one.

    images: by number, as bytes, (3, height, width).
    steps: the transforms, of an image as bytes.
    """

    def __init__(self, images: Any, target: Tensor, steps: Steps):
        self.images, self.target = images, target
        needs_floats = any(type(step).__name__ == "Normalize" for step in steps)
        self.steps = [to_floats(steps)] if needs_floats else steps

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        for step in self.steps:
            image = step(image)
        return image, int(self.target[index])


class Collate:
    """A batch of images of one size, as float32. transform: called with the images of a batch."""

    def __init__(self, transform: Callable[[Tensor], Tensor]):
        self.transform = transform

    def __call__(self, samples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        sizes = {tuple(image.shape[-2:]) for image, _ in samples}
        if len(sizes) > 1:
            raise UserError(
                f"images of different sizes cannot be one batch: {sorted(sizes)[:5]} (height, width). Give Resize both "
                'sides, {"type": "Resize", "args": {"size": [64, 64]}}, or add a CenterCrop'
            )
        images, target = default_collate(samples)
        return self.transform(images), target


def for_evaluation(transforms: Entries, eval_transforms: Entries | None) -> Entries:
    """The transforms for validation and test; without any, those of the training, with a warning of random ones."""
    if eval_transforms is not None:
        return eval_transforms
    names = [str(entry.get("type")) for entry in transforms]
    if any(name.startswith("Random") for name in names):
        logger.warning("Without eval_transforms, validation and test are augmented too, by %s.", ", ".join(names))
    return transforms


def make_datasets(
    images: Any, target: Tensor, steps: Steps, eval_steps: Steps, n_last: int
) -> tuple[ImageDataset, ImageDataset, Collate]:
    """The samples to train and to evaluate with, and what makes batches of both.

    n_last: so many steps, with which both lists end, are done to a whole batch.
    Raises ValueError for a transform that does not work with the first image.
    """
    collate = Collate(to_floats(steps[len(steps) - n_last :]))
    dataset = ImageDataset(images, target, steps[: len(steps) - n_last])
    eval_dataset = ImageDataset(images, target, eval_steps[: len(eval_steps) - n_last])
    _try(dataset, collate, "transforms")
    _try(eval_dataset, collate, "eval_transforms")
    return dataset, eval_dataset, collate


def check_fitted(fitted: dict[str, Any]) -> None:
    """Raises ValueError if this class has not learnt this."""
    if not matches(fitted, {"classes": [str], "n_images": int}):
        raise ValueError("what the checkpoint holds of its training data is damaged, or of another task")


def _try(dataset: ImageDataset, collate: Collate, key: str) -> None:
    """Read one image: a transform finds most wrong arguments only when it is used."""
    with torch.random.fork_rng(devices=[]):
        try:
            sample = dataset[0]
            if not isinstance(sample[0], Tensor) or sample[0].dim() != 3:
                raise ValueError("it must make one image (channels, height, width) of one image")
            collate([sample])
        except UserError:
            return  # an image that cannot be read is named when it is met
        except Exception as error:  # a transform may raise anything
            raise ValueError(f"{key}: {type(error).__name__}: {error}") from error
