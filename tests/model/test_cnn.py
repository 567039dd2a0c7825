import pytest
import torch
from torch import nn

from model.cnn import CNN
from utils.errors import UserError


@pytest.mark.parametrize("image_size", [8, 13, 28, 33])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_the_classifier_fits_every_image_size(image_size, kernel_size):
    model = CNN([4, 6], image_size, num_classes=7, in_channels=3, kernel_size=kernel_size)
    assert model(torch.zeros(2, 3, image_size, image_size)).shape == (2, 7)


def test_dropout_and_activation_are_used():
    model = CNN([4], 8, num_classes=2, activation="gelu", dropout=0.5)
    assert [type(layer) for layer in model.features][2] is nn.GELU
    x = torch.randn(3, 1, 8, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": [4, 4, 4, 4], "image_size": 8}, "a kernel of 2 does not fit an image of 1"),
        ({"channels": [], "image_size": 8}, "must not be empty"),
        ({"channels": [4], "image_size": 8, "kernel_size": 2}, "must be odd"),
        ({"channels": [4], "image_size": 8, "activation": "rellu"}, "did you mean 'relu'"),
    ],
)
def test_what_cannot_work_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CNN(num_classes=2, **arguments)


def test_images_of_another_shape_are_named():
    with pytest.raises(UserError, match=r"images are \(1, 9, 9\), the network is for \(1, 8, 8\)"):
        CNN([4], 8, num_classes=2)(torch.zeros(2, 1, 9, 9))
