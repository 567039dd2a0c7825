"""Metrics: functions (output, target) -> 0-d tensor, a mean over the batch. A config names them in `metrics`.

A metric that is no mean over samples is marked `@per_epoch` and called once with the whole epoch, on the CPU.
"""

import torch
from torch import Tensor

from utils.loop import per_epoch


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The share of right answers. output: (batch, classes), scores; target: (batch,), class numbers."""
    best = output.argmax(dim=1)
    _require_classes(best, target)
    return (best == target).float().mean()


def accuracy_of_all(output: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
    """The share of samples of which every task is right. output, target: as for `accuracy`, by the tasks' names."""
    return torch.stack([output[task].argmax(dim=1) == target[task] for task in output]).all(dim=0).float().mean()


def top_k_acc(output: Tensor, target: Tensor, k: int = 3) -> Tensor:
    """The share of targets among the k highest scores. output: (batch, classes); target: (batch,), class numbers."""
    best = output.topk(k, dim=1).indices
    _require_classes(best[:, 0], target)
    return (best == target.unsqueeze(1)).any(dim=1).float().mean()


def _require_classes(best: Tensor, target: Tensor) -> None:
    """Raise ValueError for the targets of a regression: each answer would be compared with all of them."""
    if best.shape != target.shape or target.is_floating_point():
        raise ValueError(f"it compares class numbers, {list(best.shape)}, with as many")


@per_epoch
def macro_f1(output: Tensor, target: Tensor) -> float:
    """The mean of the classes' F1 scores. output: (samples, classes), scores; target: (samples,), class numbers."""
    from sklearn.metrics import f1_score

    return f1_score(target, output.argmax(dim=1), average="macro")


@per_epoch
def r2_score(output: Tensor, target: Tensor) -> float:
    """The share of the target's variance that is explained: 1 is perfect, 0 the mean's. Both: (samples, values)."""
    from sklearn import metrics

    if not output.isfinite().all():
        return float("nan")  # scikit-learn would raise, and hide that the training diverged
    return metrics.r2_score(target, output)
