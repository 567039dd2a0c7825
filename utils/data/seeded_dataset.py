"""Samples that are read one by one: each with random numbers of its own, and named if it cannot be read."""

import random
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from utils.errors import UserError
from utils.seed import derive_seed, random_state, set_random_state


class SeededDataset(Dataset):
    """Reads batches of another dataset's samples, and gives every sample random numbers of its own.

    They are drawn from (seed, epoch, index), those of `collate_fn` follow the last sample's. So a batch does not depend
    on the number of workers, on what is read ahead, or on where a run was interrupted.

    dataset: the dataset it reads, as in torch's Subset.
    collate_fn: makes a batch of a list of samples.
    """

    def __init__(self, dataset: Dataset, seed: int, collate_fn: Callable[[list[Any]], Any] = default_collate):
        self.dataset = dataset
        self.seed = seed
        self.collate_fn = collate_fn

    def __getitems__(self, keys: list[tuple[int, int]]) -> Any:
        """The batch of the samples with these (epoch, index); torch's DataLoader asks for them all at once."""
        in_worker = torch.utils.data.get_worker_info() is not None
        outside = None if in_worker else random_state()  # a worker's own random state is used for nothing else
        batch = self._collate([self._draw(epoch, index) for epoch, index in keys], [index for _, index in keys])
        if not in_worker:
            set_random_state(outside)
        return batch

    def _draw(self, epoch: int, index: int) -> Any:
        seed = derive_seed(self.seed, epoch, index + 1)  # with a 0 it would be that of the epoch's order
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        try:
            return self.dataset[index]
        except Exception as error:
            raise _sample_error(error, self.dataset, index) from error

    def _collate(self, samples: list[Any], indices: list[int]) -> Any:
        try:
            return self.collate_fn(samples)
        except UserError as error:
            raise UnreadableSample(str(error)) from error
        except Exception as error:
            unlike = _name_what_is_unlike(samples, indices) if self.collate_fn is default_collate else None
            if unlike is None:
                raise
            raise UnreadableSample(f"{type(self.dataset).__name__}: {unlike}") from error


class SampleError(RuntimeError):
    """A dataset's code failed at a sample: a bug, which keeps its traceback."""


class UnreadableSample(UserError):
    """A sample that the person at the keyboard can mend, such as a file they may not read."""

    def __init__(self, text: str):
        # torch makes a worker's exception anew in the main process, of the traceback's text, which ends with ours
        super().__init__(text.rpartition(f"{type(self).__name__}: ")[2].strip())


def _sample_error(error: Exception, dataset: Any, index: int) -> SampleError | UnreadableSample:
    """The error to raise from `error`: its one line says which sample of the dataset was read, and the cause."""
    which = f"sample {index} of {type(dataset).__name__}"
    if isinstance(error, UserError | PermissionError):
        return UnreadableSample(f"{which}: {error}")
    cause = " ".join(traceback.format_exception_only(error)[-1].split())
    return SampleError(f"{which}: {cause}")


def _name_what_is_unlike(samples: list[Any], indices: list[int]) -> str | None:
    """Which sample is unlike most others, and how; None if all are alike."""
    kinds = [str(_kind(sample)) for sample in samples]
    usual = Counter(kinds).most_common(1)[0][0]
    odd = next((i for i, kind in enumerate(kinds) if kind != usual), None)
    if odd is None:
        return None
    return (
        f"sample {indices[odd]} is {kinds[odd]}, sample {indices[kinds.index(usual)]} is {usual}; make them alike, "
        "or give the data loader a collate_fn that can make a batch of both"
    )


def _kind(part: Any) -> Any:
    """A sample with each tensor's, or array's, shape and each other thing's type in its place."""
    if isinstance(part, Tensor | np.ndarray):
        return list(part.shape)
    if isinstance(part, Mapping):
        return {key: _kind(value) for key, value in part.items()}
    return [_kind(entry) for entry in part] if isinstance(part, list | tuple) else type(part).__name__
