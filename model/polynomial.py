"""A polynomial of third degree."""

import torch
from torch import Tensor, nn

from base import BaseModel


class CubicPolynomial(BaseModel):
    """y = a + b x + c x^2 + d x^3 with four trainable numbers, which start from the standard normal distribution.

    forward: any shape -> the same shape.

    Source: PyTorch's tutorial "Learning PyTorch with Examples".
    """

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.randn(()))
        self.b = nn.Parameter(torch.randn(()))
        self.c = nn.Parameter(torch.randn(()))
        self.d = nn.Parameter(torch.randn(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.a + self.b * x + self.c * x**2 + self.d * x**3
