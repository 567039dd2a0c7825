"""Batches: tensors in tuples, lists and dicts."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor


def map_tensors(function: Callable[..., Any], batch: Any, *others: Any) -> Any:
    """A batch with `function` of each tensor, and of the others' tensors at its place. Containers keep their class."""
    if isinstance(batch, Tensor):
        return function(batch, *others)
    return _map_entries(partial(map_tensors, function), batch, *others)


def _map_entries(function: Callable[..., Any], batch: Any, *others: Any) -> Any:
    if isinstance(batch, list | tuple):
        entries = map(function, batch, *others)
        return type(batch)(*entries) if hasattr(batch, "_fields") else type(batch)(entries)
    if isinstance(batch, MutableMapping):
        changed = copy.copy(batch)
        for key in batch:
            changed[key] = function(batch[key], *(other[key] for other in others))
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
    """A batch in parts of at most so many samples, each with its share of them."""
    if not part_size:
        yield batch, 1.0
        return
    n_all = n_samples(batch)
    n_parts = math.ceil(n_all / part_size)
    for i in range(n_parts):
        part = slice(i * n_all // n_parts, (i + 1) * n_all // n_parts)
        yield _samples(batch, part, n_all), (part.stop - part.start) / n_all


def cat_batches(batches: Sequence[Any]) -> Any:
    """One batch of several that are nested alike. 0-d tensors become a vector."""
    first, *others = batches
    if isinstance(first, Tensor):
        return torch.cat(torch.atleast_1d(list(batches)))
    if _is_flat(first):
        return sum(others, first)
    return _map_entries(lambda *parts: cat_batches(parts), *batches)


def _samples(batch: Any, part: slice, n_all: int) -> Any:
    if isinstance(batch, Tensor) or _is_flat(batch):
        has_all = batch.shape[:1] == (n_all,) if isinstance(batch, Tensor) else len(batch) == n_all
        return batch[part] if has_all else batch
    return _map_entries(lambda entry: _samples(entry, part, n_all), batch)


def _is_flat(batch: Any) -> bool:
    """Whether a list or tuple is one of plain values, such as a file name for each sample."""
    return isinstance(batch, list | tuple) and not any(isinstance(e, Tensor | Mapping | list | tuple) for e in batch)
