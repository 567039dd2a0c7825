"""Metrics: functions (output, target) -> 0-d tensor, a mean over the batch; or, marked `@per_epoch`, of the epoch."""

import torch
from torch import Tensor

from utils.loop import per_epoch


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The share of right answers. output: (batch, classes), scores; target: (batch,), class numbers."""
    return _share_of_hits(output.argmax(dim=1, keepdim=True), target)


def accuracy_of_all(output: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
    """The share of samples of which every task is right. output, target: as for `accuracy`, by the tasks' names."""
    return torch.stack([output[task].argmax(dim=1) == target[task] for task in output]).all(dim=0).float().mean()


def top_k_acc(output: Tensor, target: Tensor, k: int = 3) -> Tensor:
    """The share of targets among the k highest scores. output: (batch, classes); target: (batch,), class numbers."""
    return _share_of_hits(output.topk(k, dim=1).indices, target)


def _share_of_hits(answers: Tensor, target: Tensor) -> Tensor:
    """The share of targets, (batch,), that are among their answers, (batch, k)."""
    if target.shape != answers.shape[:1] or target.is_floating_point():  # a regression's: it would compare all with all
        raise ValueError(f"it compares class numbers, {list(answers.shape[:1])}, with as many")
    return (answers == target.unsqueeze(1)).any(dim=1).float().mean()


@per_epoch
def macro_f1(output: Tensor, target: Tensor) -> float:
    """The mean of the classes' F1 scores. output: (samples, classes), scores; target: (samples,), class numbers."""
    from sklearn.metrics import f1_score

    return f1_score(target, output.argmax(dim=1), average="macro")


@per_epoch
def r2_score(output: Tensor, target: Tensor) -> float:
    """The share of the target's variance that is explained: 1 is perfect, 0 the mean's. Both: (samples, values)."""
    from sklearn import metrics

    return metrics.r2_score(target, output)
