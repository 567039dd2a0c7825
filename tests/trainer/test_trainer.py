"""The trainer on toy data: what it logs, when it stops, and that a resumed run is the same run, bit by bit."""

import functools
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from base import BaseDataLoader, BaseDataset, BaseModel, InMemoryDataset
from trainer import Trainer
from utils.checkpoint import load_checkpoint
from utils.data import split_indices
from utils.errors import TrainingInterrupted, UserError
from utils.loop import per_epoch
from utils.seed import random_state


def accuracy(output, target):  # metrics of the tests' own: a project may have others
    return (output.argmax(1) == target).float().mean()


@per_epoch
def macro_f1(output, target):
    return f1_score(target, output.argmax(1), average="macro")


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.Linear(8, 3))

    def forward(self, x):
        return self.layers(x)


def toy_data(n_samples: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    data = torch.randn(n_samples, 4, generator=generator)
    return data, (data.sum(dim=1) > 0).long() + (data[:, 0] > 0.5).long()


class NoisyDataset(BaseDataset):
    """Read sample by sample, with random augmentation."""

    def __init__(self):
        self.data, self.target = toy_data()

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.data[index] + 0.1 * torch.randn(4), self.target[index]


def make_trainer(
    kind: type[Trainer] = Trainer, dataset=None, num_workers: int = 0, scheduler: str = "step", seed: int = 0, **options
) -> Trainer:
    torch.manual_seed(seed)
    loader = BaseDataLoader(dataset or InMemoryDataset(*toy_data()), 8, validation_split=0.2, num_workers=num_workers)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    lr_scheduler = {
        "step": lambda: torch.optim.lr_scheduler.StepLR(optimizer, 2),
        "plateau": lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
        "one cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=36),
        "none": lambda: None,
    }[scheduler]()
    options = {"epochs": 4, "monitor": "min val_loss", "tensorboard": False} | options
    return kind(
        model,
        nn.functional.cross_entropy,
        [accuracy, macro_f1],
        optimizer,
        loader,
        loader.split_validation(),
        lr_scheduler,
        **options,
    )


@pytest.mark.parametrize("is_terminal", [True, False])
def test_on_a_terminal_a_long_epoch_has_a_bar(is_terminal, monkeypatch, capsys):
    class Slow(Trainer):
        def train_step(self, batch):
            time.sleep(0.7 if self.step == 9 else 0)  # in the second epoch
            return super().train_step(batch)

    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    make_trainer(Slow, epochs=3).train()
    shown = capsys.readouterr().err
    assert [epoch for epoch in (1, 2, 3) if f"epoch {epoch}/3" in shown] == ([2] if is_terminal else [])


def assert_same(first, second, path: str = "state") -> None:
    """Equal to the last bit, whatever the nesting."""
    assert type(first) is type(second), path
    if isinstance(first, torch.Tensor):
        if not torch.equal(first, second):
            pytest.fail(f"{path} differs")
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_same(first[key], second[key], f"{path}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_same(a, b, f"{path}.{i}")
    else:
        assert first == second, path


def without_seconds(records: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


def run_folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


# ---------------------------------------------------------------------------------------------------------- resume


def poisoned() -> InMemoryDataset:
    """With NaN in a sample that is trained on."""
    data, target = toy_data()
    train_indices, _ = split_indices(torch.arange(len(data)), 0.2)
    data[train_indices[0]] = math.nan
    return InMemoryDataset(data, target)


VARIANTS = {
    "in memory": {},
    "in memory, augmented": {"dataset": InMemoryDataset(*toy_data(), lambda data: data + 0.1 * torch.randn_like(data))},
    "plateau scheduler": {"scheduler": "plateau"},
    "augmented, 0 workers": {"dataset": NoisyDataset()},
    "augmented, 2 workers": {"dataset": NoisyDataset(), "num_workers": 2},
    "accumulate": {"accumulate": 3},
    "amp bf16": {"amp": "bf16"},
    "amp fp16": {"amp": "fp16"},
    "ema": {"ema": 0.9},
    "schedule per step": {"scheduler": "one cycle", "schedule_per": "step"},
    "warm-up": {"warmup_steps": 12},
    "clip": {"clip_grad_norm": 0.5},
    "skip": {"dataset": poisoned(), "on_nan": "skip"},
    "everything": {
        "dataset": poisoned(),
        "accumulate": 2,
        "amp": "fp16",
        "ema": 0.9,
        "warmup_steps": 12,
        "scheduler": "one cycle",
        "schedule_per": "step",
        "clip_grad_norm": 0.5,
        "on_nan": "skip",
    },
}


STOPS = [("step", 0), ("step", 4), ("step", 8), ("validation", 0), ("step", 9), ("validation", 1), ("step", 21)]


class Copying(Trainer):
    """Keeps a copy of what was saved in the middle of the third epoch, while the training went on."""

    def train_step(self, batch):
        result = super().train_step(batch)
        if self.step == 24:  # this is the next one: the save has been written while the weights changed
            self.checkpoints._wait()
            shutil.copy(self.run_dir / "checkpoint-last.pth", self.run_dir / "within.pth")
        return result


@pytest.fixture(scope="module")
def straight_run(tmp_path_factory) -> Callable[[str], Path]:
    """`straight_run(variant)`: the folder of an uninterrupted run, which is done once."""
    folder = tmp_path_factory.mktemp("straight")

    @functools.cache
    def run(variant: str) -> Path:
        make_trainer(Copying, save_every_steps=24, **VARIANTS[variant]).train(run_folder(folder, variant))
        return folder / variant

    return run


def stopped_at(place: tuple[str, int], kind: type[Trainer] = Trainer) -> type[Trainer]:
    """A trainer that gets a signal during a step, or in the validation after so many epochs."""

    class Stopped(kind):
        def train_step(self, batch):
            result = super().train_step(batch)
            if place == ("step", self.step):
                os.kill(os.getpid(), signal.SIGTERM)
            return result

        def evaluate(self, batches):
            if place == ("validation", self.epoch):
                os.kill(os.getpid(), signal.SIGINT)
            return super().evaluate(batches)

    return Stopped


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.filterwarnings("error")  # such as torch's of a schedule that steps before the optimizer
def test_a_run_stopped_again_and_again_is_the_same_run(tmp_path, straight_run, read_metrics, variant):
    """9 steps an epoch: in the middle and at both ends of one, and in its validation."""
    straight, stopped = straight_run(variant), run_folder(tmp_path, "stopped")
    checkpoint = None
    for kind, number in STOPS:
        trainer = make_trainer(stopped_at((kind, number)), **VARIANTS[variant])
        if checkpoint is not None:
            torch.rand(checkpoint["step"])  # whatever was drawn meanwhile does not matter
            trainer.resume(checkpoint)
        with pytest.raises(TrainingInterrupted) as interrupted:
            trainer.train(stopped)
        checkpoint = load_checkpoint(stopped / "checkpoint-last.pth")
        step, n_epochs, code = (number + 1, number // 9, 143) if kind == "step" else (9 * number + 9, number, 130)
        assert (checkpoint["step"], len(read_metrics(stopped)), interrupted.value.exit_code) == (step, n_epochs, code)
    trainer = make_trainer(**VARIANTS[variant])
    trainer.resume(checkpoint)
    trainer.train(stopped)

    for epoch in (1, 2, 3, 4):
        assert_same(*(load_checkpoint(run / f"checkpoint-epoch{epoch}.pth") for run in (straight, stopped)))
    for name in ("checkpoint-last.pth", "model_best.pth"):
        assert_same(load_checkpoint(straight / name), load_checkpoint(stopped / name))
    assert without_seconds(read_metrics(straight)) == without_seconds(read_metrics(stopped))


def test_a_signal_between_two_named_a_batch_stops_after_the_whole_step(tmp_path, straight_run, read_metrics):
    class StoppedInside(Trainer):
        n_parts_done = 0

        def compute_loss(self, batch):
            self.n_parts_done += 1
            if self.n_parts_done == 14:  # the second of three parts of the fifth step
                os.kill(os.getpid(), signal.SIGTERM)
            return super().compute_loss(batch)

    straight, stopped = straight_run("accumulate"), run_folder(tmp_path, "stopped")
    with pytest.raises(TrainingInterrupted):
        make_trainer(StoppedInside, accumulate=3).train(stopped)
    checkpoint = load_checkpoint(stopped / "checkpoint-last.pth")
    assert checkpoint["step"] == 5
    trainer = make_trainer(accumulate=3)
    trainer.resume(checkpoint)
    trainer.train(stopped)
    assert_same(load_checkpoint(straight / "checkpoint-last.pth"), load_checkpoint(stopped / "checkpoint-last.pth"))
    assert without_seconds(read_metrics(straight)) == without_seconds(read_metrics(stopped))


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_saved_within_an_epoch_while_the_training_went_on_is_resumed_exactly(tmp_path, straight_run, variant):
    straight, resumed = straight_run(variant), run_folder(tmp_path, "resumed")
    trainer = make_trainer(**VARIANTS[variant])
    trainer.resume(load_checkpoint(straight / "within.pth"))
    assert (trainer.step, trainer.batch) == (24, 6)
    trainer.train(resumed)
    assert_same(load_checkpoint(straight / "checkpoint-last.pth"), load_checkpoint(resumed / "checkpoint-last.pth"))


def test_a_signal_during_a_validation_that_draws_random_numbers(tmp_path, read_metrics):
    class Noisy(Trainer):
        stop_at = None

        def compute_loss(self, batch):
            if not self.model.training and self.epoch == self.stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().compute_loss([batch[0] + torch.randn_like(batch[0]), batch[1]])

    straight, stopped = run_folder(tmp_path, "straight"), run_folder(tmp_path, "stopped")
    make_trainer(Noisy).train(straight)
    with pytest.raises(TrainingInterrupted):
        make_trainer(type("Stopped", (Noisy,), {"stop_at": 1})).train(stopped)
    trainer = make_trainer(Noisy)
    trainer.resume(load_checkpoint(stopped / "checkpoint-last.pth"))
    trainer.train(stopped)
    assert_same(load_checkpoint(straight / "checkpoint-last.pth"), load_checkpoint(stopped / "checkpoint-last.pth"))
    assert without_seconds(read_metrics(straight)) == without_seconds(read_metrics(stopped))


def test_signals_work_as_before_after_training(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    make_trainer(epochs=1).train(run_folder(tmp_path, "run"))
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_the_number_of_workers_changes_nothing():
    weights = []
    for num_workers in (0, 1, 2):
        trainer = make_trainer(dataset=NoisyDataset(), num_workers=num_workers, epochs=2)
        trainer.train()
        weights.append(trainer.model.state_dict())
    assert_same(weights[0], weights[1])
    assert_same(weights[0], weights[2])


def test_another_seed_is_another_run():
    first, second = make_trainer(epochs=1), make_trainer(epochs=1, seed=1)
    first.train()
    second.train()
    assert not torch.equal(first.model.layers[0].weight, second.model.layers[0].weight)


def test_a_checkpoint_of_another_architecture_is_refused_with_the_keys_that_differ():
    trainer, other = make_trainer(), make_trainer()
    other.model.layers[0] = nn.Linear(4, 5)
    other.model.extra = nn.Linear(1, 1)
    with pytest.raises(UserError, match=r"layers\.0\.weight is \[5, 4\].*\[8, 4\].*extra\.weight is not in the model"):
        trainer.resume(
            trainer.state_dict() | {"model": other.model.state_dict(), "config": {}, "random": random_state()}
        )


# ------------------------------------------------------------------------------------- best, early stop, schedule


class Scripted(Trainer):
    """Every epoch's val_loss comes from a list: what the loop over epochs makes of it is what is tested."""

    values: tuple[float, ...]

    def _train_epoch(self, epoch):
        super()._train_epoch(epoch)
        return {"val_loss": self.values[epoch - 1]}


def scripted(*values: float) -> type[Trainer]:
    return type("ScriptedTrainer", (Scripted,), {"values": values})


@pytest.mark.parametrize(
    ("values", "early_stop", "epochs_done", "best"),
    [
        ((5, 4, 4, 4, 4, 1), 3, 5, 4),  # three epochs in a row that are not better
        ((5, 6, 6, 4, 6, 6, 6), 3, 7, 4),  # an improvement starts the count anew
        ((5, 6, 1, 1, 1, 1), 1, 2, 5),  # 1 is one bad epoch
        ((5, 6, 6, 6, 6, 6), 0, 6, 5),  # 0 is off
        ((math.nan, 3, math.nan, -math.inf), 0, 4, 3),  # NaN and infinity are never the best
        ((math.nan, math.nan, 1), 2, 2, None),
    ],
)
def test_early_stop_and_best(tmp_path, read_metrics, values, early_stop, epochs_done, best):
    run_dir = run_folder(tmp_path, "run")
    trainer = make_trainer(scripted(*values), epochs=len(values), early_stop=early_stop)
    trainer.train(run_dir)
    assert len(read_metrics(run_dir)) == trainer.epoch == epochs_done
    assert trainer.best == best
    if best is None:
        assert not (run_dir / "model_best.pth").exists()
    else:
        assert load_checkpoint(run_dir / "model_best.pth")["epoch"] == values.index(best) + 1


def test_the_best_and_the_count_survive_a_resume(tmp_path):
    values = (5, 2, 3, 3, 3, 3)
    run_dir = run_folder(tmp_path, "run")
    make_trainer(scripted(*values), epochs=4, early_stop=3).train(run_dir)
    trainer = make_trainer(scripted(*values), epochs=6, early_stop=3)
    trainer.resume(load_checkpoint(run_dir / "checkpoint-last.pth"))
    trainer.train(run_dir)
    assert (trainer.epoch, trainer.best) == (5, 2)
    assert load_checkpoint(run_dir / "model_best.pth")["epoch"] == 2


@pytest.mark.parametrize(
    ("monitor", "early_stop", "is_warned"), [("off", 2, True), ("off", 0, False), ("min val_loss", 2, False)]
)
def test_an_early_stop_that_nothing_can_cause_is_named(monitor, early_stop, is_warned, caplog):
    make_trainer(scripted(1), epochs=1, monitor=monitor, early_stop=early_stop, scheduler="none").train()
    assert ("trainer.early_stop has no effect without a trainer.monitor" in caplog.text) == is_warned


def test_max_mode():
    trainer = make_trainer(scripted(1, 3, 2), epochs=3, monitor="max val_loss", scheduler="none")
    trainer.train()
    assert trainer.best == 3


def test_checkpoints_are_kept_at_the_period_and_last_and_best_whatever_the_period(tmp_path):
    run_dir = run_folder(tmp_path, "run")
    make_trainer(scripted(3, 1, 2, 2, 2, 2, 2), epochs=7, save_period=3).train(run_dir)
    epochs = {path.name: load_checkpoint(path)["epoch"] for path in run_dir.glob("*.pth")}
    assert epochs == {
        "checkpoint-epoch3.pth": 3,
        "checkpoint-epoch6.pth": 6,
        "checkpoint-last.pth": 7,
        "model_best.pth": 2,
    }
    assert not list(run_dir.glob(".*"))  # no temporary files


def test_a_scheduler_steps_once_an_epoch_and_the_log_has_the_rate_that_was_used(tmp_path, read_metrics):
    run_dir = run_folder(tmp_path, "run")
    make_trainer(epochs=5).train(run_dir)  # StepLR(2): a tenth after every second epoch
    assert [record["lr"] for record in read_metrics(run_dir)] == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001])


def test_a_plateau_scheduler_watches_the_monitor(tmp_path, read_metrics):
    run_dir = run_folder(tmp_path, "run")
    make_trainer(scripted(3, 4, 2, 2), epochs=4, scheduler="plateau").train(run_dir)  # patience 0
    assert [record["lr"] for record in read_metrics(run_dir)] == pytest.approx([0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize("monitor", ["off", "max val_loss"])
def test_a_plateau_scheduler_needs_a_monitor_of_its_mode(monitor):
    with pytest.raises(ValueError, match=f'by a monitor of its mode, such as "min val_loss"; it is {monitor!r}'):
        make_trainer(scheduler="plateau", monitor=monitor)


def test_monitoring_validation_needs_validation_data():
    with pytest.raises(ValueError, match="val_loss cannot be monitored without validation data"):
        Trainer(
            Net(), nn.functional.cross_entropy, data_loader=BaseDataLoader(NoisyDataset(), 8), monitor="min val_loss"
        )


def test_monitoring_what_is_not_logged_is_refused(tmp_path):
    with pytest.raises(UserError, match="'val_f1' is not logged; logged are loss, accuracy, macro_f1, val_loss"):
        make_trainer(monitor="min val_f1", scheduler="none").train(run_folder(tmp_path, "run"))


# -------------------------------------------------------------------------------------------------------- diverging


@pytest.mark.parametrize("bad_step", [9, 13, 17])
def test_a_loss_that_diverges_ends_the_run_and_spares_the_checkpoints(tmp_path, read_metrics, bad_step):
    class Diverging(Trainer):
        def compute_loss(self, batch):
            loss, output, target = super().compute_loss(batch)
            return loss / (0 if self.step == bad_step and self.model.training else 1), output, target

    run_dir = run_folder(tmp_path, "run")
    with pytest.raises(
        UserError, match=rf"NaN or infinite in epoch 2, from step {bad_step + 1} on, with .* 0.01\..* are intact"
    ):
        make_trainer(Diverging).train(run_dir)
    assert [record["epoch"] for record in read_metrics(run_dir)] == [1]
    for path in run_dir.glob("*.pth"):
        state = load_checkpoint(path)
        assert state["epoch"] == 1
        assert all(weight.isfinite().all() for weight in state["model"].values())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_only_the_last_step_of_an_epoch_spoils_are_not_saved(tmp_path, caplog, bad):
    class Spoiling(Trainer):
        def train_step(self, batch):
            result = super().train_step(batch)
            if self.step == 17:  # the last of the second epoch; its loss is from before
                with torch.no_grad():
                    self.model.layers[0].weight[0, 0] = bad
            return result

    run_dir = run_folder(tmp_path, "run")
    trainer = make_trainer(Spoiling, epochs=2, monitor="min loss")
    trainer.model.register_buffer("mask", torch.full((2,), -math.inf))  # as attention has, and no fault
    trainer.train(run_dir)
    assert trainer.epoch == trainer.step // 9 == 2
    states = {path.name: load_checkpoint(path) for path in run_dir.glob("*.pth")}
    assert {name: state["epoch"] for name, state in states.items()} == {
        "checkpoint-epoch1.pth": 1, "checkpoint-last.pth": 1, "model_best.pth": 1}  # fmt: skip
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and "Weights are NaN or infinite in step 18" in warnings[0]


def test_a_crash_between_two_saves_keeps_the_best(tmp_path):
    class Crashing(Scripted):
        values = (5, 4, 3, 2, 1)

        def _train_epoch(self, epoch):
            if epoch == 5:
                raise RuntimeError("out of luck")
            return super()._train_epoch(epoch)

    run_dir = run_folder(tmp_path, "run")
    with pytest.raises(RuntimeError, match="out of luck"):
        make_trainer(Crashing, epochs=5, save_period=100).train(run_dir)
    assert load_checkpoint(run_dir / "model_best.pth")["epoch"] == 4


# --------------------------------------------------------------------------------------------- what a step computes


def test_the_weights_are_those_of_a_loop_by_hand():
    trainer = make_trainer(epochs=3, scheduler="none")
    by_hand = make_trainer(epochs=3, scheduler="none")
    model, optimizer, loader = by_hand.model, by_hand.optimizer, by_hand.data_loader
    before = torch.get_rng_state()
    trainer.train()

    torch.set_rng_state(before)  # the dropout masks
    for epoch in range(1, 4):
        model.train()
        loader.set_position(epoch)
        for data, target in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data), target).backward()
            optimizer.step()
    assert_same(trainer.model.state_dict(), model.state_dict())


def test_what_is_logged_is_the_mean_over_samples(tmp_path, read_metrics):
    run_dir = run_folder(tmp_path, "run")
    trainer = make_trainer(epochs=1)
    trainer.train(run_dir)
    [record] = read_metrics(run_dir)
    data, target = map(torch.cat, zip(*trainer.valid_data_loader, strict=True))
    output = trainer.model.eval()(data)
    assert len(data) == 18  # batches of 8, 8 and 2
    assert record["val_loss"] == pytest.approx(nn.functional.cross_entropy(output, target).item(), rel=1e-6)
    assert record["val_accuracy"] == pytest.approx((output.argmax(1) == target).double().mean().item())
    assert record["val_macro_f1"] == pytest.approx(float(macro_f1(output.detach(), target)))
    assert list(record) == ["epoch", "step", "loss", "accuracy", "macro_f1", "val_loss", "val_accuracy",
                            "val_macro_f1", "lr", "seconds"]  # fmt: skip
    assert (record["epoch"], record["step"]) == (1, 9)


def test_compute_loss_is_the_ring_for_another_loss():
    class WithPenalty(Trainer):
        def compute_loss(self, batch):
            loss, output, target = super().compute_loss(batch)
            return loss + 0 * output.sum() + 100, output, target

    trainer = make_trainer(WithPenalty)
    assert trainer.evaluate(trainer.valid_data_loader)["loss"] > 100


def test_faults_of_ones_own_classes_are_named():
    class Silent(Trainer):
        def _train_epoch(self, epoch):
            super()._train_epoch(epoch)

    def per_sample(output, target):
        return output.argmax(1) == target

    with pytest.raises(TypeError, match=r"Silent\._train_epoch must return a dict of numbers, not None"):
        make_trainer(Silent).train()
    trainer = make_trainer()
    trainer.metrics = [per_sample]
    with pytest.raises(UserError, match=r"per_sample gave a tensor of shape \[18\], not one number"):
        trainer.evaluate(trainer.valid_data_loader)


def test_without_a_run_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_trainer(tensorboard=True).train()
    assert list(tmp_path.iterdir()) == []


def test_evaluation_changes_nothing():
    class Noting(Trainer):
        def compute_loss(self, batch):
            loss, output, target = super().compute_loss(batch)
            assert not output.requires_grad
            return loss, output, target

    trainer = make_trainer(Noting)
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    generator = torch.get_rng_state()
    first, second = trainer.evaluate(trainer.valid_data_loader), trainer.evaluate(trainer.valid_data_loader)
    assert first == second
    assert_same(before, dict(trainer.model.state_dict()))
    assert torch.equal(generator, torch.get_rng_state())


def test_a_loader_without_a_batch_is_refused():
    loader = BaseDataLoader(NoisyDataset(), batch_size=100, drop_last=True)
    with pytest.raises(ValueError, match="has no batch"):
        Trainer(Net(), nn.functional.cross_entropy, data_loader=loader)


def test_the_trainer_trains_on_every_training_sample_once_an_epoch_and_validates_on_the_others():
    class Noting(Trainer):
        def compute_loss(self, batch):
            seen[self.model.training].append(batch[0])
            return super().compute_loss(batch)

    seen = {True: [], False: []}
    make_trainer(Noting, epochs=1).train()
    trained, validated = torch.cat(seen[True]), torch.cat(seen[False])
    assert len(trained) + len(validated) == len(torch.cat([trained, validated]).unique(dim=0)) == 90


def test_a_trainer_that_cannot_train_says_what_is_missing():
    loader = make_trainer().data_loader
    for trainer in (Trainer(Net(), nn.functional.cross_entropy, data_loader=loader), make_trainer()):
        trainer.data_loader = None if trainer.optimizer else loader
        with pytest.raises(ValueError, match="needs an optimizer and a data_loader"):
            trainer.train()


@pytest.mark.parametrize("option", [{"monitor": "minimum val_loss"}, {"schedule_per": "batch"}])
def test_an_option_that_would_be_taken_for_another_is_refused_in_a_notebook_too(option):
    [(name, value)] = option.items()
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}"):
        make_trainer(**option)
