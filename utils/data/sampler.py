"""Which samples are drawn, and in which order."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from utils.seed import derive_seed


class EpochSampler(Sampler):
    """Draws (round, index): the order of an epoch, a pure function of (seed, epoch), the same on every process.

    An epoch is one round over the samples or, with `length`, the next so many samples of them. It counts itself up.

    shuffle: every round in a new order.
    length: samples per epoch; 0: one round.
    labels: the class of each index; draw every class equally often, with replacement. None: each sample once a round.
    """

    def __init__(self, indices: Tensor, shuffle: bool, seed: int, length: int = 0, labels: Tensor | None = None):
        self.indices, self.shuffle, self.seed, self.labels = indices, shuffle, seed, labels
        self.n_samples = len(indices)
        self.length = length or self.n_samples
        self.epoch = 1
        self.start = 0  # how many samples of the epoch to leave out, because they were drawn before

    def next_epoch(self) -> list[tuple[int, Tensor]]:
        """What is left of the epoch: of each round that it touches, the number, from 1, and indices."""
        first, end = (self.epoch - 1) * self.length + self.start, self.epoch * self.length
        self.epoch, self.start = self.epoch + 1, 0
        rounds = []
        while first < end:
            number, offset = divmod(first, self.n_samples)
            indices = self._order(number + 1)[offset : offset + end - first]
            rounds.append((number + 1, indices))
            first += len(indices)
        return rounds

    def _order(self, number: int) -> Tensor:
        """The indices of a whole round."""
        if not self.shuffle:
            return self.indices
        generator = torch.Generator().manual_seed(derive_seed(self.seed, number))
        if self.labels is None:
            return self.indices[torch.randperm(len(self.indices), generator=generator)]
        _, classes, counts = self.labels.unique(return_inverse=True, return_counts=True)
        weights = 1 / counts[classes].double()
        return self.indices[weights.multinomial(len(weights), replacement=True, generator=generator)]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((number, index) for number, indices in self.next_epoch() for index in indices.tolist())

    def __len__(self) -> int:
        return self.length


def class_numbers(dataset: Any, option: str) -> Tensor:
    """A dataset's `target`. Raises ValueError, which names the option that needs it, unless it is class numbers."""
    labels = torch.as_tensor(getattr(dataset, "target", ()))
    if labels.shape != (len(dataset),) or (labels.double() % 1).any():
        raise ValueError(f"{option} needs {type(dataset).__name__}.target, one class number per sample")
    return labels
