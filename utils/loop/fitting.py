"""Data, model and loss that do not fit each other: one line says where, instead of a traceback through torch."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UserError


def forward(model: nn.Module, data: Any) -> Any:
    """`model(data)`. Raises UserError for data of another type than the weights, such as NumPy's float64."""
    try:
        return model(data)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if not isinstance(data, Tensor) or "type" not in str(error):
            raise
        weights = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
        takes_ids = any(isinstance(layer, nn.Embedding | nn.EmbeddingBag) for layer in model.modules())
        if weights in (None, data.dtype) or (takes_ids and not data.is_floating_point()):
            raise
        raise UserError(
            f"the data are {data.dtype}, the model's weights {weights}: {error}. Convert the data where they are read: "
            f"data.to({weights})"
        ) from error


def compare(key: str, function: Callable[[Tensor, Tensor], Any], output: Tensor, target: Tensor) -> Any:
    """`function(output, target)`: the loss or a metric, named by that key of the config.

    Raises UserError where it fails: most often the shapes do not fit, or the function is for another task.
    """
    try:
        return function(output, target)
    except torch.OutOfMemoryError:
        raise
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        shapes = [list(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in (output, target)]
        raise UserError(
            f"{key}: {name_of(function)} cannot compare the model's output, {shapes[0]}, with the target, {shapes[1]}: "
            f"{str(error).rstrip('.')}{_advice(str(error), target)}"
        ) from error


def _advice(error: str, target: Any) -> str:
    if re.search("shape|size|bounds|dimension", error):
        return ". If it is the shapes: the last size of arch is the number of classes or values"
    if re.search("dtype|scalar type|Long|Float", error) and isinstance(target, Tensor):
        return f". The target is {target.dtype}; class numbers must be torch.int64 (.long()), values as the output is"
    return ""


def name_of(function: Any) -> str:
    """What a loss or a metric is called: a function by its name, a module by its class's."""
    return getattr(function, "__name__", type(function).__name__)
