"""Multilayer perceptron."""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from base import BaseModel
from model.activation import make_activation
from utils.errors import UserError


class MLP(BaseModel):
    """Linear layers with an activation between them.

    sizes: units per layer, from the input to the output: [64, 100, 10].
    dropout: the probability of dropping a hidden unit in training.
    activation: a name in model/activation.py.

    forward: (batch, ...) with sizes[0] numbers per sample -> (batch, sizes[-1]), the scores of the classes.
    Raises UserError, with the right size, for samples of another one.
    """

    def __init__(self, sizes: Sequence[int], dropout: float = 0.0, activation: str = "relu"):
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes {list(sizes)} are no input and output size, each at least 1")
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in itertools.pairwise(sizes[:-1]):
            layers += [nn.Linear(n_in, n_out), make_activation(activation), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
        self.sizes = list(sizes)

    def forward(self, x: Tensor) -> Tensor:
        n_inputs = math.prod(x.shape[1:])
        if n_inputs != self.sizes[0]:
            right = [n_inputs, *self.sizes[1:]]
            raise UserError(f"arch.args.sizes: a sample has {n_inputs} numbers, so say {right}, not {self.sizes}")
        return self.layers(x)
