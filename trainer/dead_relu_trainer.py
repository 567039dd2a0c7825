"""Supervised training that watches for dead ReLU units."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from trainer.trainer import Trainer


class DeadReluTrainer(Trainer):
    """A Trainer that also logs `dead_relu`: the share of ReLU units that are 0 for every sample of an evaluation.

    Every epoch logs val_dead_relu, so it needs validation data. Raises ValueError without, and for a model without an
    nn.ReLU layer.
    """

    def __init__(self, model: nn.Module, *args: Any, **options: Any):
        super().__init__(model, *args, **options)
        if not _relu_layers(model):
            raise ValueError("the model has no nn.ReLU layer, so no unit can be counted as dead")
        if self.data_loader is not None and self.valid_data_loader is None:
            raise ValueError("dead units are counted on validation data; set data_loader.args.validation_split")

    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        with DeadUnits(self.evaluated_model) as dead_units:
            log = super().evaluate(batches)
        return log | {"dead_relu": dead_units.share()}


class DeadUnits:
    """Finds the ReLU units that are 0 for every sample the model sees inside a `with` block.

    A unit is a feature of a linear layer or a feature map of a convolution: the second dimension of its output. While a
    unit is 0 for all training samples, its gradient is 0 too, so that training will hardly bring it back to life.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self._alive: list[Tensor] = []  # for each use of a ReLU layer in a forward pass: (units,), bool
        self._use = 0

    def __enter__(self) -> "DeadUnits":
        self._hooks = [self.model.register_forward_pre_hook(self._begin)]
        self._hooks += [relu.register_forward_hook(self._look) for relu in _relu_layers(self.model)]
        return self

    def __exit__(self, *exception: Any) -> None:
        for hook in self._hooks:
            hook.remove()

    def share(self) -> float:
        """The share of dead units, from 0 to 1."""
        return 1 - torch.cat(self._alive).float().mean().item()

    def _begin(self, model: nn.Module, inputs: Any) -> None:
        self._use = 0

    def _look(self, relu: nn.Module, inputs: Any, output: Tensor) -> None:
        alive = (output > 0).transpose(0, 1).flatten(start_dim=1).any(dim=1)
        if self._use == len(self._alive):
            self._alive.append(alive)
        else:
            self._alive[self._use] |= alive
        self._use += 1


def _relu_layers(model: nn.Module) -> list[nn.Module]:
    return [layer for layer in model.modules() if isinstance(layer, nn.ReLU)]
