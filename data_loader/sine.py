"""One period of the sine: evenly spaced points from -pi to pi."""

import math
from typing import Annotated, Any

import torch

from base import BaseDataLoader, InMemoryDataset


class SineDataLoader(BaseDataLoader):
    """Batches of (data, target): x and sin(x), each float32 (batch, 1).

    n_points: how many to train on. The sum of squared errors grows with them: of more, take a smaller learning rate.
    training: the training points, both ends included; False: the points halfway between them.
    options: those of BaseDataLoader.

    Source: PyTorch's tutorial "Learning PyTorch with Examples".
    """

    def __init__(self, batch_size: int, n_points: Annotated[int, ">= 2"] = 2000, training: bool = True, **options: Any):
        x = torch.linspace(-math.pi, math.pi, n_points).unsqueeze(1)
        if not training:
            x = (x[1:] + x[:-1]) / 2
        super().__init__(InMemoryDataset(x, torch.sin(x)), batch_size, training=training, **options)
