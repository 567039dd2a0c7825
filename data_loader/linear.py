"""A noisy line: 1,000 points of y = 2 (x + noise) + 3."""

from typing import Any

import torch

from base import BaseDataLoader, InMemoryDataset
from utils.seed import derive_seed

N_SAMPLES = 1000
WEIGHT, BIAS = 2.0, 3.0


class LinearDataLoader(BaseDataLoader):
    """Batches of (data, target): x and y, each float32 (batch, 1).

    x_min, x_max: x is uniform between them.
    noise: the standard deviation of the normal noise that is added to x before the line is applied; 0 is a clean line.
    training: the training points; False: as many others for the test.
    data_seed: draws the points; they depend on nothing else.
    options: those of BaseDataLoader.
    """

    def __init__(
        self,
        batch_size: int,
        x_min: float = -10.0,
        x_max: float = 10.0,
        noise: float = 1.0,
        training: bool = True,
        data_seed: int = 0,
        **options: Any,
    ):
        generator = torch.Generator().manual_seed(derive_seed(data_seed, int(training)))
        x = torch.empty(N_SAMPLES, 1).uniform_(x_min, x_max, generator=generator)
        y = WEIGHT * (x + noise * torch.randn(x.shape, generator=generator)) + BIAS
        super().__init__(InMemoryDataset(x, y), batch_size, training=training, **options)
