"""A config that was changed before a resume: what is taken from the checkpoint and what is not."""

import pytest
import torch

from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer
from utils.checkpoint.file import load_checkpoint
from utils.checkpoint.resume import differences
from utils.errors import UserError
from utils.seed import random_state

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
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_changed_schedule_goes_on_as_if_it_had_been_so_from_the_start(tmp_path, read_metrics, case):
    then_optimizer, then_schedule, now_optimizer, now_schedule = CASES[case]
    (tmp_path / "run").mkdir()
    (tmp_path / "straight").mkdir()
    before = rates(make(then_optimizer, then_schedule, epochs=3), tmp_path / "run", read_metrics)
    changed = make(now_optimizer, now_schedule)
    changed.resume(load_checkpoint(tmp_path / "run" / "checkpoint-last.pth"))
    straight = rates(make(now_optimizer, now_schedule), tmp_path / "straight", read_metrics)
    assert rates(changed, tmp_path / "run", read_metrics) == pytest.approx([*before, *straight[3:]])


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
    state = trainer.optimizer.state_dict()
    assert torch.equal(state["state"][0]["exp_avg"], checkpoint["optimizer"]["state"][0]["exp_avg"])
    assert state["param_groups"][0]["lr"] == 0.2


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
    before = make(sgd(0.1), **then)
    state = before.state_dict() | {"batch": 1, "config": before.config, "random": random_state()}
    trainer = make(sgd(0.1), **now)
    trainer.resume(state)
    assert trainer.batch == batch


def test_a_resume_tells_what_was_changed_and_which_wins():
    then = make(adam(0.1), name="a", seed=1, metrics=["accuracy"])
    now = make(sgd(0.25), schedule("StepLR", step_size=2), name="b", seed=2, metrics=["accuracy"], loss="x" * 50)
    state = then.state_dict() | {"batch": 1, "epoch": 3, "config": then.config}
    *lines, last = now.resume(state)
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
    notes = trainer.resume(trainer.state_dict() | {"config": trainer.config, "random": random_state()})
    assert notes == ["Resumed after epoch 0, step 0."]


def test_a_checkpoint_that_does_not_fit_is_refused():
    trainer = make(sgd(0.1))
    state = trainer.state_dict() | {"config": trainer.config, "random": random_state()}
    for key, value in {"random": {}, "train_metrics": {}, "optimizer": {}, "batch": 10**9}.items():
        with pytest.raises(UserError, match="the checkpoint"):
            make(sgd(0.1)).resume(state | {key: value})


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
    state = before.state_dict() | {"best": 0.5, "epochs_since_best": 2, "config": before.config}
    resumed = trainer(**{"data_loader": {"args": {}}, "metrics": before.config["metrics"]} | change)
    notes = resumed.resume(state | {"random": random_state()})
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
    state = make(sgd(0.1)).state_dict() | {"batch": 2, "step": 2, "lr": 0.075, "random": random_state()}
    trainer = make(sgd(0.1), epochs=1)
    trainer.resume(state | {"config": trainer.config, "train_metrics": finished_metrics()})
    trainer.train(tmp_path)
    assert [record["lr"] for record in read_metrics(tmp_path)] == [0.075]


def finished_metrics() -> dict:
    trainer = make(sgd(0.1))
    for batch in trainer.data_loader:
        trainer.train_on_batch(batch)
    return trainer.state_dict()["train_metrics"]
