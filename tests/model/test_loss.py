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


@pytest.mark.parametrize(
    "shape, of_target", [((4,), (4,)), ((4, 1), (4,)), ((4,), (4, 1)), ((4, 1), (4, 1)), ((2, 2), (2, 2))]
)
def test_bce_of_any_shape_and_type(shape, of_target):
    logits, classes = torch.tensor([-1.0, 2.0, 0.5, 3.0]), torch.tensor([0, 1, 1, 0])
    chances = logits.sigmoid()
    each = -(classes * chances.log() + (1 - classes) * (1 - chances).log())
    value = loss.bce_with_logits(logits.view(shape), classes.view(of_target))
    torch.testing.assert_close(value, each.mean())
    weighted = loss.bce_with_logits(logits.view(shape), classes.view(of_target), pos_weight=torch.tensor([3.0]))
    torch.testing.assert_close(weighted, (each * torch.tensor([1, 3, 3, 1])).mean())


def test_bce_of_other_shapes_is_refused():
    with pytest.raises(ValueError, match="same shape"):
        loss.bce_with_logits(torch.zeros(4, 2), torch.zeros(4))


def test_classes_can_weigh_more():
    output, target = torch.randn(6, 2), torch.tensor([0, 0, 0, 0, 1, 1])
    each = [loss.cross_entropy(output[target == number], target[target == number]) for number in (0, 1)]
    balanced = loss.cross_entropy(output, target, weight=torch.tensor([6 / (2 * 4), 6 / (2 * 2)]))
    torch.testing.assert_close(balanced, (each[0] + each[1]) / 2)
