"""Losses: functions (output, target, ...) -> 0-d tensor, a mean over the batch. A config names one by `loss`."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nll_loss(output: Tensor, target: Tensor) -> Tensor:
    """Negative log likelihood. output: (batch, classes), log probabilities; target: (batch,), class numbers."""
    return F.nll_loss(output, target)


def cross_entropy(output: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross entropy. output: (batch, classes), scores before any softmax; target: (batch,), class numbers."""
    if output.shape[1] == 1:
        raise ValueError("with one class there is nothing to tell apart")
    return F.cross_entropy(output, target, label_smoothing=label_smoothing)


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
