"""A part of a labelled dataset: some of its classes, some of its samples."""

import torch
from torch import Tensor

SUBSET_SEED = 0  # a constant, so that runs with different seeds see the same samples and can be compared


def choose_samples(
    labels: Tensor, classes: list[int] | None = None, n_samples: int | None = None
) -> tuple[Tensor, Tensor]:
    """The indices of the chosen samples, ascending, and their class numbers.

    labels: (samples,), class numbers.
    classes: the classes to use. They are numbered anew in this order: of [5, 6, 7], class 5 becomes 0 and 7 becomes 2.
    n_samples: how many samples, with the same share of each class; always the same ones.
    Raises ValueError for a class that no sample has, or more samples than there are.
    """
    indices = torch.arange(len(labels))
    if classes is not None:
        known = labels.unique().tolist()
        if not classes or len(set(classes)) < len(classes) or not set(classes) <= set(known):
            raise ValueError(f"classes {classes} are not different ones of {known}")
        indices = indices[torch.isin(labels, torch.tensor(classes))]
        new_number = torch.zeros(max(known) + 1, dtype=torch.long)
        new_number[classes] = torch.arange(len(classes))
        labels = new_number[labels]
    if n_samples is not None and n_samples != len(indices):
        if not 0 < n_samples < len(indices):
            raise ValueError(f"n_samples is {n_samples}; there are {len(indices)} samples to choose from")
        from sklearn.model_selection import train_test_split

        chosen, _ = train_test_split(
            indices.numpy(), train_size=n_samples, random_state=SUBSET_SEED, stratify=labels[indices]
        )
        indices = torch.from_numpy(chosen).sort().values
    return indices, labels[indices]
