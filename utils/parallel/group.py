"""Where this process stands among the processes of one run, and what they tell each other.

A process on its own is rank 0 of 1. What needs an answer of the others is called by all, at the same point.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank() -> int:
    """This process's number; 0 is the one that writes files and speaks."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_share(samples: Any, rank: int, world_size: int) -> Any:
    """A process's samples of a batch. Where they are too few for all, it gets every one, and they weigh nothing."""
    if samples is None or world_size == 1 or rank >= len(samples):
        return samples
    size, n_larger = divmod(len(samples), world_size)
    start = rank * size + min(rank, n_larger)
    return samples[start : start + size + (rank < n_larger)]


def gather(value: Any) -> list[Any]:
    """Everyone's value, in the order of the ranks. Tensors have to be on the CPU."""
    values = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(values, value)
    return values


def from_main(value: Any) -> Any:
    """Rank 0's value."""
    return gather(value)[0]


def on_main(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, called by rank 0 alone; all get what it returns."""
    return lambda *args: from_main(function(*args) if rank() == 0 else None)


def largest(number: int) -> int:
    """The largest of everyone's numbers."""
    if world_size() == 1:
        return number
    common = torch.tensor(number)
    dist.all_reduce(common, dist.ReduceOp.MAX)
    return int(common)


def whole(state: Any) -> Any:
    """A state with whole tensors, where each process holds some rows of them (FSDP). Only rank 0 gets it."""
    if isinstance(state, dict):
        parts = {key: whole(value) for key, value in state.items()} if world_size() > 1 else state
        return parts if rank() == 0 else None
    if not hasattr(state, "full_tensor"):
        return state
    tensor = state.full_tensor()
    return tensor.cpu() if rank() == 0 else None


def joined(tensor: Any) -> Any:
    """A tensor; one whose rows each process has saved for itself, as a list of them in the order of the ranks."""
    return torch.cat(tensor) if isinstance(tensor, list) else tensor


def spread(tensor: Tensor, like: Any) -> Tensor:
    """A whole tensor, or this process's rows of it, as `like` is spread over the processes."""
    if not hasattr(like, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor  # half a second to import

    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
