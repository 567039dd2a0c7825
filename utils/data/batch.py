"""Batches: tensors in tuples, lists and dicts."""

import copy
import math
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from typing import Any

import torch
from torch import Tensor


def map_tensors(function: Callable[..., Any], batch: Any, *others: Any) -> Any:
    """A batch with `function` of each tensor in its place, and of the others' tensors at the same place.

    A named tuple stays one, and a mapping such as Hugging Face's BatchEncoding keeps its class. Anything that is no
    tensor, such as a file's name, stays.
    """
    if isinstance(batch, Tensor):
        return function(batch, *others)
    return _map_entries(partial(map_tensors, function), batch, *others)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device. A copy to a GPU is from pinned memory: the CPU does not wait for it."""
    if device.type != "cuda":
        return map_tensors(lambda tensor: tensor.to(device), batch)
    return map_tensors(lambda t: (t.pin_memory() if t.is_cpu else t).to(device, non_blocking=True), batch)


def to_channels_last(batch: Any) -> Any:
    """A batch whose images, (batch, channels, height, width), have their channels last in memory."""
    return map_tensors(lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t, batch)


def n_samples(batch: Any) -> int:
    """The first dimension of the first tensor that has one."""
    sizes: list[int] = []
    map_tensors(lambda tensor: sizes.extend(tensor.shape[:1]), batch)
    return sizes[0]


def split_batch(batch: Any, part_size: int | None) -> Iterator[tuple[Any, float]]:
    """A batch in as few parts as have at most so many samples, as equal as can be, each with its share of them."""
    if part_size is None:
        yield batch, 1.0
        return
    n_all = n_samples(batch)
    n_parts = math.ceil(n_all / part_size)
    for i in range(n_parts):
        part = slice(i * n_all // n_parts, (i + 1) * n_all // n_parts)
        yield _samples(batch, part, n_all), (part.stop - part.start) / n_all


def cat_batches(batches: list[Any]) -> Any:
    """One batch of several that are nested alike. 0-d tensors become a vector; what is no tensor is the first's."""
    if len(batches) == 1:
        return batches[0]
    return map_tensors(lambda *tensors: torch.cat(torch.atleast_1d(tensors)), *batches)


def _samples(batch: Any, part: slice, n_all: int) -> Any:
    """Some samples of everything in a batch that has one entry per sample."""
    if isinstance(batch, Tensor):
        return batch[part] if batch.dim() > 0 and len(batch) == n_all else batch
    nested = (Tensor, list, tuple, MutableMapping)
    if isinstance(batch, list | tuple) and len(batch) == n_all and not any(isinstance(e, nested) for e in batch):
        return batch[part]  # plain values, such as file names
    return _map_entries(lambda entry: _samples(entry, part, n_all), batch)


def _map_entries(function: Callable[..., Any], batch: Any, *others: Any) -> Any:
    """A tuple, list or dict with `function` of each entry, and of the others' at the same place; else it stays."""
    if isinstance(batch, list | tuple):
        entries = map(function, batch, *others)
        return type(batch)(*entries) if hasattr(batch, "_fields") else type(batch)(entries)
    if isinstance(batch, MutableMapping):
        changed = copy.copy(batch)
        for key in batch:
            changed[key] = function(batch[key], *(other[key] for other in others))
        return changed
    return batch
