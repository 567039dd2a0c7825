"""Batches on the device where the model is."""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from utils.data.batch import map_tensors, to_device


def prefetch(batches: Iterable[Any], device: torch.device) -> Iterable[Any]:
    """The same batches on a device. To a GPU, each is copied while the one before is worked on."""
    return batches if device.type == "cpu" else _copy_ahead(batches, device)


def _copy_ahead(batches: Iterable[Any], device: torch.device) -> Iterator[Any]:
    """Copies run on a stream of their own; the stream of the computation waits for no copy but its batch's."""
    stream, side_stream = torch.cuda.current_stream(device), _side_stream(device)

    def start_copy(batch: Any) -> tuple[Any, torch.cuda.Event]:
        with torch.cuda.stream(side_stream):
            return to_device(batch, device), side_stream.record_event()

    for batch, copied in read_ahead(map(start_copy, batches)):
        stream.wait_event(copied)
        map_tensors(
            lambda tensor: tensor.record_stream(stream) or tensor, batch
        )  # else its memory could be reused too early
        yield batch


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """The same one in every epoch: torch keeps the memory that a stream has freed for that stream."""
    return torch.cuda.Stream(device)


def read_ahead(items: Iterable[Any]) -> Iterator[Any]:
    """The same items, each handed out after the one behind it was read."""
    waiting = []
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting
