import torch
from torch import nn

from data_loader.linear import LinearDataLoader
from model.linear import LinearRegression
from model.loss import mse_loss
from trainer.parameter_logging import ParameterLoggingTrainer


class LogKeepingTrainer(ParameterLoggingTrainer):
    def _train_epoch(self, epoch):
        self.last_log = super()._train_epoch(epoch)
        return self.last_log


def train(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trainer = LogKeepingTrainer(model, mse_loss, (), optimizer, LinearDataLoader(100), epochs=1)
    trainer.train()
    return trainer.last_log


def test_single_numbers_are_logged_as_they_are_at_the_epochs_end():
    model = LinearRegression()
    log = train(model)
    assert list(log) == ["loss", "weight", "bias"]
    assert (log["weight"], log["bias"]) == (model.weight.item(), model.bias.item())


def test_larger_parameters_are_left_out():
    log = train(nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 1)))
    assert list(log) == ["loss", "1.bias"]
