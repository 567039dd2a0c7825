"""Random numbers for each sample that is read one by one."""

import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from utils.data_errors import sample_error
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
            raise sample_error(error, self.dataset, index) from error
