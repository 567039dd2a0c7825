"""Samples that are read one by one: each with random numbers of its own, and named if it cannot be read."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from utils.errors import UserError
from utils.seed import derive_seed, random_state, set_random_state


class SeededDataset(Dataset):
    """Reads batches of another dataset's samples, and gives every sample random numbers of its own.

    They are drawn from (seed, round, index), those of `collate_fn` follow the last sample's. So a batch does not depend
    on the number of workers, on what is read ahead, or on where a run was interrupted.

    dataset: the dataset it reads, as in torch's Subset.
    collate_fn: makes a batch of a list of samples.
    """

    def __init__(self, dataset: Dataset, seed: int, collate_fn: Callable[[list[Any]], Any]):
        self.dataset = dataset
        self.seed = seed
        self.collate_fn = collate_fn

    def __getitems__(self, keys: list[tuple[int, int]]) -> Any:
        """The batch of the samples with these (round, index); torch's DataLoader asks for them all at once.

        Returns a UserError, for the main process to raise, when a file cannot be read or a dataset raises one: of an
        error that a worker raises, torch leaves only the traceback's text.
        """
        before = random_state()
        try:
            samples = [self._read(number, index) for number, index in keys]
            with self._naming(f"samples {[index for _, index in keys]}"):
                return self.collate_fn(samples)
        except (UserError, OSError) as error:
            return UserError(f"{error} ({error.__notes__[-1]})")
        finally:
            set_random_state(before)

    def _read(self, number: int, index: int) -> Any:
        seed = derive_seed(self.seed, number, index + 1)  # with a 0 it would be that of the round's order
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        with self._naming(f"sample {index}"):
            return self.dataset[index]

    @contextmanager
    def _naming(self, samples: str) -> Iterator[None]:
        """Inside the block, an error says which samples of the dataset it is about."""
        try:
            yield
        except Exception as error:
            error.add_note(f"{samples} of {type(self.dataset).__name__}")
            raise
