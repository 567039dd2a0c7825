import torch
from torch import nn

from model.linear import LinearRegression


def test_it_computes_what_torchs_linear_computes_with_the_same_parameter_names():
    model, reference = LinearRegression(in_features=3, out_features=2), nn.Linear(3, 2)
    reference.load_state_dict(model.state_dict())
    x = torch.randn(5, 3)
    assert torch.equal(model(x), reference(x))


def test_its_summary_counts_the_parameters():
    assert "Trainable parameters: 2" in str(LinearRegression())
