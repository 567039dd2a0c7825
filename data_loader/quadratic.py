"""A noisy parabola: 1,000 points of y = x^2 + 3 + noise."""

from typing import Any

import torch

from base import BaseDataLoader, InMemoryDataset
from utils.seed import derive_seed

N_SAMPLES = 1000
X_MAX = 15.0
OFFSET = 3.0


class QuadraticDataLoader(BaseDataLoader):
    """Batches of (data, target): x and y, each float32 (batch, 1), with x uniform in [-15, 15].

    The noise is normal with standard deviation 1.

    training: the training points; False: as many others for the test.
    data_seed: draws the points; they depend on nothing else.
    options: those of BaseDataLoader.
    """

    def __init__(self, batch_size: int, training: bool = True, data_seed: int = 0, **options: Any):
        generator = torch.Generator().manual_seed(derive_seed(data_seed, int(training)))
        x = torch.empty(N_SAMPLES, 1).uniform_(-X_MAX, X_MAX, generator=generator)
        y = x**2 + OFFSET + torch.randn(x.shape, generator=generator)
        super().__init__(InMemoryDataset(x, y), batch_size, training=training, **options)
