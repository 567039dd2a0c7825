"""From samples to batches: the order, the split, random numbers for each sample, worker processes."""

from utils.data.batch import cat_batches, map_tensors, n_samples, split_batch, to_channels_last, to_device
from utils.data.reading import SeededDataset, WorkerDied, end_workers, hear_of_deaths
from utils.data.sampler import EpochSampler, class_numbers
from utils.data.split import split_indices

__all__ = ["EpochSampler", "SeededDataset", "WorkerDied", "cat_batches", "class_numbers", "end_workers",
           "hear_of_deaths", "map_tensors", "n_samples", "split_batch", "split_indices", "to_channels_last",
           "to_device"]  # fmt: skip
