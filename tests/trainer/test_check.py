"""`--check` finds what a run, its resume or its test would fail of, and leaves nothing."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from base import BaseDataLoader
from data_loader.digits import DigitsDataLoader
from tests.conftest import define
from trainer import Trainer
from trainer.build import load_for_test
from utils.errors import UserError


@pytest.fixture
def check(offline, tmp_path, monkeypatch, capsys) -> Callable[..., str]:
    """`check(Own, *settings)`: train.py --check with that trainer; returns what it prints."""
    from train import main

    def run(own: type[Trainer] = Trainer, *settings: str) -> str:
        name = "Trainer" if own is Trainer else define(monkeypatch, "trainer", own)
        settings = (f"trainer.type={name}", f"trainer.save_dir={tmp_path}", *offline, *settings)
        main(["-c", "config.json", "--check", "-s", *settings])
        assert list(tmp_path.iterdir()) == []
        return capsys.readouterr().out

    return run


class BrokenEpoch(Trainer):
    def _train_epoch(self, epoch):
        log = super()._train_epoch(epoch)
        raise (
            UserError(f"broken after {self.batch} batch and {self.valid_data_loader.sampler.length} samples")
            if log
            else 0
        )


class BrokenLog(Trainer):
    def _train_epoch(self, epoch):
        return super()._train_epoch(epoch) | {"answer": "forty-two"}


class BrokenInit(Trainer):
    """Takes for granted that it trains; test.py gives it no data."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.n_batches = len(self.data_loader)


class BrokenState(Trainer):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.stateful["set"] = SavesASet()


class SavesASet:
    def state_dict(self):
        return {"words": {"a", "b"}}


class NotReloadable(Trainer):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.stateful["part"] = Forgetful()


class Forgetful:
    def state_dict(self):
        return {"known": 1}

    def load_state_dict(self, state):
        raise KeyError("unknown")


@pytest.mark.parametrize(
    ("own", "error", "words"),
    [
        (BrokenEpoch, UserError, "broken after 1 batch and 32 samples"),
        (BrokenLog, ValueError, "forty-two"),
        (BrokenInit, TypeError, "has no len"),
        (BrokenState, TypeError, r"the state.set.words: a set cannot be kept"),
        (NotReloadable, UserError, "the checkpoint does not fit this run: KeyError: 'unknown'"),
    ],
)
def test_a_fault_of_ones_own_trainer_is_found(check, own, error, words):
    with pytest.raises(error, match=words):
        check(own)


def test_a_fault_of_the_test_split_is_found(check, monkeypatch):
    class Broken(DigitsDataLoader):
        def __init__(self, batch_size, training=True, **options):
            super().__init__(batch_size, training=training, **options)
            if not training:
                self.samples.target = self.samples.target.double()

    monkeypatch.setattr("data_loader.digits.DigitsDataLoader", Broken)
    with pytest.raises(UserError, match=r"loss: cross_entropy cannot compare .* float64"):
        check()


def test_it_is_one_batch_of_each_loader_and_one_epoch(check, monkeypatch):
    batches = []
    original = BaseDataLoader._batches_in_memory
    monkeypatch.setattr(BaseDataLoader, "_batches_in_memory",
                        lambda self: (batches.append(self.training) or batch for batch in original(self)))  # fmt: skip
    assert "Everything works" in check(Trainer, "trainer.epochs=7")
    assert batches == [True, False, False]  # training, validation, test


def test_a_run_can_be_checked_before_it_goes_on_and_when_it_is_done(train, offline, capsys):
    from train import main

    run_dir = train("config.json", "trainer.epochs=1", "trainer.tensorboard=false", *offline)
    before = {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    main(["-r", str(run_dir), "--check", "-s", "trainer.epochs=3"])
    main(["-r", str(run_dir), "--check"])
    assert capsys.readouterr().out.count("Everything works") == 2
    assert {path: path.read_bytes() for path in run_dir.iterdir() if path.is_file()} == before


class SecondNetwork(Trainer):
    """The output is scaled by a network of the trainer's own."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scale = nn.Linear(10, 10).to(self.device)
        self.stateful["scale"] = self.scale
        self.rate = 0.0
        self.saved_numbers += ["rate"]
        if self.optimizer is not None:
            self.optimizer.add_param_group({"params": list(self.scale.parameters())})

    def compute_loss(self, batch):
        data, target = batch
        output = self.scale(self.model(data))
        self.rate += 1.0 if self.model.training else 0.0
        return self.criterion(output, target), output, target


def test_what_a_trainer_registered_is_restored_for_a_test(monkeypatch, train, evaluate, read_metrics, offline):
    """The same numbers come out as in the validation of the best epoch, if the same samples are tested."""
    name = define(monkeypatch, "trainer", SecondNetwork)
    settings = ["trainer.epochs=2", "trainer.tensorboard=false", f"trainer.type={name}", "trainer.monitor=min val_loss"]
    run_dir = train("config.json", *settings, *offline)
    loader = DigitsDataLoader(32, validation_split=0.1, stratify=True).split_validation()
    monkeypatch.setattr("data_loader.build.build_test_loader", lambda config: loader)
    found, original = [], SecondNetwork.evaluate

    def noting(self, batches):
        found.append((self.epoch, self.rate))
        return original(self, batches)

    monkeypatch.setattr(SecondNetwork, "evaluate", noting)
    results = evaluate(run_dir)
    best = min(read_metrics(run_dir), key=lambda record: record["val_loss"])
    assert results["loss"] == pytest.approx(best["val_loss"], rel=1e-6)
    assert found == [(best["epoch"], best["step"])]


def test_a_part_that_a_checkpoint_lacks_is_named(caplog):
    model = nn.Linear(1, 1)
    trainer = Trainer(model, nn.functional.mse_loss)
    trainer.stateful["scale"] = nn.Linear(1, 1)
    load_for_test(trainer, {"model": model.state_dict(), "epoch": 3})
    assert "scale: not in the checkpoint, so it begins anew" in caplog.text
    assert trainer.epoch == 3
    with pytest.raises(UserError, match="another architecture: weight is missing"):
        load_for_test(trainer, {"scale": {"bias": torch.zeros(1)}})
