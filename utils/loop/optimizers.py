"""The parameters that an optimizer trains, and what torch's fused optimizers take for granted."""

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer


def parameters_of(optimizer: Optimizer) -> list[Parameter]:
    """Those that it trains: not always all of a model's."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


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
