"""How samples become batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from base.base_dataset import InMemoryDataset
from utils.data import EpochSampler, SeededDataset, class_numbers, end_workers, hear_of_deaths, split_indices, to_device
from utils.errors import UserError
from utils.parallel import own_share, rank, world_size
from utils.seed import derive_seed


class BaseDataLoader(DataLoader):
    """A torch DataLoader that splits off validation data and whose order is a pure function of (seed, epoch).

    dataset: any map-style dataset; an `InMemoryDataset` is read a batch at a time, without workers.
    validation_split: the share (float below 1) or number (int) of samples that `split_validation()` hands out, or the
        fold: "2/5" is the second of five.
    split_seed: draws them; it is not the run's seed, so that runs with different seeds can be compared.
    num_workers: processes that read samples; the batches are the same for every number of them.
    stratify: keep the classes' proportions in the split; needs one class number per sample in `dataset.target`.
    groups: one name or number per sample, such as its patient's: the split parts no group, and counts groups.
    balanced: draw every class equally often, with replacement; needs these too, and `shuffle`.
    len_epoch: batches per epoch; the next epoch goes on where this one ends. None: one round over the samples.
    training: False for the test split: every sample once, in a fixed order, not augmented, whatever the rest says.
    eval_dataset: the same samples, read as for evaluation (no augmentation); by default `dataset` itself.
    indices: the samples to use; by default all.

    Of several processes, each gets its share of every batch: `place` says which, of how many.
    The seed is torch's when the loader is made. The other arguments are those of torch's DataLoader.

    `fitted` is what was learnt from the training data, such as means and class names, in plain values; checkpoints hold
    it. A class that learns takes `fitted: dict | None = None` (None: learn) and may take `whole: bool = False` (True:
    hand out every sample of other data). Both are given by parse_config.py, and no config names them. `classes` are the
    classes' names, in the order of their numbers, where they are known.
    """

    fitted: Mapping[str, Any] = MappingProxyType({})
    classes: Sequence[str] = ()
    batch_size: int
    sampler: EpochSampler

    def __init__(
        self,
        dataset: Dataset,
        batch_size: Annotated[int, ">= 1"],
        shuffle: bool = True,
        validation_split: float | int | str = 0.0,
        num_workers: Annotated[int, ">= 0", "<= 256"] = 0,
        *,
        stratify: bool = False,
        groups: Sequence[int | str] | None = None,
        split_seed: int = 0,
        balanced: bool = False,
        len_epoch: Annotated[int, ">= 1"] | None = None,
        drop_last: bool = False,
        training: bool = True,
        eval_dataset: Dataset | None = None,
        indices: Tensor | None = None,
        collate_fn: Callable = default_collate,
    ):
        if not training:
            shuffle, validation_split, drop_last, balanced, len_epoch = False, 0.0, False, False, None
            groups = None
        elif balanced and not shuffle:
            raise ValueError("balanced draws samples at random; it needs shuffle")
        if hasattr(self, "_split_sampler"):  # as in victoresque's template
            raise ValueError(f"{type(self).__name__}._split_sampler is never called; override split_validation instead")
        self.samples: Any = dataset
        indices = torch.arange(len(self.samples)) if indices is None else indices
        self.all_indices = indices  # those for validation too
        classes = class_numbers(dataset, "stratify") if stratify else None
        if groups is not None and len(groups) != len(self.samples):
            raise ValueError(f"{len(groups)} groups for {len(self.samples)} samples; each needs one")
        indices, self.valid_indices = split_indices(indices, validation_split, classes, groups, split_seed)
        labels = class_numbers(dataset, "balanced")[indices] if balanced else None

        self.training = training
        self.eval_dataset = eval_dataset or dataset
        self.in_memory = isinstance(dataset, InMemoryDataset)
        self.make_batch = collate_fn
        self.seed = torch.initial_seed()
        self.device = torch.device("cpu")
        num_workers = 0 if self.in_memory else num_workers
        super().__init__(
            dataset if self.in_memory else SeededDataset(dataset, self.seed, collate_fn),
            batch_size,
            sampler=EpochSampler(indices, shuffle, self.seed, (len_epoch or 0) * batch_size, labels),
            num_workers=num_workers,
            drop_last=drop_last,
            collate_fn=SeededDataset.collate,
            persistent_workers=num_workers > 0,
            worker_init_fn=SeededDataset.leave_signals_to_main,
            generator=torch.Generator().manual_seed(0),  # else every pass would draw from the global random state
        )
        self.n_samples = self.sampler.n_samples  # of one round
        self.place = rank(), world_size()

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Go on at batch number `batch` of an epoch. Call it before `iter`."""
        self.sampler.epoch = epoch
        self.sampler.start = batch * self.batch_size

    def to(self, device: torch.device | str) -> "BaseDataLoader":
        """From now on, hand out the batches on this device; returns the loader. See also `InMemoryDataset.to`."""
        device = torch.device(device)
        if self.in_memory and device != self.device:
            self.samples.to(device)
        self.device = device
        self.pin_memory = device.type == "cuda"
        return self

    def split_validation(self) -> "BaseDataLoader | None":
        """A loader of the samples that `validation_split` set apart, in a fixed order; None if there are none."""
        if len(self.valid_indices) == 0:
            return None
        options = {"num_workers": self.num_workers, "collate_fn": self.make_batch, "indices": self.valid_indices}
        loader = BaseDataLoader(self.eval_dataset, self.batch_size, training=False, **options).to(self.device)
        loader.fitted, loader.classes, loader.in_original_units = self.fitted, self.classes, self.in_original_units
        return loader

    def in_original_units(self, values: Tensor) -> Tensor:
        """Outputs or targets as metrics and predictions show them. Override it in a loader that scales its targets."""
        return values

    def read(self, indices: Tensor) -> Any:
        """A batch of these samples, as for evaluation. Draws no random number; UserError if one cannot be read."""
        batch = SeededDataset(self.eval_dataset, 0, self.make_batch).__getitems__([(0, i) for i in indices.tolist()])
        if isinstance(batch, UserError):
            raise batch
        return batch

    def close(self) -> Exception | None:
        """End the worker processes; the next pass starts new ones. Returns a WorkerDied if some had died."""
        iterator, self._iterator = self._iterator, None
        return None if iterator is None else end_workers(iterator)

    def __iter__(self) -> Iterator[Any]:
        return self._batches_in_memory() if self.in_memory else self._batches_by_torch()

    def _batches_by_torch(self) -> Iterator[Any]:
        """The batches of samples that are read one by one, with workers or without."""
        dataset: Any = self.dataset
        dataset.place = self.place
        batches = None
        try:
            while True:
                with hear_of_deaths():
                    batches = super().__iter__() if batches is None else batches
                    batch = next(batches, self)
                if batch is self:  # the end
                    return
                if isinstance(batch, UserError):
                    raise batch
                yield to_device(batch, self.device)
        except (Exception, KeyboardInterrupt) as error:  # when a loop is left early, the workers serve the next one
            if died := self.close():
                raise died from error
            raise

    def _batches_in_memory(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches by indexing: no Python per sample. Each is a copy."""
        dataset, rounds = self.samples, self.sampler.next_epoch()
        if not rounds:
            return
        indices, draws = torch.cat([indices for _, indices in rounds]), repeat(None)
        if self.training and dataset.augment is not None:
            drawn = []  # for each sample, a function of (seed, round, index)
            for number, drawn_for in rounds:
                generator = torch.Generator().manual_seed(derive_seed(self.seed, number, 1))
                drawn.append(torch.rand(len(dataset), dataset.augment.n_draws, generator=generator)[drawn_for])
            draws = torch.cat(drawn).to(dataset.data.device).split(self.batch_size)
        for batch, draw in zip(indices.to(dataset.data.device).split(self.batch_size), draws, strict=False):
            if len(batch) == self.batch_size or not self.drop_last:
                samples = dataset.get_batch(own_share(batch, *self.place), own_share(draw, *self.place))
                yield samples if dataset.data.device == self.device else to_device(samples, self.device)
