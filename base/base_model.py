"""What is trained."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class BaseModel(nn.Module, ABC):
    """A torch module with an abstract `forward` and a printed summary that counts its trainable parameters."""

    @abstractmethod
    def forward(self, *inputs: Any) -> Any:
        """The model's output for a batch of inputs."""

    def example_input(self, data: Tensor) -> Tensor:
        """An input for `forward`, made from a batch of the loader's data: the data. An export needs one.

        Override it where the input is something else, as a generator's noise.
        """
        return data

    def __str__(self) -> str:
        n_trainable = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return f"{super().__str__()}\nTrainable parameters: {n_trainable:,}"
