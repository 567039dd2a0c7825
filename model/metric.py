"""Metrics: functions (output, target) -> 0-d tensor, a mean over the batch; more of them stand in sklearn_metric.py.

One that is no mean over samples is marked `@per_epoch` (see utils.loop). A class, made with the config's arguments and
then called like a function, does as well.
"""

import torch
from torch import Tensor


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The share of right answers. output: (batch, classes), scores; target: (batch,), class numbers.

    Or, of two classes, (batch,) or (batch, 1) both: logits of class 1, and class numbers, which may be floats.
    """
    if output.numel() == len(output) == target.numel():
        return output.flatten().gt(0).eq(target.flatten()).float().mean()
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
