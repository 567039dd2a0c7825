"""Activations by name, so that a config can choose one."""

from torch import nn

from utils.errors import did_you_mean

ACTIVATIONS = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "rrelu": nn.RReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def make_activation(name: str) -> nn.Module:
    """A new activation layer with torch's defaults, by the name its function has in torch.nn.functional.

    Raises ValueError for an unknown name.
    """
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation {name!r} is unknown{did_you_mean(name, ACTIVATIONS)}; known are {known}")
    return ACTIVATIONS[name]()
