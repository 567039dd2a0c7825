"""A config that was changed before a resume: what is taken from the checkpoint and what is not."""

import math
import random
import sys

import numpy as np
import pytest
import torch

from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer
from utils.checkpoint import load_checkpoint, snapshot, states_of
from utils.checkpoint.resume import differences
from utils.errors import UserError
from utils.seed import random_state, seed_everything

SCHEDULERS = torch.optim.lr_scheduler


def make(optimizer: dict, scheduler: dict | None = None, epochs: int = 6, **config) -> Trainer:
    """A trainer of a toy line, as train.py would make it of a config."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 16).unsqueeze(1)
    model = torch.nn.Linear(1, 1)
    step = getattr(torch.optim, optimizer["type"])(model.parameters(), **optimizer["args"])
    schedule = getattr(SCHEDULERS, scheduler["type"])(step, **scheduler["args"]) if scheduler else None
    loader = BaseDataLoader(InMemoryDataset(x, 2 * x), 8)
    monitor = config.pop("monitor", "min loss")
    config |= {"optimizer": optimizer, "lr_scheduler": scheduler, "trainer": {"epochs": epochs, "monitor": monitor}}
    options = {"epochs": epochs, "monitor": monitor, "tensorboard": False, "config": config}
    return Trainer(model, torch.nn.functional.mse_loss, (), step, loader, lr_scheduler=schedule, **options)


def sgd(lr: float, **args) -> dict:
    return {"type": "SGD", "args": {"lr": lr, **args}}


def adam(lr: float, **args) -> dict:
    return {"type": "Adam", "args": {"lr": lr, **args}}


def schedule(kind: str, **args) -> dict:
    return {"type": kind, "args": args}


def rates(trainer: Trainer, tmp_path, read_metrics) -> list[float]:
    trainer.train(tmp_path)
    return [record["lr"] for record in read_metrics(tmp_path)]


def resumed_state(trainer: Trainer, **changes) -> dict:
    """What a checkpoint of it holds, but for some changes."""
    return snapshot(trainer.state_dict()) | {"config": trainer.config, "random": random_state(), **changes}


ONE_CYCLE = schedule("OneCycleLR", max_lr=0.1, total_steps=7)
CYCLIC = schedule("CyclicLR", base_lr=0.01, max_lr=0.1, step_size_up=2)
MOMENTUM = {"type": "SGD", "args": {"lr": 0.1, "momentum": 0.9}}
ADAMW = {"type": "AdamW", "args": {"lr": 0.1, "fused": True}}
STEP = schedule("StepLR", step_size=2, gamma=0.1)
CASES = {
    "a new lr": (sgd(0.1), None, sgd(0.5), None),
    "a new lr under a schedule": (sgd(0.1), STEP, sgd(0.5), STEP),
    "another step_size": (sgd(0.1), STEP, sgd(0.1), schedule("StepLR", step_size=1, gamma=0.1)),
    "another kind of schedule": (sgd(0.1), STEP, sgd(0.1), schedule("CosineAnnealingLR", T_max=6)),
    "a schedule where there was none": (sgd(0.1), None, sgd(0.1), STEP),
    "no schedule any more": (sgd(0.1), STEP, sgd(0.1), None),
    "more milestones": (sgd(0.1), schedule("MultiStepLR", milestones=[2]), sgd(0.1),
                        schedule("MultiStepLR", milestones=[2, 4])),
    "a higher peak": (sgd(0.1), schedule("OneCycleLR", max_lr=0.1, total_steps=7), sgd(0.1),
                      schedule("OneCycleLR", max_lr=0.2, total_steps=7)),
    "a longer cycle": (sgd(0.1), schedule("CosineAnnealingWarmRestarts", T_0=2), sgd(0.1),
                       schedule("CosineAnnealingWarmRestarts", T_0=5)),
    "a warm-up to another lr": (sgd(0.1), schedule("LinearLR", start_factor=0.2, total_iters=5), sgd(0.5),
                                schedule("LinearLR", start_factor=0.2, total_iters=5)),
    "another optimizer under OneCycleLR": (MOMENTUM, ONE_CYCLE, ADAMW, ONE_CYCLE),
    "and back": (ADAMW, ONE_CYCLE, MOMENTUM, ONE_CYCLE),
    "another optimizer under CyclicLR": (MOMENTUM, CYCLIC, ADAMW, CYCLIC),
    "and back again": (ADAMW, CYCLIC, MOMENTUM, CYCLIC),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_changed_schedule_goes_on_as_if_it_had_been_so_from_the_start(tmp_path, read_metrics, case):
    then_optimizer, then_schedule, now_optimizer, now_schedule = CASES[case]
    (tmp_path / "run").mkdir()
    (tmp_path / "straight").mkdir()
    before = rates(make(then_optimizer, then_schedule, epochs=3), tmp_path / "run", read_metrics)
    changed = make(now_optimizer, now_schedule)
    changed.resume(load_checkpoint(tmp_path / "run" / "checkpoint-last.pth"))
    straight = make(now_optimizer, now_schedule)
    expected = [*before, *rates(straight, tmp_path / "straight", read_metrics)[3:]]
    assert rates(changed, tmp_path / "run", read_metrics) == pytest.approx(expected)
    for name in ("lr", "betas", "momentum"):  # the cycles move the last two as well
        assert changed.optimizer.param_groups[0].get(name) == straight.optimizer.param_groups[0].get(name)


CHANGES = {
    "Adam to SGD": (adam(0.1, weight_decay=0.01), sgd(0.1)),
    "SGD to Adam": (sgd(0.1), adam(0.1)),
    "no lr any more": (adam(0.1), {"type": "Adam", "args": {}}),
    "amsgrad": (adam(0.1), adam(0.1, amsgrad=True)),
    "momentum": (sgd(0.1), sgd(0.1, momentum=0.9)),
    "betas": (adam(0.1), adam(0.1, betas=(0.8, 0.9))),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_optimizer_trains_on(tmp_path, case):
    then, now = CHANGES[case]
    make(then, epochs=3).train(tmp_path)
    trainer = make(now)
    trainer.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    trainer.train(tmp_path)
    assert trainer.epoch == 6
    for name, value in now["args"].items():
        assert trainer.optimizer.param_groups[0][name] == value


def test_what_an_optimizer_remembers_stays_when_only_the_lr_changes(tmp_path):
    make(adam(0.1), epochs=3).train(tmp_path)
    checkpoint = load_checkpoint(tmp_path / "checkpoint-last.pth")
    trainer = make(adam(0.2))
    trainer.resume(checkpoint)
    remembered = trainer.optimizer.state[trainer.model.weight]["exp_avg"]
    assert torch.equal(remembered, checkpoint["optimizer"]["state"]["model.weight"]["exp_avg"])
    assert trainer.optimizer.param_groups[0]["lr"] == 0.2


def test_what_a_plateau_has_lowered_stays_lowered(tmp_path):
    plateau = schedule("ReduceLROnPlateau", patience=0, threshold=10.0, threshold_mode="abs")
    make(sgd(0.1), plateau, epochs=3).train(tmp_path)
    checkpoint = load_checkpoint(tmp_path / "checkpoint-last.pth")
    lowered = checkpoint["optimizer"]["param_groups"][0]["lr"]
    assert lowered < 0.1
    trainer = make(sgd(0.1), plateau | {"args": plateau["args"] | {"factor": 0.5}})
    trainer.resume(checkpoint)
    assert trainer.optimizer.param_groups[0]["lr"] == lowered
    assert trainer.lr_scheduler.factor == 0.5


def test_another_monitor_has_another_best(tmp_path):
    make(sgd(0.1), epochs=3).train(tmp_path)
    trainer = make(sgd(0.1), monitor="max loss")
    trainer.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    assert trainer.best is None and trainer.epochs_since_best == 0


@pytest.mark.parametrize(
    ("then", "now", "batch"),
    [
        ({"data_loader": {"args": {"batch_size": 8}}}, {"data_loader": {"args": {"batch_size": 4}}}, 0),
        ({"data_loader": {"args": {"classes": [1]}}}, {"data_loader": {"args": {}}}, 0),
        ({"metrics": ["accuracy"]}, {"metrics": []}, 0),
        ({"seed": 1}, {"seed": 2}, 0),
        ({"data_loader": {"args": {"num_workers": 0}}}, {"data_loader": {"args": {"num_workers": 2}}}, 1),
        ({}, {}, 1),
    ],
)
def test_an_interrupted_epoch_starts_anew_when_its_batches_or_metrics_change(then, now, batch):
    trainer = make(sgd(0.1), **now)
    trainer.resume(resumed_state(make(sgd(0.1), **then), batch=1))
    assert trainer.batch == batch


def test_a_resume_tells_what_was_changed_and_which_wins():
    then = make(adam(0.1), name="a", seed=1, metrics=["accuracy"])
    now = make(sgd(0.25), schedule("StepLR", step_size=2), name="b", seed=2, metrics=["accuracy"], loss="x" * 50)
    *lines, last = now.resume(resumed_state(then, batch=1, epoch=3))
    table = """
        key             then    now                                       which wins
        name            "a"     "b"                                       the run's folder stays
        seed            1       2                                         the new value; epoch 4 starts anew
        optimizer.type  "Adam"  "SGD"                                     the new value; the optimizer starts afresh
        optimizer.args.lr  0.1  0.25  the new value
        lr_scheduler    -       {"type": "StepLR", "args": {"step_siz...  the new value
        loss            -       "XXXXXX...  the new value; the best so far no longer counts; epoch 4 starts anew
    """.replace("XXXXXX", "x" * 36)
    assert [line.split() for line in lines] == [line.split() for line in table.strip().splitlines()]
    for column in ("key", "then", "now", "which wins"):  # each begins in the same place in every line
        start = lines[0].index(column)
        assert all(start == 0 or line[start - 1] == " " != line[start] for line in lines)
    assert last == "Resumed after epoch 3, step 0."


def test_an_unchanged_config_needs_no_table():
    trainer = make(sgd(0.1))
    assert trainer.resume(resumed_state(trainer)) == ["Resumed after epoch 0, step 0."]


@pytest.mark.parametrize(("key", "value"), [
    ("random", {}), ("train_metrics", {"losses": []}), ("optimizer", {"state": {}}),
    ("best", math.nan), ("best", 2**2000), ("epoch", -1), ("step", True),
])  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_refused(key, value):
    with pytest.raises(UserError, match="the checkpoint does not fit this run"):
        make(sgd(0.1)).resume(resumed_state(make(sgd(0.1)), **{key: value}))


# ----------------------------------------------------------------------------------------- the optimizer's own state


class TwoLayers(torch.nn.Module):
    """The same model, whichever line of its constructor is the first."""

    def __init__(self, is_swapped: bool):
        super().__init__()
        for name in ("b", "a") if is_swapped else ("a", "b"):
            setattr(self, name, torch.nn.Linear(1, 300) if name == "a" else torch.nn.Linear(300, 1))

    def forward(self, x):
        return self.b(self.a(x).tanh())


def two_layers(is_swapped: bool, epochs: int) -> Trainer:
    torch.manual_seed(0)
    model, x = TwoLayers(is_swapped), torch.linspace(-1, 1, 16).unsqueeze(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    return Trainer(model, torch.nn.functional.mse_loss, (), optimizer, BaseDataLoader(InMemoryDataset(x, 2 * x), 8),
                   epochs=epochs, tensorboard=False)  # fmt: skip


def test_two_lines_of_a_constructor_may_change_places_between_stop_and_resume(tmp_path):
    """torch restores an optimizer's state by position, and its fused kernels look at no shape."""
    straight = two_layers(False, epochs=4)
    straight.train()
    two_layers(False, epochs=2).train(tmp_path)
    resumed = two_layers(True, epochs=4)
    resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    resumed.train(tmp_path)
    expected = states_of({"model": straight.model, "optimizer": straight.optimizer})
    found = states_of({"model": resumed.model, "optimizer": resumed.optimizer})
    for name, weight in expected["model"].items():
        assert torch.equal(found["model"][name], weight)
    for name, values in expected["optimizer"]["state"].items():
        for key, value in values.items():
            assert torch.equal(found["optimizer"]["state"][name][key], value)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1), (1, 1, 1), (300,)])
@pytest.mark.parametrize(("optimizer", "key"), [
    (adam(0.1, fused=True), "exp_avg"), (adam(0.1, fused=True), "exp_avg_sq"), (adam(0.1, fused=True), "step"),
    (adam(0.1), "exp_avg"), (sgd(0.1, momentum=0.9), "momentum_buffer"),
])  # fmt: skip
def test_an_optimizers_tensor_of_another_shape_is_refused(optimizer, key, shape):
    before = make(optimizer, epochs=1)
    before.train()
    state = resumed_state(before)
    values = state["optimizer"]["state"]["model.weight"]
    if (key == "step" or "fused" not in optimizer["args"]) and shape == ():
        pytest.skip("a number, as some optimizers keep")
    values[key] = torch.ones(shape)
    with pytest.raises(UserError, match=rf"the optimizer's {key} is \[.*\], its parameter \[1, 1\]"):
        make(optimizer).resume(state)


@pytest.mark.parametrize("name", ["Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam",
                                  "RAdam", "RMSprop", "Rprop", "SGD"])  # fmt: skip
def test_what_any_optimizer_keeps_is_restored(name):
    optimizer = {"type": name, "args": {"lr": 0.01}}
    straight, before, resumed = (make(optimizer, epochs=epochs) for epochs in (4, 2, 4))
    straight.train()
    before.train()
    resumed.resume(resumed_state(before))
    resumed.train()
    assert torch.equal(resumed.model.weight, straight.model.weight)


def test_an_optimizer_of_other_parameters_is_refused():
    state = resumed_state(make(sgd(0.1)))
    state["optimizer"]["param_groups"][0]["params"][0] = "model.other"
    with pytest.raises(UserError, match="the optimizer trains other parameters than the checkpoint's"):
        make(sgd(0.1)).resume(state)


def test_of_a_schedulers_state_only_the_progress_is_taken():
    """What its constructor was given is the config's to say: a T_max of 0 would divide by it."""
    cosine = schedule("CosineAnnealingLR", T_max=6)
    state = resumed_state(make(sgd(0.1), cosine))
    state["lr_scheduler"] |= {"T_max": 0, "last_epoch": 3, "step": "a method"}
    trainer = make(sgd(0.1), cosine)
    trainer.resume(state)
    assert (trainer.lr_scheduler.T_max, trainer.lr_scheduler.last_epoch) == (6, 3)
    trainer.lr_scheduler.step()


# ------------------------------------------------------------------------------------------------ what is compared


def test_differences_are_dotted_keys():
    then = {"a": {"b": 1, "c": [1, 2]}, "d": "x"}
    assert differences(then, then) == {}
    assert differences(then, {"a": {"b": 2, "c": [1, 2]}, "e": None, "f": 3}) == {
        "a.b": (1, 2),
        "d": ("x", None),
        "f": (None, 3),
    }


LOSS = {"loss": {"type": "cross_entropy", "args": {"label_smoothing": 0.1}}}
SPLIT = {"data_loader": {"args": {"validation_split": 0.3}}}


@pytest.mark.parametrize(
    ("monitor", "change", "is_kept"),
    [
        ("min loss", LOSS, False),
        ("min val_loss", LOSS, False),
        ("max val_accuracy", LOSS, True),
        ("max val_accuracy", {"metrics": ["accuracy", "macro_f1"]}, True),
        ("max val_top_k_acc", {"metrics": ["accuracy", {"type": "top_k_acc", "args": {"k": 5}}]}, False),
        ("min loss", {"metrics": ["accuracy"]}, True),
        ("min loss", SPLIT, False),
        ("min loss", {"data_loader": {"args": {"batch_size": 4, "num_workers": 2}}}, True),
        ("min loss", {"seed": 3}, True),
    ],
)
def test_the_best_counts_as_long_as_it_is_the_same_number(monitor, change, is_kept):
    def trainer(**config):
        made = make(sgd(0.1), **config)
        made.config["trainer"]["monitor"] = monitor
        return made

    before = trainer(data_loader={"args": {}}, metrics=["accuracy", {"type": "top_k_acc", "args": {"k": 3}}])
    state = resumed_state(before, best=0.5, epochs_since_best=2)
    resumed = trainer(**{"data_loader": {"args": {}}, "metrics": before.config["metrics"]} | change)
    notes = resumed.resume(state)
    assert (resumed.best, resumed.epochs_since_best) == ((0.5, 2) if is_kept else (None, 0))
    assert ("the best so far no longer counts" in "".join(notes)) != is_kept


def test_the_logged_rate_is_that_of_the_epochs_last_step(tmp_path, read_metrics):
    trainer = make(sgd(0.1), schedule("MultiStepLR", milestones=[1, 2, 3, 4], gamma=0.5), epochs=2)
    trainer.schedule.per = "step"
    rates_of_steps = []
    trainer.optimizer.register_step_pre_hook(lambda o, *_: rates_of_steps.append(o.param_groups[0]["lr"]))
    trainer.train(tmp_path)
    assert [record["lr"] for record in read_metrics(tmp_path)] == rates_of_steps[1::2] == [0.05, 0.0125]


def test_a_run_stopped_in_its_validation_logs_the_rate_of_its_last_step(tmp_path, read_metrics):
    before = make(sgd(0.1))
    for batch in before.data_loader:
        before.train_metrics.update(*before.train_step(batch))
    trainer = make(sgd(0.1), epochs=1)
    trainer.resume(resumed_state(before, batch=2, step=2, lr=0.075))
    trainer.train(tmp_path)
    assert [record["lr"] for record in read_metrics(tmp_path)] == [0.075]


class Drawing(Trainer):
    """A project's own step that draws from Python's and NumPy's random numbers."""

    def train_step(self, batch):
        data, target = batch
        return super().train_step((data + random.random() * np.random.rand(), target))


def test_a_resume_from_the_best_checkpoint_is_exact_for_all_random_numbers(tmp_path, monkeypatch):
    """Epochs that take less than a millisecond: the best state waits in memory for the next save."""
    monkeypatch.setattr(sys.modules[__name__], "Trainer", Drawing)

    def run(epochs: int) -> Trainer:
        seed_everything(0)
        trainer = make(sgd(0.1), epochs=epochs)
        trainer._judge = lambda log: trainer.epoch == 3  # what is tested is the state, not which epoch is the best
        return trainer

    straight, before, resumed = run(6), run(5), run(6)
    seed_everything(1)
    straight.train()
    seed_everything(1)
    before.train(tmp_path)
    resumed.resume(load_checkpoint(tmp_path / "model_best.pth"))
    assert resumed.epoch == 3
    resumed.train(tmp_path)
    assert torch.equal(resumed.model.weight, straight.model.weight)
