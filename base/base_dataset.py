"""Where samples come from."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset


class BaseDataset(Dataset, ABC):
    """Samples by number: a subclass says how many there are and how to read one."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """One sample, usually the pair (data, target)."""


class InMemoryDataset(BaseDataset):
    """Samples held in two tensors or arrays, (n_samples, ...), which can be read a whole batch at a time.

    transform: called with the data of a batch when it is read: bytes may stay bytes in memory.
    augment: called before it on training data, with draws from [0, 1) for each sample: float32 (batch, n_draws).
    """

    def __init__(self, data: Tensor, target: Tensor, transform: Any = None, augment: Any = None):
        if len(data) != len(target):
            raise ValueError(f"{len(data)} samples but {len(target)} targets")
        self.data, self.target = torch.as_tensor(data), torch.as_tensor(target)
        self.transform, self.augment = transform, augment

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        data, target = self.get_batch(torch.tensor([range(len(self))[index]]))
        return data[0], target[0]

    def get_batch(self, indices: Tensor, draws: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The samples with these indices, as (data, target), each (batch, ...); augmented if there are draws."""
        indices = indices.to(self.data.device)
        data, target = self.data.index_select(0, indices), self.target.index_select(0, indices)
        if draws is not None and self.augment is not None:
            data = self.augment(data, draws)
        return data if self.transform is None else self.transform(data), target

    def to(self, device: torch.device) -> None:
        """Move the samples to the CPU, or to a CUDA GPU if half of its free memory holds them; else they stay."""
        n_bytes = self.data.nbytes + self.target.nbytes
        if device.type == "cpu" or (device.type == "cuda" and n_bytes <= torch.cuda.mem_get_info(device)[0] // 2):
            self.data, self.target = self.data.to(device), self.target.to(device)
