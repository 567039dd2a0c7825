"""scikit-learn's handwritten digits with two targets each: the digit, and whether it is odd."""

from typing import Any

from torch import Tensor

from base import BaseDataLoader, BaseDataset
from data_loader.digits import read_digits


class DigitsParityDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, 1, 8, 8), and {"digit": int64 (batch,), "parity": int64 (batch,)}.

    training: the training part; False: the test part, as DigitsDataLoader has them.
    options: those of BaseDataLoader.
    """

    def __init__(self, batch_size: int, training: bool = True, **options: Any):
        super().__init__(DigitsParityDataset(*read_digits(training)), batch_size, training=training, **options)


class DigitsParityDataset(BaseDataset):
    """Samples whose target is a dict: images (samples, 1, 8, 8) and digits (samples,)."""

    def __init__(self, images: Tensor, digits: Tensor):
        self.images = images
        self.digits = digits

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        digit = self.digits[index]
        return self.images[index], {"digit": digit, "parity": digit % 2}
