"""Losses: functions (output, target, ...) -> 0-d tensor, a mean over the batch. A config names one by `loss`.

A class, an nn.Module made with the config's arguments, does as well; so do torch.nn's, such as HuberLoss.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def nll_loss(output: Tensor, target: Tensor) -> Tensor:
    """Negative log likelihood. output: (batch, classes), log probabilities; target: (batch,), class numbers."""
    return F.nll_loss(output, target)


def cross_entropy(output: Tensor, target: Tensor, label_smoothing: float = 0.0, weight: Tensor | None = None) -> Tensor:
    """Cross entropy. output: (batch, classes), scores before any softmax; target: (batch,), class numbers.

    weight: of each class, or "balanced": the rarer a class, the more each of its samples counts.
    """
    if output.shape[1] == 1:
        raise ValueError("with one class there is nothing to tell apart")
    return F.cross_entropy(output, target, weight, label_smoothing=label_smoothing)


def bce_with_logits(output: Tensor, target: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    """Binary cross entropy. output: (batch,) or (batch, 1), before any sigmoid; target: as many class numbers, 0 and 1.

    Or both (batch, labels), for labels that do not exclude each other.
    pos_weight: how much a sample of class 1 counts, of each label, or "balanced": as much as those of class 0 in all.
    """
    if output.shape[:1] != target.shape[:1] or output.numel() != target.numel():
        raise ValueError("they must have the same shape")
    target = target.view_as(output).to(output.dtype)
    return F.binary_cross_entropy_with_logits(output, target, pos_weight=pos_weight)


def cross_entropy_of_each(output: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
    """The sum of several tasks' cross entropies. output, target: as for `cross_entropy`, by the tasks' names."""
    return torch.stack([cross_entropy(output[task], target[task]) for task in output]).sum()


def mse_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error. output and target: (batch, values)."""
    return F.mse_loss(*_of_same_shape(output, target))


def l1_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error. output and target: (batch, values)."""
    return F.l1_loss(*_of_same_shape(output, target))


def sse_loss(output: Tensor, target: Tensor) -> Tensor:
    """Sum of squared errors, (batch, values) each. It grows with the batch: for training with the full batch."""
    return F.mse_loss(*_of_same_shape(output, target), reduction="sum")


def _of_same_shape(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """torch would compare each value of (batch, 1) with each of (batch,), and train to nothing."""
    if output.shape != target.shape:
        raise ValueError("they must have the same shape")
    return output, target
