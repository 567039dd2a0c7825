"""Batches: tensors in tuples, lists and dicts."""

import copy
import math
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from typing import Any

import torch
from torch import Tensor


def map_parts(function: Callable[..., Any], batch: Any, *others: Any) -> Any:
    """A tuple, list or dict with `function` of each part in its place, and of the others' parts at the same place.

    A named tuple stays one, and a mapping such as Hugging Face's BatchEncoding keeps its class. Anything else is
    returned as it is.
    """
    if isinstance(batch, (list, tuple)):
        parts = map(function, batch, *others)
        if isinstance(batch, list):
            return list(parts)
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    if isinstance(batch, MutableMapping):
        changed = copy.copy(batch)
        for key in batch:
            changed[key] = function(batch[key], *(other[key] for other in others))
        return changed
    return batch


def map_tensors(function: Callable[..., Any], batch: Any, *others: Any) -> Any:
    """A batch with `function` of each tensor in its place, and of the others' tensors at the same place.

    Anything that is no tensor, such as a file's name, stays.
    """
    if isinstance(batch, Tensor):
        return function(batch, *others)
    return map_parts(partial(map_tensors, function), batch, *others)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device. A copy to a GPU is from pinned memory: the CPU does not wait for it."""
    is_cuda = device.type == "cuda"

    def move(tensor: Tensor) -> Tensor:
        if is_cuda and tensor.is_cpu:
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=is_cuda)  # from a GPU the CPU must wait: it reads what has arrived

    return map_tensors(move, batch)


def to_channels_last(batch: Any) -> Any:
    """A batch whose images, (batch, channels, height, width), have their channels last in memory."""
    return map_tensors(lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t, batch)


def n_samples(batch: Any) -> int:
    """The first dimension of the first tensor that has one."""
    sizes: list[int] = []
    map_tensors(lambda tensor: sizes.extend(tensor.shape[:1]), batch)
    return sizes[0]


def split_batch(batch: Any, part_size: int | None) -> Iterator[tuple[Any, float]]:
    """A batch in as few parts as have at most so many samples, as equal as can be, each with its share of them.

    part_size: None is the whole batch.
    """
    if part_size is None:
        yield batch, 1.0
        return
    n_all = n_samples(batch)
    n_parts = math.ceil(n_all / part_size)
    for i in range(n_parts):
        part = slice(i * n_all // n_parts, (i + 1) * n_all // n_parts)
        yield _samples(batch, part, n_all), (part.stop - part.start) / n_all


def cat_batches(batches: list[Any]) -> Any:
    """One batch of several that are nested alike: what `split_batch` undoes. A number per batch becomes a vector."""
    first, *others = batches
    if isinstance(first, Tensor):
        return torch.cat(torch.atleast_1d(batches)) if others else first
    if _is_flat(first):
        return sum(others, first)
    return map_parts(lambda *parts: cat_batches(parts), *batches)


def _samples(batch: Any, part: slice, n_all: int) -> Any:
    """Some samples of everything in a batch that has one entry per sample."""
    if isinstance(batch, Tensor) and batch.dim() == 0:
        return batch
    if isinstance(batch, Tensor) or _is_flat(batch):
        return batch[part] if len(batch) == n_all else batch
    return map_parts(lambda entry: _samples(entry, part, n_all), batch)


def _is_flat(batch: Any) -> bool:
    """Whether a list or tuple is one of plain values, such as one file name per sample."""
    nested = Tensor | MutableMapping | list | tuple
    return isinstance(batch, list | tuple) and not any(isinstance(entry, nested) for entry in batch)
