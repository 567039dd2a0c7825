import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from base import BaseDataLoader, InMemoryDataset
from data_loader.digits import DigitsDataLoader
from data_loader.sizes import fill_sizes, fill_weights
from model.loss import cross_entropy
from parse_config import ConfigParser
from utils.checkpoint import load_checkpoint
from utils.errors import ConfigError


def loader(data, target):
    return BaseDataLoader(InMemoryDataset(data, target), 2)


def fill(loader, kind, **arguments):
    config = {"arch": {"type": kind, "args": arguments}}
    fill_sizes(config, loader)
    return config["arch"]["args"]


def test_a_list_begins_with_the_inputs_and_ends_with_the_outputs():
    digits = DigitsDataLoader(10)
    assert fill(digits, "MLP", sizes=["auto", 32, "auto"], dropout=0.5) == {"sizes": [64, 32, 10], "dropout": 0.5}
    table = loader(torch.rand(6, 7), torch.rand(6, 2))
    assert fill(table, "MLP", sizes=["auto", "auto"]) == {"sizes": [7, 2]}
    classes = loader(torch.rand(6, 7), torch.tensor([0, 3, 1, 0, 2, 1]))
    assert fill(classes, "MLP", sizes=[7, "auto"]) == {"sizes": [7, 4]}


def test_other_arguments_go_by_their_names():
    images = loader(torch.rand(6, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2]))
    arguments = {"channels": [4], "image_size": "auto", "num_classes": "auto", "in_channels": "auto"}
    expected = {"channels": [4], "image_size": 8, "num_classes": 3, "in_channels": 3}
    assert fill(images, "CNN", **arguments) == expected
    nested = fill(images, "TransferCNN", checkpoint="x", cnn=arguments)
    assert nested == {"checkpoint": "x", "cnn": expected}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": [7, "auto", 2]}, r"arch.args.sizes.1: .*not clear which size"),
        ({"sizes": [7, 2], "dropout": "auto"}, r"arch.args.dropout: .*not clear"),
        ({"in_channels": "auto"}, r"arch.args.in_channels: .*do not tell the channels"),
    ],
)
def test_what_cannot_be_decided_names_its_key(arguments, message):
    with pytest.raises(ConfigError, match=message):
        fill(loader(torch.rand(6, 7), torch.rand(6, 2)), "MLP", **arguments)


def test_config_and_checkpoint_hold_the_numbers_and_a_text_is_no_size(train, evaluate, refused):
    sizes = 'arch.args.sizes=["auto", 8, "auto"]'
    run_dir = train("config.json", sizes, "trainer.epochs=1", "trainer.tensorboard=false")
    assert load_checkpoint(run_dir / "model_best.pth")["config"]["arch"]["args"]["sizes"] == [64, 8, 10]
    assert "auto" not in (run_dir / "config.json").read_text()
    assert evaluate(run_dir)["n_samples"] == 360
    message = refused("train", "-c", "config.json", "-s", sizes.replace("auto", "big"))
    assert 'arch.args.sizes: ["big", 8, "big"] is not' in message


def test_balanced_weights_are_those_of_the_training_samples():
    target = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    parts = BaseDataLoader(InMemoryDataset(torch.rand(100, 2), target), 10, validation_split=0.3)
    config = {"loss": {"type": "cross_entropy", "args": {"weight": "balanced"}}}
    fill_weights(config, parts)
    of_training = target[parts.sampler.indices].numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=of_training)
    assert config["loss"]["args"]["weight"] == pytest.approx(expected.tolist())

    two = {"loss": {"type": "BCEWithLogitsLoss", "args": {"pos_weight": "balanced"}}}
    fill_weights(two, loader(torch.rand(100, 2), target.clamp(max=1)))
    assert two["loss"]["args"]["pos_weight"] == [pytest.approx(60 / 40)]
    for data, message in (
        (parts, "of two classes, and there are 3"),
        (loader(torch.rand(6, 7), torch.rand(6)), "class n"),
    ):
        two["loss"]["args"]["pos_weight"] = "balanced"
        with pytest.raises(ConfigError, match=f"loss.args.pos_weight: .*{message}"):
            fill_weights(two, data)


@pytest.mark.parametrize("name", ["cross_entropy", "CrossEntropyLoss"])
def test_a_test_has_the_class_weights_of_the_training(train, evaluate, name):
    loss = f'loss={{"type": "{name}", "args": {{"weight": "balanced"}}}}'
    run_dir = train("config.json", loss, "trainer.epochs=1", "trainer.tensorboard=false", 'metrics=["auroc"]')
    config = load_checkpoint(run_dir / "model_best.pth")["config"]
    weights = config["loss"]["args"]["weight"]
    assert len(weights) == 10 and all(0.8 < weight < 1.2 for weight in weights) and len(set(weights)) > 1
    weighted = evaluate(run_dir)
    config = ConfigParser(config | {"loss": "cross_entropy"})
    model = config.trained_model(load_checkpoint(run_dir / "model_best.pth"))
    data, target = next(iter(DigitsDataLoader(360, training=False)))
    expected = cross_entropy(model(data), target, weight=torch.tensor(weights))
    assert weighted["loss"] == pytest.approx(expected.item(), rel=1e-3) and 0.5 < weighted["auroc"] <= 1
