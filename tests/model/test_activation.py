import pytest
import torch
from torch.nn import functional as F

from model.activation import ACTIVATIONS, make_activation
from model.mlp import MLP


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_name_is_that_of_the_function(name):
    x = torch.linspace(-4, 7, 50)
    arguments = [torch.tensor(0.25)] if name == "prelu" else []  # the slope that a new nn.PReLU has
    assert torch.equal(make_activation(name).eval()(x), getattr(F, name)(x, *arguments))


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="'leaky_rellu' is unknown, did you mean 'leaky_relu'"):
        make_activation("leaky_rellu")


def test_an_mlp_uses_it():
    model = MLP([3, 4, 2], activation="tanh")
    linear1, linear2 = (layer for layer in model.layers if isinstance(layer, torch.nn.Linear))
    x = torch.randn(5, 3)
    assert torch.allclose(model(x), linear2(linear1(x).tanh()))
