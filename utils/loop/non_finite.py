"""NaN and infinity in gradients: found, and the update left out, without waiting for a GPU."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from utils.errors import UserError
from utils.loop.optimizers import parameters_of


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether no number in some tensors is NaN or infinite: 0-d bool on their device; true if there is no number."""
    # the largest absolute value: unlike the 2-norm, it is finite whenever all numbers are
    return get_total_norm([t for t in tensors if t.numel() > 0], norm_type=math.inf).isfinite()


def gradients_are_finite(parameters: Iterable[Parameter]) -> Tensor:
    """Whether no gradient holds NaN or infinity: 0-d bool on their device.

    Processes that share a run agree on it, since they share the gradients, but not the loss.
    """
    return all_finite(p.grad for p in parameters if p.grad is not None)


def step_if(finite: Tensor, optimizer: Optimizer) -> None:
    """`optimizer.step()` if `finite` (0-d bool); else neither the weights nor what the optimizer remembers change.

    A fused optimizer reads `finite` on the device; see `fit_state`. For another, this function reads it, which waits
    for a GPU.
    """
    if not all(group.get("fused") for group in optimizer.param_groups):
        if finite:
            optimizer.step()
        return
    optimizer.found_inf = (~finite).float()  # as torch.amp.GradScaler hands it over
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf


@torch.no_grad()
def restore_unless(finite: Tensor, tensors: Iterable[Tensor], before: Iterable[Tensor]) -> None:
    """Give tensors the values they had before unless `finite` (0-d bool): a batch norm's averages have seen the NaN."""
    for tensor, old in zip(tensors, before, strict=True):
        tensor.copy_(torch.where(finite, tensor, old))


class SkippingStep:
    """Makes each update of the weights only if all gradients are finite, and counts those left out."""

    def __init__(self, model: nn.Module, optimizer: Optimizer):
        self.model = model
        self.optimizer = optimizer
        self.n_skipped = torch.zeros((), dtype=torch.int64, device=next(model.parameters()).device)
        self._buffers: list[Tensor] = []

    def remember(self) -> None:
        """Call before the forward pass."""
        self._buffers = [buffer.clone() for buffer in self.model.buffers()]

    def step(self, scaler: torch.amp.GradScaler) -> None:
        """Call after the backward pass, instead of `scaler.step(optimizer)`."""
        finite = gradients_are_finite(parameters_of(self.optimizer))
        if scaler.is_enabled():  # it has looked for itself
            scaler.step(self.optimizer)
        else:
            step_if(finite, self.optimizer)
        restore_unless(finite, self.model.buffers(), self._buffers)
        self.n_skipped += ~finite


def divergence(epoch: int, step: int, lr: float) -> UserError:
    """What to say of a loss that is NaN or infinite from a step on."""
    intact = " The checkpoints of earlier epochs are intact." if epoch > 1 else ""
    return UserError(
        f"the loss is NaN or infinite in epoch {epoch}, from step {step} on, with learning rate {lr:g}. Try a tenth of "
        f"it (--lr), look for NaN or very large values in the data, or scale the features.{intact}"
    )
