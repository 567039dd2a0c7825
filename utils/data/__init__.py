"""From samples to batches: the order, the split, random numbers for each sample, worker processes."""

from utils.data.batch import cat_batches, map_tensors, n_samples, split_batch, to_channels_last, to_device
from utils.data.sampler import EpochSampler
from utils.data.seeded_dataset import SeededDataset
from utils.data.split import balancing_weights, class_numbers, split_indices
from utils.data.workers import WorkerDied, end_workers, hear_of_deaths, leave_signals_to_main

__all__ = [
    "EpochSampler", "SeededDataset", "WorkerDied", "balancing_weights", "cat_batches", "class_numbers", "end_workers",
    "hear_of_deaths", "leave_signals_to_main", "map_tensors", "n_samples", "split_batch", "split_indices",
    "to_channels_last", "to_device",
]  # fmt: skip
