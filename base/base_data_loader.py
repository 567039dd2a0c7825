"""How samples become batches."""

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from base.base_dataset import InMemoryDataset
from base.epoch_sampler import EpochSampler
from utils.batch import to_device
from utils.data_errors import raise_if_killed, sample_error
from utils.prefetch import prefetch
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
            indices, validation_split, _labels(dataset, "stratify") if stratify else None
        )

        self.training = training
        self.samples = dataset
        self.eval_dataset = dataset if eval_dataset is None else eval_dataset
        self.in_memory = isinstance(dataset, InMemoryDataset)
        self.seed = torch.initial_seed()
        self.device = torch.device("cpu")
        super().__init__(
            dataset if self.in_memory else SeededDataset(dataset, self.seed),
            batch_size,
            sampler=EpochSampler(
                indices,
                shuffle,
                self.seed,
                length=None if len_epoch is None else len_epoch * batch_size,
                weights=balancing_weights(_labels(dataset, "balanced")[indices]) if balanced else None,
                keyed=not self.in_memory,
            ),
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
        self.device = torch.device(device)
        if self.in_memory:
            self.samples.to(self.device)
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
            raise_if_killed([worker.exitcode for worker in iterator._workers], where)

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
            collate_fn=self.collate_fn,
        ).to(self.device)


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


def balancing_weights(labels: Tensor) -> Tensor:
    """One weight per sample, with which every class is drawn equally often."""
    _, classes, counts = labels.unique(return_inverse=True, return_counts=True)
    return 1 / counts[classes].double()


def _labels(dataset: Dataset, option: str) -> Tensor:
    """One class number per sample. Raises ValueError, which names the option that needs them, for anything else."""
    try:
        labels = torch.as_tensor(dataset.target)
        is_right = labels.shape == (len(dataset),) and not (labels.double() % 1).any()
    except (AttributeError, TypeError, ValueError):
        is_right = False
    if not is_right:
        raise ValueError(f"{option} needs {type(dataset).__name__}.target, one class number per sample")
    return labels


def _leave_signals_to_main(worker_id: int) -> None:
    """A signal to the whole process group, such as Ctrl-C, is the main process's: it may need more batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.name == "posix":
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_TO_LIVE))
