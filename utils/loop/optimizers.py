"""The parameters that an optimizer trains, and what torch's fused optimizers take for granted."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer


def parameters_of(optimizer: Optimizer) -> list[Parameter]:
    """Those that it trains: not always all of a model's."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def can_be_fused(model: nn.Module, trained: Iterable[Parameter], arguments: dict[str, Any]) -> bool:
    """Whether a fused optimizer made with these arguments updates these parameters of a model as any other does."""
    is_sparse = any(getattr(layer, "sparse", False) for layer in model.modules())
    # SGD's first step ignores the dampening, which momentum from zero (see below) cannot imitate
    return not is_sparse and not arguments.get("dampening") and all(p.is_floating_point() for p in trained)


def fit_state(optimizer: Optimizer) -> None:
    """Make what an optimizer remembers fit for torch's fused kernels, which do not look at it.

    They need it to lie in memory as the parameters do, and those may have got their channels last since. And a fused
    SGD makes its momentum in its first step only, for all parameters or for none; zeros are the same to it.
    Raises ValueError for a fused SGD with dampening, to which they are not.
    """
    for group in optimizer.param_groups:
        has_momentum = group.get("fused") and group.get("momentum") and "dampening" in group
        if has_momentum and group["dampening"]:
            raise ValueError("a fused SGD with dampening can lose its momentum; set fused to false, or dampening to 0")
        for parameter in group["params"]:
            if has_momentum and optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            state = optimizer.state.get(parameter, {})
            for name, value in state.items():
                is_like = isinstance(value, Tensor) and value.shape == parameter.shape
                if is_like and value.stride() != parameter.stride():
                    state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
