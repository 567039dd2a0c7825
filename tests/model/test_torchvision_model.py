import pytest
import torch
from torchvision import models

from model.torchvision_model import TorchvisionModel


def offline_settings(folder):
    """With which a config with this model runs without trained weights."""
    return ["arch.args.weights=null"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A local weights file: a resnet18 with random weights."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(models.resnet18().state_dict(), path)
    return path


def test_the_features_are_those_of_the_file_and_only_the_head_learns(weights):
    model = TorchvisionModel("resnet18", num_classes=3, weights=str(weights))
    original = models.resnet18()
    original.load_state_dict(torch.load(weights, weights_only=True))
    original.fc = model.classifier
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(images), original.eval()(images))  # without .eval(): the features are in it anyway
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "classifier.weight",
        "classifier.bias",
    ]

    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.classifier.parameters(), lr=0.1)
    model.train()
    torch.nn.functional.cross_entropy(model(images), torch.tensor([0, 2])).backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0", "densenet121"])
def test_other_families_get_a_new_head_too(backbone):
    model = TorchvisionModel(backbone, num_classes=3, weights=None)
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    assert not any(layer.training for layer in model.features.modules())


def test_the_last_layer_of_the_file_does_not_matter(tmp_path):
    torch.save(models.resnet18(num_classes=7).state_dict(), tmp_path / "seven.pth")
    TorchvisionModel("resnet18", num_classes=3, weights=str(tmp_path / "seven.pth"))


def test_an_unknown_backbone_and_one_without_a_linear_layer_are_refused():
    with pytest.raises(ValueError, match="'resnet81' is unknown, did you mean 'resnet18'"):
        TorchvisionModel("resnet81", num_classes=3, weights=None)
    with pytest.raises(ValueError, match="'squeezenet1_0' does not end in a linear layer"):
        TorchvisionModel("squeezenet1_0", num_classes=3, weights=None)


def test_weights_that_do_not_fit_are_refused_with_the_cause(weights, tmp_path):
    state = torch.load(weights, weights_only=True)
    state["conv1.weight"] = state["conv1.weight"][:32]
    del state["bn1.bias"]
    torch.save(state, tmp_path / "shape.pth")
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(models.resnet18, tmp_path / "code.pth")  # a pickled function: only weights_only=False would load it
    for name, message in {
        "shape.pth": r"bn1\.bias is missing; conv1\.weight is \[32, 3, 7, 7\], the model's is \[64, 3, 7, 7\]",
        "text.pth": "is damaged or not a checkpoint",
        "list.pth": "is not a state_dict",
        "code.pth": "cannot be loaded safely",
        "gone.pth": r"no such file.*arch\.args\.weights=null",
    }.items():
        with pytest.raises(ValueError, match=rf"{name}.*{message}"):
            TorchvisionModel("resnet18", num_classes=3, weights=str(tmp_path / name))


def test_a_second_stage_takes_all_weights_of_a_checkpoint_and_trains_them(tmp_path):
    first = TorchvisionModel("resnet18", num_classes=3, weights=None)
    parts = {"model": first.state_dict(), "optimizer": {}, "lr_scheduler": None, "config": {}}
    torch.save(parts, tmp_path / "model_best.pth")
    second = TorchvisionModel("resnet18", num_classes=3, weights=str(tmp_path / "model_best.pth"), frozen=False).train()
    assert all(torch.equal(weight, first.state_dict()[name]) for name, weight in second.state_dict().items())
    assert all(parameter.requires_grad for parameter in second.parameters())
    assert all(module.training for module in second.modules())


def test_random_features_that_stay_frozen_are_noticed_where_they_are_trained_on(caplog):
    model = TorchvisionModel("resnet18", num_classes=3, weights=None)
    model.eval()
    assert not caplog.records
    model.train()
    assert "The features are random and frozen" in caplog.text
    caplog.clear()
    TorchvisionModel("resnet18", num_classes=3, weights=None, frozen=False).train()
    resumed = TorchvisionModel("resnet18", num_classes=3, weights=None)
    resumed.load_state_dict(model.state_dict())
    resumed.train()
    assert not caplog.records
