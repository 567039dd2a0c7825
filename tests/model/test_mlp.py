import torch

from model.mlp import MLP


def test_the_activation_is_the_one_asked_for():
    model = MLP([3, 4, 2], activation="tanh")
    linear1, linear2 = (layer for layer in model.layers if isinstance(layer, torch.nn.Linear))
    x = torch.randn(5, 3)
    assert torch.allclose(model(x), linear2(linear1(x).tanh()))
