import pytest
import torch

from model import loss

OUTPUT, TARGET = torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0], [3.0]])  # off by -2 and 1


@pytest.mark.parametrize("name, expected", [("mse_loss", 2.5), ("l1_loss", 1.5), ("sse_loss", 5.0)])
def test_regression_losses(name, expected):
    assert getattr(loss, name)(OUTPUT, TARGET).item() == expected
    with pytest.raises(ValueError, match="the same shape"):  # torch would compare each with each
        getattr(loss, name)(OUTPUT, TARGET.squeeze(1))


def test_cross_entropy_of_one_class_is_refused():
    with pytest.raises(ValueError, match="one class"):
        loss.cross_entropy(torch.zeros(4, 1), torch.zeros(4).long())
