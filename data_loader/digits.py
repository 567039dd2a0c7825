"""Handwritten digits that ship inside scikit-learn: 1,797 images of 8 x 8 pixels, ten classes, no download."""

from typing import Any

import torch

from base import BaseDataLoader, InMemoryDataset

TEST_SHARE = 0.2
PIXEL_MAX = 16.0


class DigitsDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, 1, 8, 8) in [0, 1] and int64 (batch,).

    training: the training part; False: the test part, a fixed fifth of the images with the same share of each class.
    options: those of BaseDataLoader.

    Source: UCI's "Optical Recognition of Handwritten Digits", the part that `sklearn.datasets.load_digits` holds.
    """

    def __init__(self, batch_size: int, training: bool = True, **options: Any):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        images, labels = load_digits(return_X_y=True)
        parts = train_test_split(images, labels, test_size=TEST_SHARE, random_state=0, stratify=labels)
        data, target = (parts[0], parts[2]) if training else (parts[1], parts[3])
        dataset = InMemoryDataset(
            torch.from_numpy(data).float().div(PIXEL_MAX).view(-1, 1, 8, 8), torch.from_numpy(target).long()
        )
        super().__init__(dataset, batch_size, training=training, **options)
