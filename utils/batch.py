"""Batches: tensors in tuples, lists and dicts."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """A batch with `function` of each tensor in the tensor's place; anything else, such as a file's name, stays."""
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, dict):
        return {key: map_tensors(function, value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [map_tensors(function, part) for part in batch]
    return batch


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device. A copy to a GPU is from pinned memory: the CPU does not wait for it."""

    def move(tensor: Tensor) -> Tensor:
        if device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=device.type == "cuda")  # the CPU must not read what is yet to arrive

    return map_tensors(move, batch)


def to_channels_last(batch: Any) -> Any:
    """A batch whose images, (batch, channels, height, width), have their channels last in memory."""
    return map_tensors(lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t, batch)


def n_samples(batch: Any) -> int:
    """The first dimension of the first tensor."""
    sizes: list[int] = []
    map_tensors(lambda tensor: sizes.append(len(tensor)) or tensor, batch)
    return sizes[0]


def split_batch(batch: Any, part_size: int) -> Iterator[tuple[Any, float]]:
    """A batch in as few parts as have at most so many samples, as equal as can be, each with its share of them."""
    n_all = n_samples(batch)
    n_parts = math.ceil(n_all / part_size)
    for i in range(n_parts):
        part = slice(i * n_all // n_parts, (i + 1) * n_all // n_parts)
        yield _samples(batch, part, n_all), (part.stop - part.start) / n_all


def _samples(batch: Any, part: slice, n_all: int) -> Any:
    """Some samples of everything in a batch that has one entry per sample."""
    if isinstance(batch, Tensor):
        return batch[part] if batch.dim() > 0 and len(batch) == n_all else batch
    if isinstance(batch, dict):
        return {key: _samples(value, part, n_all) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        is_column = len(batch) == n_all and not any(isinstance(entry, Tensor | dict | list | tuple) for entry in batch)
        return batch[part] if is_column else [_samples(entry, part, n_all) for entry in batch]
    return batch
