"""What code of one's own drops without a word is named: options, steps, the learning rate, the original's hooks."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset, WeightedRandomSampler

from base import BaseDataLoader, InMemoryDataset
from tests.trainer.parallel.test_same_training import PlainStep
from tests.trainer.test_trainer import make_trainer, toy_data
from trainer import Trainer
from utils.errors import UserError

ASKED = {"accumulate": 2, "amp": "bf16", "clip_grad_norm": 1.0, "ema": 0.9, "on_nan": "skip"}


class ClippingStep(Trainer):
    def train_step(self, batch):
        self.optimizer.zero_grad()
        loss, output, target = self.compute_loss(batch)
        loss.backward()
        self._update_weights([buffer.clone() for buffer in self.model.buffers()])
        return loss, output, target


class PlainEpoch(Trainer):
    def _train_epoch(self, epoch):
        for batch in self.data_loader:
            loss, *_ = self.train_step(batch)
            self.end_step()
        return {"val_loss": loss.item()}


class ScaledStep(Trainer):
    def train_step(self, batch):
        data, target = batch
        return super().train_step((2 * data, target))


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        (PlainStep, ASKED, "trainer.accumulate, trainer.amp, trainer.clip_grad_norm, trainer.on_nan"),
        (PlainStep, {"clip_grad_norm": 1.0}, "trainer.clip_grad_norm"),
        (PlainStep, {}, None),
        (ClippingStep, ASKED, "trainer.accumulate, trainer.amp"),
        (PlainEpoch, ASKED, "trainer.ema"),
        (ScaledStep, ASKED, None),
        (Trainer, ASKED, None),
    ],
)
def test_options_that_a_step_of_ones_own_drops_are_named_once(kind, options, named, caplog):
    make_trainer(kind, epochs=2, scheduler="none", **options).train()
    warned = [record.message for record in caplog.records if "does not use" in record.message]
    assert [text.split(" for ")[1].split(":")[0] for text in warned] == ([named] if named else [])


class OldEpoch(Trainer):
    """As in victoresque's template."""

    steps_scheduler = True

    def _train_epoch(self, epoch):
        for batch in self.data_loader:
            loss, *_ = self.train_step(batch)
            self.count()
        if self.steps_scheduler:
            self.lr_scheduler.step()
        return {"val_loss": loss.item()}

    def count(self):
        pass


class CountingEpoch(OldEpoch):
    def count(self):
        self.end_step()


def test_a_scheduler_that_would_step_twice_is_refused():
    with pytest.raises(UserError, match=r"stepped after each epoch already: remove self.lr_scheduler.step\(\)"):
        make_trainer(CountingEpoch).train()
    with pytest.raises(UserError, match="stepped after each step already"):
        make_trainer(CountingEpoch, scheduler="one cycle", schedule_per="step").train()


def test_a_run_that_is_gone_on_with_steps_once():
    first = make_trainer(epochs=2)
    first.train()
    second = make_trainer(epochs=4)
    second.load_state_dict(first.state_dict())
    second.train()
    assert second.lr_scheduler.last_epoch == 4


def test_an_epoch_that_counts_no_steps_is_named_once(caplog):
    make_trainer(type("Silent", (OldEpoch,), {"steps_scheduler": False}), epochs=2).train()
    warned = [record.message for record in caplog.records if "end_step" in record.message]
    assert len(warned) == 1 and warned[0].startswith("Silent._train_epoch does not call self.end_step()")


def test_the_hook_of_the_original_that_nothing_calls_is_refused():
    class Loader(BaseDataLoader):
        def _split_sampler(self, split):
            return None, None

    with pytest.raises(ValueError, match=r"Loader\._split_sampler is never called; override split_validation"):
        Loader(InMemoryDataset(*toy_data()), 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"amp": "x"}, 'amp is \'x\', not "bf16" or "fp16" or null'),
        ({"epochs": -1}, "epochs is -1, not an integer >= 1"),
        ({"ema": 2, "on_nan": "skp"}, "ema is 2, not a number > 0 and < 1 or null; on_nan is 'skp'"),
        ({"monitor": "val_loss"}, "monitor is 'val_loss', not off, min NAME or max NAME"),
        ({"schedule_per": "batch"}, "schedule_per is 'batch', not"),
    ],
)
def test_in_a_notebook_options_are_checked_too(options, words):
    with pytest.raises(ValueError, match=words):
        Trainer(nn.Linear(1, 1), nn.functional.mse_loss, **options)


def test_numbers_of_numpy_and_torch_are_named():
    with pytest.raises(ValueError, match="epochs is tensor"):
        Trainer(nn.Linear(1, 1), nn.functional.mse_loss, epochs=torch.tensor(3))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_plain_data_loader_trains_and_resumes_as_one_of_base_does(shuffle):
    dataset = TensorDataset(*toy_data())

    def train(loader, valid_loader, epochs, state=None):
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        trainer = Trainer(model, nn.CrossEntropyLoss(), [], optimizer, loader, valid_loader, epochs=epochs)
        if state:
            trainer.load_state_dict(state)
        return trainer, trainer.train()

    options = {"batch_size": 8, "shuffle": shuffle, "drop_last": True}
    torch.manual_seed(0)
    ours, history = train(BaseDataLoader(dataset, **options), BaseDataLoader(dataset, 30, training=False), 4)
    plain = DataLoader(dataset, **options), DataLoader(dataset, 30, shuffle=True)
    torch.manual_seed(0)
    first, _ = train(*plain, 2)
    second, resumed = train(*plain, 4, first.state_dict())
    assert torch.equal(second.model.weight, ours.model.weight)
    assert list(resumed["val_loss"])[-1] == list(history["val_loss"])[-1]


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.ones(4), 1


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Endless()),
        DataLoader(TensorDataset(*toy_data()), sampler=WeightedRandomSampler([1.0] * 90, 90)),
        DataLoader(TensorDataset(*toy_data()), sampler=RandomSampler(range(90), num_samples=9)),
        DataLoader(TensorDataset(*toy_data()), batch_size=None),
        [(torch.ones(2, 4), torch.ones(2))],
    ],
    ids=["endless", "weighted", "a part", "no batches", "a list"],
)
def test_a_loader_whose_place_nobody_knows_is_refused_with_what_to_write(loader):
    with pytest.raises(TypeError, match=r"cannot be resumed; say base\.BaseDataLoader\(dataset, batch_size=32\)"):
        Trainer(nn.Linear(4, 3), None, data_loader=loader)
