import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from model.loss import cross_entropy
from model.mlp import MLP
from trainer.dead_relu_trainer import DeadReluTrainer, DeadUnits


def data(n_samples=40):
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(n_samples, 3, generator=generator)
    return x, (x.sum(dim=1) > 1.5).long()


def mlp_with_dead_units(n_dead):
    """Eight hidden units that are active for every input in [0, 1], but for the last ones, which never are."""
    model = MLP([3, 8, 2])
    linear = model.layers[1]
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(1.0)
        linear.bias[8 - n_dead :] = -1.0
    return model


@pytest.mark.parametrize("n_dead", [0, 3, 8])
def test_every_epoch_logs_the_share_of_dead_units(tmp_path, read_metrics, n_dead):
    torch.manual_seed(0)
    model = mlp_with_dead_units(n_dead)
    loader = BaseDataLoader(InMemoryDataset(*data()), 16, validation_split=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    valid = loader.split_validation()
    trainer = DeadReluTrainer(model, cross_entropy, [], optimizer, loader, valid, epochs=2, tensorboard=False)
    trainer.train(tmp_path)
    assert [record["val_dead_relu"] for record in read_metrics(tmp_path)] == pytest.approx([n_dead / 8] * 2)
    assert "dead_relu" not in read_metrics(tmp_path)[0]  # in training, weights change from batch to batch


def test_one_active_sample_in_any_batch_keeps_a_unit_alive():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [1.0]]))
        model[0].bias.copy_(torch.tensor([-5.0, -50.0]))
    with DeadUnits(model) as dead_units:
        for value in (1.0, 9.0, 2.0):
            model(torch.full((4, 1), value))
    assert dead_units.share() == 0.5
    model(torch.full((1, 1), 99.0))  # outside the block nothing counts
    assert dead_units.share() == 0.5


def test_a_layer_used_twice_with_feature_maps_counts_twice():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.narrow, self.relu = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1), nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(self.narrow(self.relu(self.wide(x))))

    model = Net()
    with torch.no_grad():
        for layer in (model.wide, model.narrow):
            layer.weight.zero_()
            layer.bias.fill_(1.0)
        model.wide.bias[0] = -1.0
        model.narrow.bias[:] = -1.0
    with DeadUnits(model) as dead_units:
        model(torch.rand(5, 1, 6, 6))
        model(torch.rand(3, 1, 6, 6))
    assert dead_units.share() == 3 / 6


def test_a_model_without_relu_is_refused():
    with pytest.raises(ValueError, match=r"no nn\.ReLU layer"):
        DeadReluTrainer(MLP([3, 8, 2], activation="gelu"), cross_entropy)


def test_training_without_validation_data_is_refused():
    model = mlp_with_dead_units(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"set data_loader\.args\.validation_split"):
        DeadReluTrainer(model, cross_entropy, [], optimizer, BaseDataLoader(InMemoryDataset(*data()), 16))


def test_a_config_can_ask_for_it(train, evaluate, read_metrics):
    run_dir = train("configs/digits_cnn.json", "trainer.type=DeadReluTrainer", "trainer.epochs=1",
                    "arch.args.channels=[4]", "trainer.tensorboard=false")  # fmt: skip
    assert 0 <= read_metrics(run_dir)[0]["val_dead_relu"] < 1
    assert "dead_relu" in evaluate(run_dir)
