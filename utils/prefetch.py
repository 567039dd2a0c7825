"""Batches on the device where the model is."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors, also those in lists, tuples and dicts, on a device.

    A copy to a GPU is made from pinned memory, so that the CPU does not wait for it.
    """

    def move(tensor: Tensor) -> Tensor:
        if device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    return map_tensors(move, batch)


def map_tensors(function: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """A batch with `function` of each tensor in the tensor's place; anything else, such as a file's name, stays."""
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, dict):
        return {key: map_tensors(function, value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [map_tensors(function, part) for part in batch]
    return batch


def prefetch(batches: Iterable[Any], device: torch.device) -> Iterable[Any]:
    """The same batches on a device. To a GPU, each is copied while the one before is worked on."""
    return batches if device.type == "cpu" else _copy_ahead(batches, device)


def _copy_ahead(batches: Iterable[Any], device: torch.device) -> Iterator[Any]:
    """Copies run on a stream of their own; the stream of the computation waits for no copy but its batch's."""
    stream, side_stream = torch.cuda.current_stream(device), torch.cuda.Stream(device)

    def start_copy(batch: Any) -> tuple[Any, torch.cuda.Event]:
        with torch.cuda.stream(side_stream):
            return to_device(batch, device), side_stream.record_event()

    for batch, copied in read_ahead(map(start_copy, batches)):
        stream.wait_event(copied)
        map_tensors(lambda tensor: tensor.record_stream(stream), batch)  # else its memory could be reused too early
        yield batch


def read_ahead(items: Iterable[Any]) -> Iterator[Any]:
    """The same items, each handed out after the one behind it was read."""
    waiting = []
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting
