"""Batches: tensors in tuples, lists and dicts."""

import copy
import math
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import torch
from torch import Tensor


def map_parts(function: Callable[[Any], Any], batch: Any) -> Any:
    """A tuple, list or dict with `function` of each part in the part's place; anything else is returned as it is.

    A named tuple stays one, and a mapping such as Hugging Face's BatchEncoding keeps its class.
    """
    if isinstance(batch, MutableMapping):
        changed = copy.copy(batch)
        changed.update({key: function(value) for key, value in batch.items()})
        return changed
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(function, batch))
    return [function(part) for part in batch] if isinstance(batch, list | tuple) else batch


def map_tensors(function: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """A batch with `function` of each tensor in the tensor's place; anything else, such as a file's name, stays."""
    if isinstance(batch, Tensor):
        return function(batch)
    return map_parts(lambda part: map_tensors(function, part), batch)


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
    """The first dimension of the first tensor that has one."""
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        sizes.extend(tensor.shape[:1])
        return tensor

    map_tensors(note, batch)
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
    if isinstance(batch, list | tuple) and len(batch) == n_all and not any(map(_holds_parts, batch)):
        return batch[part]  # one entry per sample, such as file names
    return map_parts(lambda entry: _samples(entry, part, n_all), batch)


def _holds_parts(entry: Any) -> bool:
    return isinstance(entry, Tensor | MutableMapping | list | tuple)
