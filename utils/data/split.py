"""Which samples are trained on, and which validate."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor


def split_indices(
    indices: Tensor,
    validation_split: float | int | str,
    labels: Tensor | None = None,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Training and validation indices, in their order among `indices`; the same seed gives the same ones.

    validation_split: a share (float), a number (int), or a fold: "2/5" is the second of five.
    labels: the class of each of the dataset's samples, to keep the classes' proportions.
    groups: the group of each, such as a patient, which is never parted; a share or number is one of groups then.
    Raises ValueError if no training sample is left, and for more folds than samples, groups or samples of a class.
    """
    classes = np.zeros(len(indices)) if labels is None else labels[indices].numpy()
    members = None if groups is None else np.asarray(groups)[indices]
    n = len(indices) if members is None else len(np.unique(members))
    if isinstance(validation_split, str):
        fold, n_folds = map(int, validation_split.split("/"))
        n_most = n if labels is None else min(n, np.unique(classes, return_counts=True)[1].min())
        if not 1 <= fold <= n_folds or not 2 <= n_folds <= n_most:
            raise ValueError(f"validation_split {validation_split}: 2 to {n_most} folds are possible, as there are no "
                             "more samples, groups or samples of the smallest class")  # fmt: skip
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        kind = StratifiedKFold if members is None else StratifiedGroupKFold  # without labels, all are of one class
        splitter = kind(n_folds, shuffle=True, random_state=seed)
    else:
        fold, n_valid = 1, validation_split if isinstance(validation_split, int) else int(n * validation_split)
        if not 0 <= n_valid < n or validation_split < 0:
            raise ValueError(f"validation_split {validation_split} leaves no training sample of {len(indices)}")
        if n_valid == 0:
            return indices, indices[:0]
        if members is not None and labels is not None:
            raise ValueError("to stratify groups, name a fold: validation_split '1/10' instead of 0.1")
        from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

        kind = ShuffleSplit if labels is None else StratifiedShuffleSplit
        splitter = (kind if members is None else GroupShuffleSplit)(1, test_size=n_valid, random_state=seed)
    train, valid = next(islice(splitter.split(classes, classes, members), fold - 1, None))
    return indices[np.sort(train)], indices[np.sort(valid)]
