from pathlib import Path

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from model.gan import Discriminator, Generator
from model.loss import cross_entropy
from model.metric import accuracy
from parse_config import ConfigParser
from tests.trainer.test_trainer import stopped_at
from tools.verify import find_difference
from trainer.gan_trainer import GanTrainer, energy_distance
from trainer.several import Optimizers
from utils.checkpoint import load_checkpoint
from utils.config import read_json
from utils.errors import ConfigError, TrainingInterrupted

SHAPE = (1, 2, 3)


def make(kind=GanTrainer, n_samples=40, **options):
    torch.manual_seed(0)
    images = torch.rand(n_samples, *SHAPE)
    loader = BaseDataLoader(InMemoryDataset(images, torch.zeros(n_samples)), 8, validation_split=0.2)
    model = nn.ModuleDict({"generator": Generator(4, [16], SHAPE), "discriminator": Discriminator([16], SHAPE)})
    optimizer = Optimizers({name: torch.optim.Adam(part.parameters(), 1e-3) for name, part in model.items()})
    options = {"epochs": 3, "tensorboard": False} | options
    return kind(model, cross_entropy, [accuracy], optimizer, loader, loader.split_validation(), **options)


def test_shapes():
    images = Generator(4, [16, 8], SHAPE)(torch.randn(5, 4))
    assert images.shape == (5, *SHAPE) and images.min() >= 0 and images.max() <= 1
    assert Discriminator([16], SHAPE)(images).shape == (5, 2)


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}])
def test_a_stopped_run_goes_on_bit_by_bit(options, tmp_path, read_metrics):
    (tmp_path / "straight").mkdir()
    (tmp_path / "stopped").mkdir()
    make(**options).train(tmp_path / "straight")
    checkpoint = None
    for step in (1, 3, 6):  # within an epoch, and at the end of one
        trainer = make(stopped_at(("step", step), GanTrainer), **options)
        if checkpoint is not None:
            trainer.resume(checkpoint)
        with pytest.raises(TrainingInterrupted):
            trainer.train(tmp_path / "stopped")
        checkpoint = load_checkpoint(tmp_path / "stopped" / "checkpoint-last.pth")
        assert checkpoint["step"] == step + 1
    trainer = make(**options)
    trainer.resume(checkpoint)
    trainer.train(tmp_path / "stopped")

    first, second = (load_checkpoint(tmp_path / name / "checkpoint-last.pth") for name in ("straight", "stopped"))
    assert find_difference(first, second) is None
    assert len(first["optimizer"]["state"]) == 5 + 4  # weights and biases of the two
    assert all(state["step"] == 12 for state in first["optimizer"]["state"].values())  # four batches, three epochs
    logs = [[record | {"seconds": 0} for record in read_metrics(tmp_path / name)] for name in ("straight", "stopped")]
    assert logs[0] == logs[1]
    assert {"loss", "discriminator_loss", "accuracy", "val_energy_distance"} <= logs[0][0].keys()


def test_a_step_is_that_of_the_textbook():
    trainer, by_hand = make(), make()
    batch = next(iter(trainer.data_loader))
    torch.manual_seed(1)
    trainer.train_step(batch)

    torch.manual_seed(1)
    generator, discriminator = by_hand.model["generator"], by_hand.model["discriminator"]
    real, fake = batch[0], generator(torch.randn(8, 4))
    scores = discriminator(torch.cat([real, fake.detach()]))
    chance_real = scores.softmax(dim=1)[:, 1]
    (-(chance_real[:8].log().sum() + (1 - chance_real[8:]).log().sum()) / 16).backward()
    by_hand.optimizer["discriminator"].step()
    (-discriminator(fake).softmax(dim=1)[:, 1].log().mean()).backward()
    by_hand.optimizer["generator"].step()
    torch.testing.assert_close(dict(trainer.model.named_parameters()), dict(by_hand.model.named_parameters()))


def test_the_energy_distance_is_0_for_the_same_distribution_and_grows_with_the_distance():
    x = torch.tensor([[0.0], [1.0], [3.0]])
    y = torch.tensor([[2.0], [2.0]])
    # between: (2 + 1 + 1) / 3; within x: (1 + 3 + 2) / 3; within y: 0
    torch.testing.assert_close(energy_distance(x, y), torch.tensor(2 * 4 / 3 - 2))
    torch.manual_seed(0)
    one, other = torch.randn(2, 1000, 5)
    assert abs(energy_distance(one, other)) < 0.01
    assert energy_distance(one, other + 0.5) > 0.05
    assert energy_distance(one, other + 1) > energy_distance(one, other + 0.5)


def test_evaluation_draws_nothing_and_repeats():
    trainer = make()
    before = torch.get_rng_state()
    first, second = trainer.evaluate(trainer.valid_data_loader), trainer.evaluate(trainer.valid_data_loader)
    assert first == second
    assert torch.equal(before, torch.get_rng_state()) and trainer.model.training


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match="let `arch` name a generator and a discriminator"):
        GanTrainer(nn.Linear(1, 1), cross_entropy)
    config = read_json(Path("configs/digits_gan.json"))
    config["trainer"] |= {"amp": "bf16", "accumulate": 2}
    with pytest.raises(ConfigError) as error:
        ConfigParser(config)
    for key in ("trainer.amp", "trainer.accumulate"):
        assert f"{key}: unknown option of GanTrainer" in str(error.value)
