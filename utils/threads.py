"""How many CPU threads are worth their while."""

import torch

# A second thread makes LeNet's step (batch 128) faster and that of small networks on vectors slower: between the two.
WORTH_FLOPS = 1e8


def choose_threads(n_flops: int) -> int:
    """1, or as many threads as torch uses now, by the floating point operations of a training step.

    Counted, not timed: the number of threads changes how sums are rounded, and the same run shall give the same result
    whatever else the machine is doing.
    """
    return torch.get_num_threads() if n_flops >= WORTH_FLOPS else 1
