"""How samples become batches."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from base.base_dataset import InMemoryDataset
from utils.data_errors import raise_if_killed, sample_error
from utils.distributed import rank, world_size
from utils.seed import derive_seed, random_state, set_random_state

SPLIT_SEED = 0  # a constant, so that the validation samples are the same for every seed, and runs can be compared
SECONDS_TO_LIVE = 5  # of a worker after SIGTERM: for the main process to reach a step's end and save


class BaseDataLoader(DataLoader):
    """A torch DataLoader that splits off validation data and whose order is a pure function of (seed, epoch).

    dataset: any map-style dataset; an `InMemoryDataset` is read a batch at a time, without workers.
    batch_size: samples per batch and process.
    shuffle: a new order every epoch.
    validation_split: the share (float below 1) or number (int) of samples that `split_validation()` hands out.
    num_workers: processes that read samples; the batches are the same for every number of them.
    stratify: keep the classes' proportions in the split; needs one class number per sample in `dataset.target`.
    drop_last: leave out a last batch that is smaller than the others.
    training: False for the test split: every sample once, in a fixed order, whatever shuffle and the split say.
    eval_dataset: the same samples, read as for evaluation (no augmentation); by default `dataset` itself.
    indices: the samples to use; by default all.
    collate_fn: makes a batch of a list of samples that are read one by one.

    The seed is the one of torch when the loader is made: `torch.manual_seed(seed)` sets it.
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
        drop_last: bool = False,
        training: bool = True,
        eval_dataset: Dataset | None = None,
        indices: Tensor | None = None,
        collate_fn: Callable = default_collate,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        indices = torch.arange(len(dataset)) if indices is None else indices
        if len(indices) == 0:
            raise ValueError("the dataset is empty")
        if not training:
            shuffle, validation_split, drop_last = False, 0.0, False
        indices, self.valid_indices = split_indices(indices, validation_split, _labels(dataset) if stratify else None)

        self.training = training
        self.samples = dataset
        self.eval_dataset = dataset if eval_dataset is None else eval_dataset
        self.in_memory = isinstance(dataset, InMemoryDataset)
        seed = torch.initial_seed()
        super().__init__(
            dataset if self.in_memory else SeededDataset(dataset, seed),
            batch_size,
            sampler=EpochSampler(indices, shuffle, seed, keyed=not self.in_memory),
            num_workers=0 if self.in_memory else num_workers,
            drop_last=drop_last,
            collate_fn=collate_fn,
            persistent_workers=num_workers > 0 and not self.in_memory,
            worker_init_fn=_leave_signals_to_main,
            generator=torch.Generator().manual_seed(0),  # else every pass would draw from the global random state
        )

    @property
    def n_samples(self) -> int:
        """How many samples a pass yields on this process, a dropped last batch included."""
        return len(self.sampler)

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Make the next pass that of `epoch`, from its batch number `batch` on."""
        self.sampler.epoch = epoch
        self.sampler.start = batch * self.batch_size

    def __iter__(self) -> Iterator[Any]:
        return self._batches_in_memory() if self.in_memory else self._batches_by_torch()

    def close(self) -> None:
        """End the worker processes, if there are any; the next pass starts new ones.

        Left to the garbage collector after an exception, they would be waited for in vain.
        Raises UserError if one had died: torch's own errors of that differ with the instant, and name no cause.
        """
        if self._iterator is not None:
            iterator, self._iterator = self._iterator, None
            with suppress(RuntimeError):  # one of them, from a signal handler
                iterator._shutdown_workers()
            where = f"in epoch {self.sampler.epoch - 1}, after {iterator._num_yielded} batches"
            raise_if_killed([worker.exitcode for worker in iterator._workers], where)

    def _batches_by_torch(self) -> Iterator[Any]:
        """The batches sample by sample, by torch's DataLoader."""
        try:
            yield from super().__iter__()
        except Exception:
            self.close()
            raise

    def _batches_in_memory(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches by indexing: no Python per sample."""
        indices = self.sampler.remaining()
        if self.drop_last:
            indices = indices[: len(indices) // self.batch_size * self.batch_size]
        if len(indices) > 0:  # else split would give one empty batch
            yield from map(self.samples.get_batch, indices.split(self.batch_size))

    def split_validation(self) -> "BaseDataLoader | None":
        """A loader of the samples that `validation_split` set apart, in a fixed order; None if there are none."""
        if len(self.valid_indices) == 0:
            return None
        return BaseDataLoader(
            self.eval_dataset,
            self.batch_size,
            shuffle=False,
            num_workers=self.num_workers,
            indices=self.valid_indices,
            collate_fn=self.collate_fn,
        )


class EpochSampler(Sampler):
    """The order of an epoch: a permutation drawn from (seed, epoch), of which each process takes its share.

    Counts up `epoch` by itself after every pass, so that a loop written by hand sees a new order each time.
    With `shuffle`, every process gets equally many samples (a few are left out); without, every sample is seen once.
    With `keyed`, a sample is named (epoch, index) instead of index, which is what a SeededDataset reads.
    """

    def __init__(self, indices: Tensor, shuffle: bool, seed: int, keyed: bool = False):
        self.indices = indices
        self.shuffle = shuffle
        self.seed = seed
        self.keyed = keyed
        self.epoch = 1
        self.start = 0

    def remaining(self) -> Tensor:
        """The indices of the epoch from `start` on; the next call gives the next epoch's."""
        indices = self.indices
        if self.shuffle:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch))
            indices = indices[torch.randperm(len(indices), generator=generator)]
        indices = indices[rank() : len(self) * world_size() if self.shuffle else None : world_size()][self.start :]
        self.epoch, self.start = self.epoch + 1, 0
        return indices

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epoch
        for index in self.remaining().tolist():
            yield (epoch, index) if self.keyed else index

    def __len__(self) -> int:
        n_samples, n_processes = len(self.indices), world_size()
        return n_samples // n_processes if self.shuffle else -((rank() - n_samples) // n_processes)


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
            raise sample_error(error, self.dataset, [index]) from error


def split_indices(
    indices: Tensor, validation_split: float | int, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Training and validation indices, each sorted. The same arguments always give the same split.

    labels: one class number per sample of the dataset, to keep the classes' proportions in both parts.
    Raises ValueError when no training sample would be left.
    """
    n_valid = validation_split if isinstance(validation_split, int) else int(len(indices) * validation_split)
    if not 0 <= n_valid < len(indices) or validation_split < 0:
        raise ValueError(f"validation_split {validation_split} leaves no training sample of {len(indices)}")
    if n_valid == 0:
        return indices, indices[:0]
    from sklearn.model_selection import train_test_split

    stratify = labels[indices] if labels is not None else None
    try:
        parts = train_test_split(indices.numpy(), test_size=n_valid, random_state=SPLIT_SEED, stratify=stratify)
    except ValueError as error:
        raise ValueError(f"validation_split {validation_split} cannot be stratified: {error}") from error
    return tuple(torch.from_numpy(np.sort(part)) for part in parts)


def _labels(dataset: Dataset) -> Tensor:
    try:
        return dataset.target
    except AttributeError:
        raise ValueError(f"stratify needs {type(dataset).__name__}.target, one class number per sample") from None


def _leave_signals_to_main(worker_id: int) -> None:
    """A signal to the whole process group, such as Ctrl-C, is the main process's: it may need more batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_TO_LIVE))
