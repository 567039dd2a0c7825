"""A LeNet-style network for MNIST."""

import torch.nn.functional as F
from torch import Tensor, nn

from base import BaseModel


class MnistModel(BaseModel):
    """Two convolutions and two linear layers, with dropout.

    dropout: the probability of dropping a feature map of the second convolution, and a unit of the first linear layer.

    forward: (batch, 1, 28, 28) -> (batch, num_classes), logarithms of the classes' probabilities, for `nll_loss`.

    Source: the network of torch's and of victoresque/pytorch-template's MNIST examples. Their dropout is 0.5, which
    suits 60,000 images and many epochs; with 10,000 images and 5 epochs 0.25 ends one point of accuracy higher.
    """

    def __init__(self, num_classes: int = 10, dropout: float = 0.25):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d(dropout)
        self.drop = nn.Dropout(dropout)
        self.fc1 = nn.Linear(20 * 4 * 4, 50)
        self.fc2 = nn.Linear(50, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))  # (batch, 10, 12, 12)
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))  # (batch, 20, 4, 4)
        x = self.drop(F.relu(self.fc1(x.flatten(start_dim=1))))
        return F.log_softmax(self.fc2(x), dim=1)
