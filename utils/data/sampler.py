"""In which order samples are drawn."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from utils.parallel import rank, world_size
from utils.seed import derive_seed


class EpochSampler(Sampler):
    """The order of an epoch, a pure function of (seed, epoch), of which each process takes its share.

    Passes over the samples follow each other without end, each in an order drawn from the seed and its number. An epoch
    is one pass or, with `length`, the next so many samples; where it lies in the row of passes follows from its number.

    indices: the samples to draw from.
    shuffle: every pass in a new order, and every process gets equally many samples (a few are left out). Without,
        passes are alike, and every sample is some process's.
    length: samples per epoch and process; None: one pass.
    weights: one per index; draw with replacement, each index in proportion to its weight. None: each once a pass.
    keyed: name a sample (pass, index) instead of index, which is what a SeededDataset reads.

    Counts up `epoch` by itself after every pass, so that a loop written by hand sees a new order each time.
    """

    def __init__(
        self,
        indices: Tensor,
        shuffle: bool,
        seed: int,
        *,
        length: int | None = None,
        weights: Tensor | None = None,
        keyed: bool = False,
    ):
        self.indices = indices
        self.shuffle = shuffle
        self.seed = seed
        self.weights = weights
        self.keyed = keyed
        self.rank, self.world_size = rank(), world_size()
        n = len(indices)
        self.n_samples = n // self.world_size if shuffle else len(range(self.rank, n, self.world_size))
        self.length = self.n_samples if length is None else length
        in_order = not shuffle and self.world_size == 1 and torch.equal(indices, torch.arange(n) + indices[0])
        self.first = int(indices[0]) if in_order else None  # the first of consecutive indices
        self.epoch = 1
        self.start = 0

    def take(self) -> range:
        """The places, in the row of passes, that are left of the epoch; the next call gives the next epoch's."""
        epoch, start = self.epoch, self.start
        self.epoch, self.start = epoch + 1, 0
        return range((epoch - 1) * self.length + start, epoch * self.length)

    def passes(self, places: range) -> Iterator[tuple[int, Tensor]]:
        """The samples at some places: for each pass that they touch, its number, from 1, and indices."""
        while places:
            number, offset = divmod(places.start, self.n_samples)
            indices = self._order(number + 1)[offset : offset + len(places)]
            yield number + 1, indices
            places = places[len(indices) :]

    def as_slice(self, places: range) -> slice | None:
        """The samples at some places as a slice of the dataset; None if they do not follow each other there."""
        offset = places.start % self.n_samples
        if self.first is None or offset + len(places) > self.n_samples:
            return None
        return slice(self.first + offset, self.first + offset + len(places))

    def _order(self, number: int) -> Tensor:
        """This process's share of a whole pass."""
        if not self.shuffle:
            return self.indices[self.rank :: self.world_size]
        generator = torch.Generator().manual_seed(derive_seed(self.seed, number))
        n = len(self.indices)
        if self.weights is None:
            order = torch.randperm(n, generator=generator)
        else:
            order = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        return self.indices[order][self.rank : self.n_samples * self.world_size : self.world_size]

    def __iter__(self) -> Iterator[int | tuple[int, int]]:
        for number, indices in self.passes(self.take()):
            for index in indices.tolist():
                yield (number, index) if self.keyed else index

    def __len__(self) -> int:
        return self.length
