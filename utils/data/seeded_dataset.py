"""Samples that are read one by one: each with random numbers of its own, and named if it cannot be read."""

import random
from collections.abc import Callable
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
    """

    def __init__(self, dataset: Dataset, seed: int, collate_fn: Callable[[list[Any]], Any]):
        self.dataset = dataset
        self.seed = seed
        self.collate_fn = collate_fn

    def __getitems__(self, keys: list[tuple[int, int]]) -> Any:
        """The batch of the samples with these (round, index); torch's DataLoader asks for them all at once.

        Returns a UserError, for the main process to raise, if a file cannot be read or the dataset raises one: of an
        error that a worker raises, torch keeps only the traceback's text.
        """
        before, samples, which = random_state(), [], ""
        try:
            for number, index in keys:
                which = f"sample {index}"
                seed = derive_seed(self.seed, number, index + 1)  # with a 0 it would be that of the round's order
                random.seed(seed)
                np.random.seed(seed % 2**32)
                torch.default_generator.manual_seed(seed)
                samples.append(self.dataset[index])
            which = f"samples {[index for _, index in keys]}"
            return self.collate_fn(samples)
        except Exception as error:
            error.add_note(f"{which} of {type(self.dataset).__name__}")
            if isinstance(error, UserError | OSError):
                return UserError(f"{error} ({error.__notes__[-1]})")
            raise
        finally:
            set_random_state(before)
