"""In which order samples are drawn."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from utils.parallel import rank, world_size
from utils.seed import derive_seed


class EpochSampler(Sampler):
    """Draws (round, index): the order of an epoch, a pure function of (seed, epoch), of which each process has a share.

    Rounds over the samples follow each other without end, each in an order drawn from the seed and its number. An
    epoch is one round or, with `length`, the next so many samples of them. `epoch` counts itself up.

    indices: the samples to draw from.
    shuffle: every round in a new order, and every process gets equally many samples (a few are left out). Without,
        rounds are alike, and every sample is some process's.
    length: samples per epoch and process; None: one round.
    weights: one per index; draw with replacement, each index in proportion to its weight. None: each once a round.
    """

    def __init__(
        self, indices: Tensor, shuffle: bool, seed: int, length: int | None = None, weights: Tensor | None = None
    ):
        self.indices, self.weights = indices, weights
        self.shuffle = shuffle
        self.seed = seed
        self.rank, self.world_size = rank(), world_size()
        n = len(indices)
        self.n_samples = n // self.world_size if shuffle else len(range(self.rank, n, self.world_size))
        self.length = self.n_samples if length is None else length
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
        """This process's share of a whole round."""
        if not self.shuffle:
            return self.indices[self.rank :: self.world_size]
        generator, n = torch.Generator().manual_seed(derive_seed(self.seed, number)), len(self.indices)
        if self.weights is None:
            order = torch.randperm(n, generator=generator)
        else:
            order = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        return self.indices[order][self.rank : self.n_samples * self.world_size : self.world_size]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((number, index) for number, indices in self.next_epoch() for index in indices.tolist())

    def __len__(self) -> int:
        return self.length
