"""Batches: tensors in tuples, lists and dicts."""

import copy
import math
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from typing import Any

import torch
from torch import Tensor


def map_tensors(function: Callable[..., Any], batch: Any, *others: Any) -> Any:
    """A batch with `function` of each tensor, and of the others' tensors at its place. Containers keep their class."""
    if isinstance(batch, Tensor):
        return function(batch, *others)
    if isinstance(batch, list | tuple):
        entries = map(partial(map_tensors, function), batch, *others)
        return type(batch)(*entries) if hasattr(batch, "_fields") else type(batch)(entries)
    if isinstance(batch, MutableMapping):
        changed = copy.copy(batch)
        for key in batch:
            changed[key] = map_tensors(function, batch[key], *(other[key] for other in others))
        return changed
    return batch


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device. A copy to a GPU is from pinned memory: the CPU does not wait for it."""
    to_gpu = device.type == "cuda"
    return map_tensors(lambda t: (t.pin_memory() if to_gpu and t.is_cpu else t).to(device, non_blocking=to_gpu), batch)


def to_channels_last(batch: Any) -> Any:
    """A batch whose images, (batch, channels, height, width), have their channels last in memory."""
    return map_tensors(lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t, batch)


def n_samples(batch: Any) -> int:
    """The first dimension of the first tensor that has one."""
    sizes: list[int] = []
    map_tensors(lambda tensor: sizes.extend(tensor.shape[:1]), batch)
    return sizes[0]


def split_batch(batch: Any, part_size: int | None) -> Iterator[tuple[Any, float]]:
    """A batch in parts of at most so many samples, each with its share of them. All else is in every part."""
    n_all = n_samples(batch)
    n_parts = math.ceil(n_all / (part_size or n_all))
    for i in range(n_parts):
        part = slice(i * n_all // n_parts, (i + 1) * n_all // n_parts)
        samples = map_tensors(lambda t, part=part: t[part] if t.shape[:1] == (n_all,) else t, batch)
        yield samples, (part.stop - part.start) / n_all


def cat_batches(batches: list[Any]) -> Any:
    """One batch of several that are nested alike. 0-d tensors become a vector; what is no tensor is the first's."""
    return map_tensors(lambda *tensors: torch.cat(torch.atleast_1d(tensors)), *batches)
