"""Where samples come from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from utils.data_errors import sample_error


class BaseDataset(Dataset, ABC):
    """Samples by number: a subclass says how many there are and how to read one."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """One sample, usually the pair (data, target)."""


class InMemoryDataset(BaseDataset):
    """Samples held in two tensors (or NumPy arrays), which can be read a whole batch at a time.

    data: (n_samples, ...), kept in its own dtype, so that bytes stay bytes; target: (n_samples, ...).
    transform: called with the data of a whole batch, (batch, ...), on the way out.
    """

    def __init__(self, data: Tensor, target: Tensor, transform: Callable[[Tensor], Tensor] | None = None):
        if len(data) != len(target):
            raise ValueError(f"{len(data)} samples but {len(target)} targets")
        self.data = torch.as_tensor(data)
        self.target = torch.as_tensor(target)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        data, target = self.get_batch(torch.tensor([range(len(self))[index]]))
        return data[0], target[0]

    def get_batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The samples that a 1-d index tensor names, as (data, target), each (batch, ...)."""
        data = self.data.index_select(0, indices)
        if self.transform is not None:
            try:
                data = self.transform(data)
            except Exception as error:
                raise sample_error(error, self, indices.tolist()) from error
        return data, self.target.index_select(0, indices)
