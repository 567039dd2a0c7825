"""Training without a run's folder: what it shows, returns and keeps."""

import logging

import pytest
import torch

from tests.conftest import fork
from tests.trainer.test_trainer import make_trainer
from trainer import Trainer

CELL = """
import torch
from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer
model = torch.nn.Linear(1, 1)
loader = BaseDataLoader(InMemoryDataset(torch.ones(4, 1), torch.ones(4, 1)), batch_size=2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
trainer = Trainer(model, torch.nn.MSELoss(), optimizer=optimizer, data_loader=loader, epochs=2)
trainer.train()
trainer.train()
"""


@pytest.mark.parametrize("ema", [None, 0.5])
def test_it_returns_its_history_goes_on_and_restores_the_best(ema, tmp_path):
    trainer = make_trainer(epochs=3, monitor="max val_loss", ema=ema)  # what grows is best: the last epoch is not
    with pytest.raises(ValueError, match="no epoch was the best: give the trainer a monitor"):
        trainer.restore_best()
    assert list(trainer.train()["epoch"]) == list(trainer.train()["epoch"]) == [1, 2, 3]
    trainer.epochs = 4
    history = trainer.train()
    assert list(history["epoch"]) == [1, 2, 3, 4] and {"loss", "val_loss", "lr", "seconds"} <= {*history}
    assert trainer.best == history["val_loss"].max() > history["val_loss"].iloc[-1]
    trainer.restore_best()
    without_average = Trainer(trainer.model, trainer.criterion)
    assert without_average.evaluate(trainer.valid_data_loader)["loss"] == trainer.best

    kept = make_trainer(epochs=4, monitor="max val_loss", ema=ema)
    assert kept.train(tmp_path) is None
    kept.restore_best()
    for one, other in zip(kept.model.state_dict().values(), trainer.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_it_shows_each_epoch(tmp_path):
    def run():
        for name in (None, *logging.root.manager.loggerDict):  # as in a new Python
            logging.getLogger(name).setLevel(logging.NOTSET if name else logging.WARNING)
        exec(CELL, {})

    process = fork(run, tmp_path / "said")
    process.join(300)
    first, second, third = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert process.exitcode == 0
    assert first.startswith("epoch 1/2  loss ") and second.startswith("epoch 2/2  loss ")
    assert third.startswith("Nothing left to train after epoch 2") and "trainer.epochs = N" in third
