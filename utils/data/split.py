"""Which samples are trained on, which validate, and how often each is drawn."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

SPLIT_SEED = 0  # a constant, so that the validation samples are the same for every seed, and runs can be compared


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

    stratify = None if labels is None else labels[indices]
    train, valid = train_test_split(indices.numpy(), test_size=n_valid, random_state=SPLIT_SEED, stratify=stratify)
    return torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(valid))


def balancing_weights(labels: Tensor) -> Tensor:
    """One weight per sample, with which every class is drawn equally often."""
    _, classes, counts = labels.unique(return_inverse=True, return_counts=True)
    return 1 / counts[classes].double()


def class_numbers(dataset: Any, option: str) -> Tensor:
    """A dataset's `target`. Raises ValueError, which names the option that needs it, unless it is class numbers."""
    labels = torch.as_tensor(getattr(dataset, "target", ()))
    if labels.shape != (len(dataset),) or (labels.double() % 1).any():
        raise ValueError(f"{option} needs {type(dataset).__name__}.target, one class number per sample")
    return labels
