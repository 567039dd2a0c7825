"""Handwritten digits that ship inside scikit-learn: 1,797 images of 8 x 8 pixels, ten classes, no download."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from base import BaseDataLoader, InMemoryDataset
from data_loader.subset import choose_samples
from data_loader.transforms import Augmentation

TEST_SHARE = 0.2
PIXEL_MAX = 16.0


class DigitsDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, 1, 8, 8) in [0, 1] and int64 (batch,).

    training: the training part; False: the test part, a fixed fifth of the images with the same share of each class.
    classes: the digits to use, numbered anew in this order; by default all. See choose_samples.
    n_samples: use only so many images of the training part, always the same ones; by default all.
    augment: what to do to training images at random, in order, as {"type": "RandomCrop", "args": {"padding": 1}}. See
        data_loader/transforms.py.
    options: those of BaseDataLoader.

    Source: UCI's "Optical Recognition of Handwritten Digits", the part that `sklearn.datasets.load_digits` holds.
    """

    def __init__(
        self,
        batch_size: int,
        training: bool = True,
        classes: list[int] | None = None,
        n_samples: int | None = None,
        augment: Sequence[dict[str, Any]] = (),
        **options: Any,
    ):
        data, digits = read_digits(training)
        indices, target = choose_samples(digits, classes, n_samples if training else None)
        dataset = InMemoryDataset(data[indices], target, augment=Augmentation(augment) if augment else None)
        super().__init__(dataset, batch_size, training=training, **options)
        self.classes = [str(digit) for digit in classes or range(10)]


def read_digits(training: bool) -> tuple[Tensor, Tensor]:
    """Images, float32 (samples, 1, 8, 8) in [0, 1], and digits, int64 (samples,), of the training or the test part."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=TEST_SHARE, random_state=0, stratify=labels)
    data, target = (parts[0], parts[2]) if training else (parts[1], parts[3])
    return torch.from_numpy(data).float().div(PIXEL_MAX).view(-1, 1, 8, 8), torch.from_numpy(target).long()
