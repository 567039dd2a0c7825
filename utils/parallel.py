"""Where this process stands among the processes of one run. A process on its own is rank 0 of 1."""

import torch
import torch.distributed as dist


def rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def largest(number: int) -> int:
    """The largest of all processes' numbers. Every process has to ask, at the same point of its work."""
    if world_size() == 1:
        return number
    common = torch.tensor(number, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(common, dist.ReduceOp.MAX)
    return int(common)
