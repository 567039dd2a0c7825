import pytest
import torch
from torch.nn import functional as F

from model.activation import ACTIVATIONS, make_activation


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_name_is_that_of_the_function(name):
    x = torch.linspace(-4, 7, 50)
    arguments = [torch.tensor(0.25)] if name == "prelu" else []  # the slope that a new nn.PReLU has
    assert torch.equal(make_activation(name).eval()(x), getattr(F, name)(x, *arguments))


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="'leaky_rellu' is unknown, did you mean 'leaky_relu'"):
        make_activation("leaky_rellu")
