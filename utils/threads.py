"""How many CPU threads are worth their while."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

# Multiplications of a step's forward pass. A second thread makes LeNet's step (batch 128: 55 million) faster and that
# of small networks on vectors slower (the default config: 5 million).
WORTH = 20_000_000
logger = logging.getLogger(__name__)


def choose_threads(model: nn.Module, use: Callable[[int], None]) -> None:
    """Call `use` with the number of CPU threads for a model: 1, or as many as torch uses now if there is work for them.

    The work is the multiplications of the linear, convolutional and recurrent layers in the model's next forward pass,
    at the end of which `use` is called. Counted, not timed: the number of threads changes how sums are rounded, and the
    same run shall give the same result whatever else the machine is doing.
    """
    if torch.get_num_threads() == 1:
        use(1)
        return
    counted: list[int] = []

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        counted.append(n_multiplications(layer, output))

    def choose(*_: Any) -> None:
        for hook in hooks:
            hook.remove()
        n_threads = torch.get_num_threads() if sum(counted) >= WORTH else 1
        logger.info("CPU threads: %d, chosen by the work of a step.", n_threads)
        use(n_threads)

    kinds = nn.Linear | nn.Conv1d | nn.Conv2d | nn.RNNBase
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    hooks.append(model.register_forward_hook(choose))


def n_multiplications(layer: nn.Module, output: Any) -> int:
    """Those of a layer's forward pass, about: each number of a weight is used once for each place of the output."""
    if isinstance(layer, nn.RNNBase):
        sequence = output[0].data if isinstance(output[0], PackedSequence) else output[0]
        n_places = sequence.numel() // sequence.shape[-1]
        return n_places * sum(p.numel() for p in layer.parameters() if p.dim() > 1)
    return output.numel() * layer.weight[0].numel()
