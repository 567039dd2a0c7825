"""One period of the sine: 2,000 points, evenly spaced from -pi to pi."""

import math
from typing import Any

import torch

from base import BaseDataLoader, InMemoryDataset

N_SAMPLES = 2000


class SineDataLoader(BaseDataLoader):
    """Batches of (data, target): x and sin(x), each float32 (batch, 1).

    training: the training points, both ends included; False: the 1,999 points halfway between them.
    options: those of BaseDataLoader.

    Source: PyTorch's tutorial "Learning PyTorch with Examples".
    """

    def __init__(self, batch_size: int, training: bool = True, **options: Any):
        x = torch.linspace(-math.pi, math.pi, N_SAMPLES).unsqueeze(1)
        if not training:
            x = (x[1:] + x[:-1]) / 2
        super().__init__(InMemoryDataset(x, torch.sin(x)), batch_size, training=training, **options)
