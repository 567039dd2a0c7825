"""A second model, whose weights change more slowly and often generalize better."""

import copy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """average = decay average + (1 - decay) weights, after each step; after the first, the weights.

    `model` holds the average, of buffers too; those of integers, such as tables of positions, are copied. torch's
    AveragedModel averages these and, on a GPU, waits at each step for the number of steps.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model)
        self._average = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update(self, model: nn.Module, is_first: bool) -> None:
        """Take in a model's weights after a step."""
        averages, weights = [], []
        for average, weight in zip(_tensors(self.model), _tensors(model), strict=True):
            if is_first or not (average.is_floating_point() or average.is_complex()):
                average.copy_(weight)
            else:
                averages.append(average)
                weights.append(weight)
        if averages:
            self._average(averages, weights, None)


def _tensors(model: nn.Module) -> chain[Tensor]:
    return chain(model.parameters(), model.buffers())
