"""How many CPU threads are worth their while."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# A second thread makes LeNet's step (batch 128) faster and that of small networks on vectors slower: between the two.
WORTH_FLOPS = 1e8
logger = logging.getLogger(__name__)


@contextmanager
def choosing_threads(device: torch.device) -> Iterator[None]:
    """Set the number of CPU threads by the floating point operations of the training step made inside the block.

    To 1, or to as many as torch uses now. Counted, not timed: the number of threads changes how sums are rounded, and
    the same run shall give the same result whatever else the machine is doing.
    """
    if device.type != "cpu" or torch.get_num_threads() == 1:
        yield
        return
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _lstm_flops}) as counter:
        yield
    if counter.get_total_flops() < WORTH_FLOPS:
        torch.set_num_threads(1)
    logger.info("Training with %d CPU threads, chosen by the work of a step (threads).", torch.get_num_threads())


def _lstm_flops(x: Any, input_weight: Any, hidden_weight: Any, *_: Any, **__: Any) -> int:
    """Those of an LSTM's layer, forward and backward, from the shapes; torch's counter does not know it."""
    n_steps, n_samples, _ = x
    return 3 * 2 * n_steps * n_samples * (math.prod(input_weight) + math.prod(hidden_weight))
