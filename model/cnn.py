"""Convolutional network for small images."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from base import BaseModel
from model.activation import make_activation
from model.feature_map import feature_map_size
from utils.errors import UserError


class CNN(BaseModel):
    """Blocks of convolution, batch normalization, activation and max pooling, then one linear layer.

    channels: feature maps per block: [32, 64]. Every block halves the image's side.
    image_size: the side of the square images in pixels.
    in_channels: 1 for gray images, 3 for colour.
    kernel_size: the side of the convolutions' kernels, an odd number: the padding keeps the image's side.
    activation: a name in model/activation.py.
    dropout: the probability of dropping a feature before the linear layer in training.

    forward: (batch, in_channels, image_size, image_size) -> (batch, num_classes), the scores of the classes.
    Raises ValueError when the images are too small for so many blocks; UserError for images of another shape.
    """

    def __init__(
        self,
        channels: Sequence[int],
        image_size: int,
        num_classes: int,
        in_channels: int = 1,
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ):
        super().__init__()
        if not channels or kernel_size % 2 == 0:
            raise ValueError(f"channels {list(channels)} must not be empty, kernel_size {kernel_size} must be odd")
        padding = kernel_size // 2
        self.image_shape = (in_channels, image_size, image_size)
        blocks: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise([in_channels, *channels]):
            blocks += [
                nn.Conv2d(n_in, n_out, kernel_size, padding=padding, bias=False),  # the normalization has a bias
                nn.BatchNorm2d(n_out),
                make_activation(activation),
                nn.MaxPool2d(2),
            ]
            image_size = feature_map_size(image_size, kernel_size, padding)
            image_size = feature_map_size(image_size, kernel_size=2, stride=2)
        self.features = nn.Sequential(*blocks, nn.Flatten())
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1] * image_size**2, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.image_shape:
            raise UserError(f"arch.args: the images are {tuple(x.shape[1:])}, the network is for {self.image_shape}")
        return self.classifier(self.features(x))
