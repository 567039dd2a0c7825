"""Several models, optimizers, schedulers and losses by name, and layers that learn otherwise than the others."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from model.loss import mse_loss
from parse_config import ConfigParser
from tools.verify import find_difference
from trainer import Trainer
from trainer.build import build_optimizer, build_scheduler
from utils.checkpoint import load_checkpoint
from utils.config import read_json
from utils.errors import ConfigError

GAN = read_json(Path("configs/digits_gan.json"))
STEP = {"type": "StepLR", "args": {"step_size": 1, "gamma": 0.5}}


def config_with(path: str = "config.json", **changes) -> ConfigParser:
    return ConfigParser(read_json(Path(path)) | changes)


# ---------------------------------------------------------------------------------------------- several by name


def test_a_run_of_several_is_resumed_with_all_of_them(train, evaluate, read_metrics):
    settings = ["trainer.tensorboard=false", f'lr_scheduler={{"discriminator": {json.dumps(STEP)}}}']
    settings += ["trainer.save_period=1", "optimizer.generator.args.lr=0.001", "trainer.warmup_steps=5"]
    run_dir = train("configs/digits_gan.json", *settings, "trainer.epochs=2")
    state = load_checkpoint(run_dir / "checkpoint-last.pth")
    assert [group["lr"] for group in state["optimizer"]["param_groups"]] == [0.001, 0.0005 / 4]
    assert {name.split(".")[0] for name in state["model"]} == {"generator", "discriminator"}
    config = ConfigParser(state["config"])
    assert isinstance(config.trained_model(state)["generator"], nn.Module)
    assert evaluate(run_dir)["energy_distance"] == pytest.approx(read_metrics(run_dir)[-1]["val_energy_distance"], 0.5)


def test_each_optimizer_has_its_own_model_and_losses_come_by_name():
    losses = {"a": {"type": "cross_entropy", "args": {"label_smoothing": 0.5}}, "b": {"type": "HuberLoss"}}
    config = config_with("configs/digits_gan.json", loss=losses, lr_scheduler={"generator": STEP})
    model = config.init_model()
    optimizer = build_optimizer(config, model)
    for name, part in model.items():
        [group] = optimizer[name].param_groups
        assert [*map(id, group["params"])] == [*map(id, part.parameters())]
    build_scheduler(config, optimizer).step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.00025, 0.0005]
    criterion = config.init_ftn("loss")
    assert criterion["b"](torch.zeros(1), torch.ones(1)) == 0.5 and criterion["a"].keywords == {"label_smoothing": 0.5}


def test_a_plateau_is_one_of_several_schedulers(train, resume):
    plateau = {"type": "ReduceLROnPlateau", "args": {"patience": 0, "threshold": 0.99, "factor": 0.1}}  # none is better
    both = json.dumps({"generator": STEP, "discriminator": plateau})
    settings = ["trainer.tensorboard=false", f"lr_scheduler={both}", "trainer.save_period=1"]
    run_dir = train("configs/digits_gan.json", *settings, "trainer.epochs=3")
    state = load_checkpoint(run_dir / "checkpoint-last.pth")
    rates = [group["lr"] for group in state["optimizer"]["param_groups"]]
    assert rates == pytest.approx([0.0005 / 8, 0.0005 * 0.1**2])
    resume(run_dir / "checkpoint-epoch1.pth")
    assert find_difference(load_checkpoint(run_dir / "checkpoint-last.pth")["optimizer"], state["optimizer"]) is None
    plateau["args"]["mode"] = "max"
    config = config_with("configs/digits_gan.json", lr_scheduler={"generator": plateau, "discriminator": plateau})
    assert build_scheduler(config, build_optimizer(config, config.init_model())).mode == "max"
    config.config["lr_scheduler"]["generator"] = {"type": "ReduceLROnPlateau"}
    with pytest.raises(ConfigError, match='mode "min" here and "max" there'):
        build_scheduler(config, build_optimizer(config, config.init_model()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": {"type": "Adam"}}, ["optimizer: it is for a single one; arch has discriminator, generator"]),
        ({"optimizer": {"generator": {"type": "Adam"}}}, ["optimizer: it is for generator; arch has discriminator, "]),
        ({"lr_scheduler": {"generater": STEP}}, ["lr_scheduler: it is for generater; arch has discriminator, "]),
        ({"arch": GAN["arch"] | {"discriminator": {"type": "Discriminatr"}}},
         ["arch.discriminator.type: ", "did you mean 'Discriminator'?"]),
        ({"optimizer": {"generator": {"type": "Adma"}, "discriminator": {"type": "Adam", "args": {"lrr": 1}}}},
         ["optimizer.generator.type: ", "optimizer.discriminator.args.lrr: unknown argument of Adam"]),
        ({"arch": {"a.b": GAN["arch"]["generator"]}}, ["arch.a.b: no name; say letters, digits, _"]),
        ({"trainer": {"epochs": 1}}, ["trainer.type: several models need a trainer of your own"]),
    ],
)  # fmt: skip
def test_names_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(ConfigError) as error:
        config_with("configs/digits_gan.json", **changes)
    for word in words:
        assert word in str(error.value)


# --------------------------------------------------------------------------------------------- layers of one model


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.features(x))


def optimizer_for(model: nn.Module, **layers):
    config = config_with(optimizer={"type": "SGD", "args": {"lr": 0.1, "momentum": 0.9}} | layers)
    return build_optimizer(config, model)


def test_layers_have_learning_rates_of_their_own():
    model = Net()
    groups = {"features": {"lr": 0.01}, "features.2": {"lr": 0.001, "momentum": 0.0}}
    found = optimizer_for(model, groups=groups).param_groups
    assert [(len(group["params"]), group["lr"], group["momentum"]) for group in found] == [
        (2, 0.1, 0.9), (4, 0.01, 0.9), (2, 0.001, 0.0)]  # fmt: skip
    assert found[2]["params"][0] is model.features[2].weight


def test_frozen_layers_change_neither_weights_nor_statistics():
    model = Net()
    optimizer = optimizer_for(model, freeze=["features"], groups={"head.bias": {"lr": 1.0}})
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    model(torch.randn(8, 4)).sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"freeze": ["feature"]}, "optimizer.freeze: no layer is called 'feature', did you mean 'features'?"),
        ({"groups": {"heads": {"lr": 1}}}, "optimizer.groups: no layer is called 'heads', did you mean 'head'?"),
        ({"groups": {"head": {"lrr": 1}}}, "optimizer.groups.head.lrr: unknown option of SGD, did you mean 'lr'?"),
        ({"groups": {"head": 0.1}}, "optimizer.groups.head.0.1: unknown option of SGD"),
        ({"freeze": "head"}, 'optimizer.freeze: "head" is not list[str]'),
        ({"freeze": ["head", "features"]}, "optimizer: all weights of the model are frozen"),
    ],
)
def test_layers_that_are_not_there_are_refused(layers, words):
    with pytest.raises(ConfigError) as error:
        optimizer_for(Net(), **layers)
    assert words in str(error.value)


def test_a_run_with_groups_goes_on_bit_by_bit(train, resume):
    settings = [
        'optimizer.groups={"layers.1": {"lr": 0.0001}}',
        'optimizer.freeze=["layers.4"]',
        "trainer.save_period=1",
    ]
    settings += ["trainer.tensorboard=false", "trainer.epochs=2", "data_loader.args.n_samples=200"]
    straight = load_checkpoint(train("config.json", *settings) / "checkpoint-last.pth")
    groups = straight["optimizer"]["param_groups"]
    assert [group["params"] for group in groups] == [
        ["model.layers.7.weight", "model.layers.7.bias"],
        ["model.layers.1.weight", "model.layers.1.bias"],
    ]
    assert groups[1]["lr"] < groups[0]["lr"]
    run_dir = train("config.json", *settings, run_id="resumed")
    resume(run_dir / "checkpoint-epoch1.pth")
    resumed = load_checkpoint(run_dir / "checkpoint-last.pth")
    assert find_difference(straight["model"], resumed["model"]) is None
    assert find_difference(straight["optimizer"], resumed["optimizer"]) is None


def test_several_models_with_a_train_step_alone_are_told_what_validation_and_test_need():
    class OnlySteps(Trainer):
        def train_step(self, batch): ...

    class Evaluates(OnlySteps):
        def compute_loss(self, batch): ...

    model = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    options = {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "data_loader": toy_loader()}
    for unfit in ({}, options | {"valid_data_loader": toy_loader()}):  # the first is test.py's
        with pytest.raises(ValueError, match="several models need a compute_loss or evaluate of your own"):
            OnlySteps(model, mse_loss, **unfit)
        Evaluates(model, mse_loss, **unfit)
    OnlySteps(model, mse_loss, **options)


def toy_loader() -> BaseDataLoader:
    x = torch.rand(4, 1)
    return BaseDataLoader(InMemoryDataset(x, x), batch_size=2)
