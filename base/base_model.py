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
        """An input for `forward`, for an export: the data of a batch. Override it where it is something else."""
        return data

    def __str__(self) -> str:
        n_trainable = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return f"{super().__str__()}\nTrainable parameters: {n_trainable:,}"
