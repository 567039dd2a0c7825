"""How samples become batches."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from base.base_dataset import InMemoryDataset
from utils.data import (
    EpochSampler,
    SeededDataset,
    balancing_weights,
    class_numbers,
    end_at_exit,
    leave_signals_to_main,
    prefetch,
    raise_if_killed,
    split_indices,
    to_device,
)
from utils.seed import derive_seed


class BaseDataLoader(DataLoader):
    """A torch DataLoader that splits off validation data and whose order is a pure function of (seed, epoch).

    dataset: any map-style dataset; an `InMemoryDataset` is read a batch at a time, without workers.
    batch_size: samples per batch and process.
    shuffle: a new order every epoch.
    validation_split: the share (float below 1) or number (int) of samples that `split_validation()` hands out.
    num_workers: processes that read samples; the batches are the same for every number of them.
    stratify: keep the classes' proportions in the split; needs one class number per sample in `dataset.target`.
    balanced: draw every class equally often, on average: with replacement, rare classes' samples more often. Needs
        class numbers as `stratify` does, and `shuffle`.
    len_epoch: an epoch is exactly so many batches, all of batch_size, wherever that is in the samples: the next epoch
        goes on there, and each pass over the samples has an order of its own. None: an epoch is one pass.
    drop_last: leave out a last batch that is smaller than the others.
    training: False for the test split: every sample once, in a fixed order, not augmented, whatever the rest says.
    eval_dataset: the same samples, read as for evaluation (no augmentation); by default `dataset` itself.
    indices: the samples to use; by default all.
    collate_fn: makes a batch of a list of samples that are read one by one.

    The seed is the one of torch when the loader is made: `torch.manual_seed(seed)` sets it.
    A batch of an unshuffled pass may be a view of the data in memory: do not change it in place.
    Raises ValueError for an empty dataset or an argument out of range.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        shuffle: bool = True,
        validation_split: float | int = 0.0,
        num_workers: int = 0,
        *,
        stratify: bool = False,
        balanced: bool = False,
        len_epoch: int | None = None,
        drop_last: bool = False,
        training: bool = True,
        eval_dataset: Dataset | None = None,
        indices: Tensor | None = None,
        collate_fn: Callable = default_collate,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        if len_epoch is not None and len_epoch < 1:
            raise ValueError(f"len_epoch is {len_epoch}; it must be at least 1")
        if balanced and not shuffle:
            raise ValueError("balanced draws samples at random; it needs shuffle")
        indices = torch.arange(len(dataset)) if indices is None else indices
        if len(indices) == 0:
            raise ValueError("the dataset is empty")
        if not training:
            shuffle, validation_split, drop_last, balanced, len_epoch = False, 0.0, False, False, None
        indices, self.valid_indices = split_indices(
            indices, validation_split, class_numbers(dataset, "stratify") if stratify else None
        )

        self.training = training
        self.samples = dataset
        self.eval_dataset = dataset if eval_dataset is None else eval_dataset
        self.in_memory = isinstance(dataset, InMemoryDataset)
        self.make_batch = collate_fn
        self.seed = torch.initial_seed()
        self.device = torch.device("cpu")
        super().__init__(
            dataset if self.in_memory else SeededDataset(dataset, self.seed, collate_fn),
            batch_size,
            sampler=EpochSampler(
                indices,
                shuffle,
                self.seed,
                length=None if len_epoch is None else len_epoch * batch_size,
                weights=balancing_weights(class_numbers(dataset, "balanced")[indices]) if balanced else None,
                keyed=not self.in_memory,
            ),
            num_workers=0 if self.in_memory else num_workers,
            drop_last=drop_last,
            collate_fn=_as_it_is,
            persistent_workers=num_workers > 0 and not self.in_memory,
            worker_init_fn=leave_signals_to_main,
            generator=torch.Generator().manual_seed(0),  # else every pass would draw from the global random state
        )
        if self.num_workers > 0:
            end_at_exit(self)

    @property
    def n_samples(self) -> int:
        """How many samples a pass takes on this process; `drop_last` leaves the last few of them out."""
        return self.sampler.n_samples

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Make the next pass that of `epoch`, from its batch number `batch` on. Call it before `iter`."""
        self.sampler.epoch = epoch
        self.sampler.start = batch * self.batch_size

    def to(self, device: torch.device | str) -> "BaseDataLoader":
        """From now on, hand out the batches on this device; returns the loader.

        Data in memory move to a GPU once, if half of its free memory holds them, and batches are made there. Other
        batches are copied while the one before is worked on.
        """
        device = torch.device(device)
        if self.in_memory and (device.type == "cpu" or device != self.device):  # a GPU is asked once: others fill it
            self.samples.to(device)
        self.device = device
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches_in_memory() if self.in_memory else self._batches_by_torch())

    def close(self) -> None:
        """End the worker processes, if there are any; the next pass starts new ones.

        Left to the garbage collector after an exception, they would be waited for in vain.
        Raises UserError if one had died: torch's own errors of that differ with the instant, and name no cause.
        """
        try:
            self._end_workers()
        except RuntimeError:  # torch's signal handler tells once of a worker that died, at any instant, also here
            self._end_workers()

    def _end_workers(self) -> None:
        if self._iterator is not None:
            iterator = self._iterator
            with suppress(RuntimeError):
                iterator._shutdown_workers()
            self._iterator = None
            where = f"in epoch {self.sampler.epoch - 1}, after {iterator._num_yielded} batches"
            raise_if_killed(iterator._workers, where)

    def _batches_by_torch(self) -> Iterator[Any]:
        """The batches sample by sample, by torch's DataLoader."""
        try:
            yield from prefetch(super().__iter__(), self.device)
        except Exception:
            self.close()
            raise

    # ------------------------------------------------------------------------------------------- data in memory

    def _batches_in_memory(self) -> Iterable[tuple[Tensor, Tensor]]:
        """The batches by indexing: no Python per sample. What is done to the data is done on the device."""
        dataset, places = self.samples, self.sampler.take()
        if self.drop_last:
            places = places[: len(places) // self.batch_size * self.batch_size]
        if not places:
            return ()
        augments = self.training and dataset.augment is not None
        is_elsewhere = dataset.data.is_cpu != (self.device.type == "cpu")
        if not augments and dataset.transform is None and not is_elsewhere:
            part = self.sampler.as_slice(places)
            if part is not None:
                return self._slices(part)
        batches = self._gather(places, augments)
        batches = prefetch(batches, self.device) if is_elsewhere else batches
        return ((dataset.prepare(data, draws), target) for data, target, draws in batches)

    def _slices(self, part: slice) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of consecutive samples, without a copy."""
        data, target = self.samples.data, self.samples.target
        versions = data._version, target._version  # counts changes in place, those of a view too
        if part.stop - part.start == data.shape[0] <= self.batch_size:  # one batch of all: an epoch can be that short
            yield data.detach(), target.detach()
        else:
            for start in range(part.start, part.stop, self.batch_size):
                batch = slice(start, min(start + self.batch_size, part.stop))
                yield data[batch], target[batch]
        if versions != (data._version, target._version):
            raise RuntimeError(
                "a batch was changed in place, and the dataset with it; write x = x / 2 instead of x /= 2 or x.div_(2)"
            )

    def _gather(self, places: range, augments: bool) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """The batches of samples anywhere, and to augment them, random numbers."""
        data, target = self.samples.data, self.samples.target
        passes = list(self.sampler.passes(places))
        indices = torch.cat([indices for _, indices in passes])
        draws = repeat(None)
        if augments:
            draws = torch.cat([self._draw(epoch)[indices] for epoch, indices in passes])
            draws = to_device(draws, data.device).split(self.batch_size)
        indices = to_device(indices, data.device).split(self.batch_size)
        for batch, batch_draws in zip(indices, draws, strict=False):
            yield data.index_select(0, batch), target.index_select(0, batch), batch_draws

    def _draw(self, epoch: int) -> Tensor:
        """Random numbers for each sample of the dataset, a function of (seed, epoch, index): (n_samples, n_draws)."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch, 1))
        return torch.rand(len(self.samples), self.samples.augment.n_draws, generator=generator)

    # ----------------------------------------------------------------------------------------------- validation

    def split_validation(self) -> "BaseDataLoader | None":
        """A loader of the samples that `validation_split` set apart, in a fixed order; None if there are none."""
        if len(self.valid_indices) == 0:
            return None
        return BaseDataLoader(
            self.eval_dataset,
            self.batch_size,
            num_workers=self.num_workers,
            training=False,
            indices=self.valid_indices,
            collate_fn=self.make_batch,
        ).to(self.device)


def _as_it_is(batch: Any) -> Any:
    """The collate_fn that torch is given: a SeededDataset's samples are a batch already."""
    return batch
