"""NaN and infinity among the metrics: never the best, never a reason to go on, and harmless to a schedule."""

import math

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer

NAN, INF = math.nan, math.inf


def train(values, **options):
    """A trainer that was trained with these `score`s, one an epoch."""

    class Scripted(Trainer):
        def _train_epoch(self, epoch):
            return super()._train_epoch(epoch) | {"score": values[epoch - 1]}

    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=0)
    loader = BaseDataLoader(InMemoryDataset(torch.ones(4, 1), torch.ones(4, 1)), 4)
    options = {"epochs": len(values), "monitor": "max score"} | options
    trainer = Scripted(model, nn.functional.mse_loss, [], optimizer, loader, lr_scheduler=plateau, **options)
    trainer.train()
    return trainer


@pytest.mark.parametrize(
    ("values", "best", "epochs_since_best"),
    [
        ((NAN, 1, NAN, 2, INF, -INF), 2, 2),
        ((INF, 1, 3, 2), 3, 1),
        ((NAN, NAN), None, 2),
    ],
)
def test_the_largest_is_the_largest_finite_one(values, best, epochs_since_best):
    trainer = train(values)
    assert (trainer.best, trainer.epochs_since_best) == (best, epochs_since_best)


@pytest.mark.parametrize(
    ("values", "epochs_done"),
    [
        ((1, NAN, NAN, 2, 3), 3),
        ((1, INF, NAN, 2, 3), 3),  # infinity is no improvement
        ((1, NAN, 2, NAN, 3), 5),
        ((NAN, NAN, 1), 2),
    ],
)
def test_an_epoch_without_a_finite_metric_counts_as_a_bad_one(values, epochs_done):
    assert train(values, early_stop=2).epoch == epochs_done


def test_a_plateau_takes_nan_for_no_improvement():
    assert train((1, NAN, NAN)).optimizer.param_groups[0]["lr"] == 0.025
