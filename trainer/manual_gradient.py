"""Training without autograd: the gradients are written out by hand."""

from typing import Any

import torch
from torch import Tensor

from model.loss import sse_loss
from model.polynomial import CubicPolynomial
from trainer.parameter_logging import ParameterLoggingTrainer


class ManualGradientTrainer(ParameterLoggingTrainer):
    """Fits a CubicPolynomial to the least sum of squared errors; logs its coefficients.

    options: those of Trainer but accumulate, amp, clip_grad_norm and on_nan, which this train_step does not have.
    Raises ValueError for another model or loss, whose gradients are others.

    Source: PyTorch's tutorial "Learning PyTorch with Examples".
    """

    def __init__(self, model: CubicPolynomial, criterion: Any, *args: Any, **options: Any):
        if not isinstance(model, CubicPolynomial) or criterion is not sse_loss:
            raise ValueError("ManualGradientTrainer knows the gradients of CubicPolynomial and sse_loss only")
        super().__init__(model, criterion, *args, accumulate=1, amp=None, clip_grad_norm=None, on_nan="stop", **options)

    @torch.no_grad()
    def train_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Update the coefficients once: the chain rule, then the optimizer's step."""
        loss, output, target = self.compute_loss(batch)
        x, _ = batch
        output_grad = 2 * (output - target)  # of the loss, sum (output - target)^2
        self.model.a.grad = output_grad.sum()  # output = a + b x + c x^2 + d x^3
        self.model.b.grad = (output_grad * x).sum()
        self.model.c.grad = (output_grad * x**2).sum()
        self.model.d.grad = (output_grad * x**3).sum()
        self.optimizer.step()
        return loss, output, target
