"""How many CPU threads are worth their while."""

from typing import Any

import torch
from torch import Tensor, nn

# A second thread makes LeNet's step (batch 128: 55 million) faster and that of small networks on vectors slower (the
# default config: 5 million).
WORTH = 20_000_000


class WorkCounter:
    """Counts the multiplications of a model's linear and convolutional layers inside a `with` block."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.n = 0

    def __enter__(self) -> "WorkCounter":
        layers = (layer for layer in self.model.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d))
        self._hooks = [layer.register_forward_hook(self._count) for layer in layers]
        return self

    def __exit__(self, *exception: Any) -> None:
        for hook in self._hooks:
            hook.remove()

    def _count(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        self.n += output.numel() * layer.weight[0].numel()


def choose_threads(n_multiplications: int) -> int:
    """1, or as many threads as torch uses now, by the multiplications of a training step's forward pass.

    Counted, not timed: the number of threads changes how sums are rounded, and the same run shall give the same result
    whatever else the machine is doing.
    """
    return torch.get_num_threads() if n_multiplications >= WORTH else 1
