"""The learning rate over a run: it rises in a warm-up, then follows one of torch's schedulers."""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from utils.errors import UserError


class Schedule:
    """Steps a scheduler once per epoch or once per step of the optimizer. Each of the two may be None.

    warmup_steps: make step k, from 1, of the first so many with k / warmup_steps of the learning rate.
    monitor: "min NAME" or "max NAME", which ReduceLROnPlateau follows. Raises ValueError if it cannot.
    """

    def __init__(self, optimizer: Optimizer | None, lr_scheduler: LRScheduler | None, per: str, warmup_steps: int,
                 n_done: Callable[[], int], monitor: str):  # fmt: skip
        self.optimizer: Any = optimizer
        self.lr_scheduler: Any = lr_scheduler
        self._n_stepped: int | None = None  # as far as is known here
        self.per = per
        self.warmup_steps = warmup_steps
        self.n_done = n_done
        self.lr = 0.0 if optimizer is None else float(optimizer.param_groups[0]["lr"])  # that of the last step
        mode, _, self.monitor = monitor.partition(" ")
        self.is_plateau = isinstance(lr_scheduler, ReduceLROnPlateau)
        if self.is_plateau and (per == "step" or self.lr_scheduler.mode != mode):
            raise ValueError(f"ReduceLROnPlateau judges whole epochs by a monitor of its mode, such as "
                             f'"{self.lr_scheduler.mode} val_loss"; it is {monitor!r}, per {per}')  # fmt: skip
        if optimizer is not None and warmup_steps > 0:
            optimizer.register_step_pre_hook(self._lower)
            optimizer.register_step_post_hook(self._restore)
        if optimizer is not None:  # for torch, which would warn of a scheduler that steps first, as after a resume
            vars(optimizer)["_opt_called"] = True

    def begin(self) -> None:
        """Call before the first step, and after a state was loaded: from now on, nobody else may step the scheduler."""
        self._n_stepped = None if self.lr_scheduler is None else self.lr_scheduler.last_epoch

    def end_step(self) -> None:
        """Call after each step, when it is counted."""
        self.lr = self.optimizer.param_groups[0]["lr"] * min(1.0, self.n_done() / (self.warmup_steps or 1))
        if self.per == "step":
            self._step()

    def end_epoch(self, log: dict[str, float]) -> None:
        """Call after each epoch, with its metrics by name."""
        if self.per == "epoch":
            self._step(*([log[self.monitor]] if self.is_plateau else []))

    def wind_forward(self, n_epochs: int, n_steps: int) -> None:
        """Bring a fresh schedule to where it is after so many epochs and steps, unless it depends on their metrics."""
        for _ in range(0 if self.is_plateau else n_steps if self.per == "step" else n_epochs):
            self._step()

    def _step(self, *metric: float) -> None:
        if self.lr_scheduler is None:
            return
        if self._n_stepped not in (None, self.lr_scheduler.last_epoch):
            raise UserError(f"lr_scheduler is stepped after each {self.per} already: remove self.lr_scheduler.step() "
                            "from the trainer's code")  # fmt: skip
        try:
            self.lr_scheduler.step(*metric)
            self._n_stepped = self.lr_scheduler.last_epoch
        except (ValueError, ArithmeticError) as error:  # OneCycleLR beyond its last step; a damaged state
            raise UserError(f"lr_scheduler: {error} (it is stepped once per {self.per})") from error

    def _lower(self, *_: Any) -> None:
        """Lower the rate, but only while the step is made: no scheduler sees it."""
        self._full = [group["lr"] for group in self.optimizer.param_groups]
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"] * min(1.0, (self.n_done() + 1) / self.warmup_steps)

    def _restore(self, *_: Any) -> None:
        for group, lr in zip(self.optimizer.param_groups, self._full, strict=True):
            group["lr"] = lr
