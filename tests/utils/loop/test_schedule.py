import pytest
import torch

from utils.errors import UserError
from utils.loop import Schedule

SCHEDULERS = torch.optim.lr_scheduler


class Run:
    """An optimizer that does nothing, and its schedule."""

    def __init__(self, make=None, per="step", warmup_steps=0, monitor="off"):
        self.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        self.n_done = 0
        scheduler = make(self.optimizer) if make else None
        self.schedule = Schedule(self.optimizer, scheduler, per, warmup_steps, lambda: self.n_done, monitor)
        self.rates: list[float] = []
        self.optimizer.register_step_pre_hook(lambda *_: self.rates.append(self.optimizer.param_groups[0]["lr"]))

    def step(self) -> None:
        self.optimizer.step()
        self.n_done += 1
        self.schedule.end_step()
        assert self.schedule.lr == pytest.approx(self.rates[-1])  # which is what the log shows


def test_a_warm_up_rises_to_the_schedules_rate_and_leaves_it_alone():
    run = Run(lambda optimizer: SCHEDULERS.ExponentialLR(optimizer, 0.5), warmup_steps=4)
    for _ in range(6):
        run.step()
    assert run.rates == [0.25, 0.5 * 0.5, 0.75 * 0.25, 0.125, 0.0625, 0.03125]


def test_a_schedule_is_stepped_once_per_epoch_or_step():
    per_epoch = Run(lambda optimizer: SCHEDULERS.ExponentialLR(optimizer, 0.5), per="epoch")
    for _ in range(2):
        per_epoch.step()
        per_epoch.step()
        per_epoch.schedule.end_epoch({})
    assert per_epoch.rates == [1, 1, 0.5, 0.5]


def test_a_fresh_schedule_is_wound_forward():
    run = Run(lambda optimizer: SCHEDULERS.ExponentialLR(optimizer, 0.5))
    run.schedule.wind_forward(n_epochs=1, n_steps=3)
    assert run.optimizer.param_groups[0]["lr"] == 0.125


def test_a_plateau_follows_the_monitor():
    run = Run(lambda optimizer: SCHEDULERS.ReduceLROnPlateau(optimizer, patience=0), "epoch", monitor="min val_loss")
    for value in (1.0, 2.0):
        run.schedule.end_epoch({"val_loss": value, "loss": 0.0})
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize(("per", "monitor"), [("epoch", "max val_accuracy"), ("epoch", "off"), ("step", "min loss")])
def test_a_plateau_that_does_not_fit_is_refused(per, monitor):
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        Run(SCHEDULERS.ReduceLROnPlateau, per, monitor=monitor)


def test_a_damaged_state_of_a_schedule_is_one_line():
    run = Run(lambda optimizer: SCHEDULERS.CosineAnnealingWarmRestarts(optimizer, T_0=2))
    run.schedule.lr_scheduler.T_i = 0
    with pytest.raises(UserError, match=r"lr_scheduler: .*by zero.*stepped once per step"):
        run.step()
