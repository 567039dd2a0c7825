"""The learning rate over a run: it rises in a warm-up, then follows one of torch's schedulers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from utils.errors import UserError


@dataclass
class Schedule:
    """Steps a scheduler once per epoch or once per step of the optimizer.

    optimizer, lr_scheduler: each may be None.
    per: "epoch" or "step".
    warmup_steps: make step k, from 1, of the first so many with k / warmup_steps of the learning rate.
    n_done: how many steps were made.
    monitor: what decides which epoch is best, such as "min val_loss", or "off"; ReduceLROnPlateau follows it.

    `lr` is the rate of the last step. Raises ValueError for a ReduceLROnPlateau that does not fit `monitor` or `per`.
    """

    optimizer: Optimizer | None
    lr_scheduler: LRScheduler | None
    per: str
    warmup_steps: int
    n_done: Callable[[], int]
    monitor: str

    def __post_init__(self) -> None:
        self.lr = 0.0 if self.optimizer is None else float(self.optimizer.param_groups[0]["lr"])
        if self.per not in ("epoch", "step"):
            raise ValueError(f'schedule_per is {self.per!r}; it must be "epoch" or "step"')
        self.plateau = self.lr_scheduler if isinstance(self.lr_scheduler, ReduceLROnPlateau) else None
        if self.plateau and self.plateau.mode != self.monitor.split()[0]:
            raise ValueError(f"ReduceLROnPlateau with mode {self.plateau.mode!r} needs a monitor of the same mode, "
                             f'such as "{self.plateau.mode} val_loss"; it is {self.monitor!r}')  # fmt: skip
        if self.plateau and self.per == "step":
            raise ValueError('ReduceLROnPlateau judges whole epochs; set schedule_per to "epoch"')
        if self.optimizer is not None and self.lr_scheduler is not None:
            # torch would warn of a schedule that steps before the optimizer. Here it never does, but for an optimizer
            # that has stepped before a resume, or whose first step was left out for its NaN.
            vars(self.optimizer)["_opt_called"] = True
        if self.optimizer is not None and self.warmup_steps > 0:
            self._lower_the_first_steps(self.optimizer)

    def end_step(self) -> None:
        """Call after each step, when it is counted."""
        assert self.optimizer is not None
        self.lr = self.optimizer.param_groups[0]["lr"]
        if self.n_done() < self.warmup_steps:
            self.lr = self.lr * self.n_done() / self.warmup_steps
        if self.per == "step":
            self._step()

    def end_epoch(self, log: dict[str, float]) -> None:
        """Call after each epoch, with its metrics by name."""
        if self.plateau is not None:
            self._step(log[self.monitor.split()[1]])
        elif self.per == "epoch":
            self._step()

    def _step(self, *metric: Any) -> None:
        if self.lr_scheduler is None:
            return
        try:
            self.lr_scheduler.step(*metric)
        except (ValueError, ArithmeticError) as error:  # OneCycleLR beyond its last step; a damaged state
            raise UserError(f"lr_scheduler: {error} (it is stepped once per {self.per})") from error

    def check_length(self, n_epochs: int, n_steps: int) -> None:
        """Raise UserError if the schedule ends before so many further epochs, or steps: better now than in hours."""
        if isinstance(self.lr_scheduler, OneCycleLR):
            n_needed = self.lr_scheduler.last_epoch + (n_steps if self.per == "step" else n_epochs)
            if self.lr_scheduler.total_steps < n_needed:
                raise UserError(f"lr_scheduler.args.total_steps: OneCycleLR ends after {self.lr_scheduler.total_steps} "
                                f"steps; one per {self.per}, this training needs {n_needed}")  # fmt: skip

    def wind_forward(self, n_epochs: int, n_steps: int) -> None:
        """Bring a fresh schedule to where it is after so many epochs and steps, unless it depends on their metrics."""
        if self.plateau is None:
            for _ in range(n_steps if self.per == "step" else n_epochs):
                self._step()

    def _lower_the_first_steps(self, optimizer: Optimizer) -> None:
        """Lower the rate while a step is made and not longer.

        So a scheduler neither sees it nor is changed by it, also one that sets the rate instead of multiplying it, and
        a checkpoint need not hold it.
        """
        full: list[Any] = []

        def lower(*_: Any) -> None:
            if self.n_done() < self.warmup_steps:
                for group in optimizer.param_groups:
                    full.append(group["lr"])
                    group["lr"] = group["lr"] * (self.n_done() + 1) / self.warmup_steps

        def restore(*_: Any) -> None:
            for group, lr in zip(optimizer.param_groups, full, strict=bool(full)):
                group["lr"] = lr
            full.clear()

        optimizer.register_step_pre_hook(lower)
        optimizer.register_step_post_hook(restore)
