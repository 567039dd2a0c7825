"""How many CPU threads are worth their while."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

# Multiplications of a step's forward pass. A second thread makes LeNet's step (batch 128: 55 million) faster and that
# of small networks on vectors slower (the default config: 5 million).
WORTH = 20_000_000
PLAIN = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
OF_SEQUENCES = nn.RNNBase | nn.MultiheadAttention
logger = logging.getLogger(__name__)


@contextmanager
def using_threads(n_threads: int | None) -> Iterator[None]:
    """Use so many CPU threads inside the block, or, for None, as many as before until told otherwise."""
    before = torch.get_num_threads()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def choosing_threads(model: nn.Module) -> Iterator[None]:
    """Set the number of CPU threads by the work of the training step made inside the block.

    To 1, or to as many as torch uses now. The work is the multiplications of the layers named above. Counted, not
    timed: the number of threads changes how sums are rounded, and the same run shall give the same result whatever else
    the machine is doing.
    """
    if torch.get_num_threads() == 1:
        yield
        return
    counted = 0

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal counted
        counted += n_multiplications(layer, output)

    kinds = PLAIN | TRANSPOSED | OF_SEQUENCES
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    if counted < WORTH:
        torch.set_num_threads(1)
    logger.info("CPU threads: %d, chosen by the work of a step.", torch.get_num_threads())


def n_multiplications(layer: nn.Module, output: Any) -> int:
    """Those of a layer's forward pass, about: each number of a weight is used once for each place of the output."""
    if isinstance(layer, OF_SEQUENCES):
        sequence = output[0].data if isinstance(output[0], PackedSequence) else output[0]
        n_places = sequence.numel() // sequence.shape[-1]
        return n_places * sum(p.numel() for p in layer.parameters() if p.dim() > 1)
    if isinstance(layer, TRANSPOSED):  # the places of the input, of which there are fewer
        return output.numel() // layer.out_channels // math.prod(layer.stride) * layer.weight.numel()
    return output.numel() * layer.weight[0].numel()
