"""Samples that are read one by one: each with random numbers of its own, and named if it cannot be read."""

import random
import traceback
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from utils.errors import UserError
from utils.seed import derive_seed, random_state, set_random_state


class SeededDataset(Dataset):
    """Gives every sample random numbers of its own, drawn from (seed, epoch, index).

    So an augmented sample does not depend on the number of workers or on where a run was interrupted.
    `dataset` is the dataset it reads, as in torch's Subset.
    """

    def __init__(self, dataset: Dataset, seed: int):
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Any:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[Any]:
        """The samples of a batch; torch's DataLoader asks for them all at once."""
        in_worker = torch.utils.data.get_worker_info() is not None
        outside = None if in_worker else random_state()  # a worker's own random state is used for nothing else
        samples = [self._draw(epoch, index) for epoch, index in keys]
        if not in_worker:
            set_random_state(outside)
        return samples

    def _draw(self, epoch: int, index: int) -> Any:
        seed = derive_seed(self.seed, epoch, index)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        try:
            return self.dataset[index]
        except Exception as error:
            raise _sample_error(error, self.dataset, index) from error


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
