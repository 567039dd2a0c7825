"""What code of one's own drops without a word is named: options, steps, the learning rate, the original's hooks."""

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from tests.trainer.test_trainer import make_trainer, toy_data
from trainer import Trainer
from utils.errors import UserError

ASKED = {"accumulate": 2, "amp": "bf16", "clip_grad_norm": 1.0, "ema": 0.9, "on_nan": "skip"}


class PlainStep(Trainer):
    def train_step(self, batch):
        self.optimizer.zero_grad()
        loss, output, target = self.compute_loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss, output, target


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
