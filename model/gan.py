"""The two networks of a generative adversarial network (GAN), as multilayer perceptrons."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from base import BaseModel


class Generator(BaseModel):
    """Makes images of noise.

    n_noise: numbers of noise per image.
    sizes: units of the hidden layers.
    image_shape: channels, height, width.

    forward: (batch, n_noise), standard normal -> (batch, *image_shape) in [0, 1].
    """

    def __init__(self, n_noise: int, sizes: Sequence[int], image_shape: Sequence[int]):
        super().__init__()
        self.n_noise, self.image_shape = n_noise, tuple(image_shape)
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise([n_noise, *sizes]):
            # without a bias: the norm brings one
            layers += [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU()]
        last = nn.Linear([n_noise, *sizes][-1], math.prod(image_shape))
        self.layers = nn.Sequential(*layers, last, nn.Sigmoid(), nn.Unflatten(1, self.image_shape))

    def forward(self, noise: Tensor) -> Tensor:
        return self.layers(noise)

    def example_input(self, data: Tensor) -> Tensor:
        return torch.randn(len(data), self.n_noise)


class Discriminator(BaseModel):
    """Tells images of the data (class 1) from images that a generator made (class 0).

    sizes: units of the hidden layers.
    image_shape: channels, height, width.

    forward: (batch, *image_shape) -> (batch, 2), the scores of the classes.
    """

    def __init__(self, sizes: Sequence[int], image_shape: Sequence[int]):
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in itertools.pairwise([math.prod(image_shape), *sizes]):
            layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(0.2), nn.Dropout(0.3)]
        self.layers = nn.Sequential(*layers, nn.Linear([math.prod(image_shape), *sizes][-1], 2))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)
