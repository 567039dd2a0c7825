"""One network, two answers: what the digit is, and whether it is odd."""

from collections.abc import Sequence

from torch import Tensor, nn

from base import BaseModel
from model.mlp import MLP


class TwoHeads(BaseModel):
    """Layers that two tasks share, then a linear layer for each task.

    sizes: units per shared layer, from the input on: [64, 128].
    heads: the number of classes of each task, by the task's name.

    forward: (batch, ...) with sizes[0] numbers per sample -> {task: (batch, classes), scores}.
    """

    def __init__(self, sizes: Sequence[int], heads: dict[str, int]):
        super().__init__()
        self.shared = nn.Sequential(MLP(sizes), nn.ReLU())
        self.heads = nn.ModuleDict({task: nn.Linear(sizes[-1], n_classes) for task, n_classes in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.shared(x)
        return {task: head(features) for task, head in self.heads.items()}
