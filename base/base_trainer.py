"""The loop over epochs: what every training does, whatever the task."""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from logger.logger import setup_logging
from logger.run_dir import run_mark
from logger.run_log import RunLog
from logger.writers import History, RunBar, Writers, draw_extras, run_bar
from utils.checkpoint import (
    CheckpointWriter,
    changes_schedule,
    load_numbers,
    load_states,
    snapshot,
    states_of,
    take_over_changes,
)
from utils.data import WorkerDied
from utils.errors import UserError, has_to_fit
from utils.loop import Schedule, StopSignals
from utils.parallel import from_main, on_main, rank, whole, world_size
from utils.seed import random_state, set_random_state

logger = logging.getLogger(__name__)


class BaseTrainer(ABC):
    """Trains epoch by epoch, keeps the best and the last state, stops early, resumes bit by bit. Knows no task.

        while epochs are left and the monitored metric still improves:
            log = _train_epoch(epoch)            <- a subclass's work
            judge it, step the learning rate scheduler, write the log, save checkpoints

    epochs: how many epochs in all, those before a resume included.
    monitor: "min NAME" or "max NAME" of what `_train_epoch` returns decides what is best; "off": nothing does.
    early_stop: stop after that many epochs in a row that did not improve; 0: never.
    save_period: keep checkpoint-epoch<N>.pth every so many epochs.
    save_every_steps: write checkpoint-last.pth also within an epoch, every so many steps; 0: never.
    keep_last: keep only so many of the newest checkpoint-epoch<N>.pth; None: all.
    schedule_per: what lr_scheduler counts: "epoch" or "step".
    warmup_steps: let the learning rate rise over so many steps.
    tensorboard: write TensorBoard's files.
    writers: what to write besides: "wandb" and "mlflow"; None: nothing.
    draw: what the writers draw of each epoch besides: "graph", "histograms", "images", "pr_curves"; None: nothing.
    config: a plain dict, kept in the checkpoints.

    `stateful` maps names to what a checkpoint holds: objects with `state_dict` and `load_state_dict`. A subclass adds
    its own, `self.stateful["discriminator"] = self.discriminator`, and it is saved and resumed like the model;
    `saved_numbers` names attributes that are numbers. `writer` takes `add_scalar`, `add_image`, `add_figure`,
    `add_histogram` and `add_graph`, as TensorBoard's does.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None,
        lr_scheduler: LRScheduler | None = None,
        *,
        epochs: Annotated[int, ">= 1", "<= 10_000_000"] = 1,
        monitor: Annotated[str, "off, min NAME or max NAME"] = "off",
        early_stop: Annotated[int, ">= 0"] = 0,
        save_period: Annotated[int, ">= 1"] = 1,
        save_every_steps: Annotated[int, ">= 0"] = 0,
        keep_last: Annotated[int, ">= 1"] | None = None,
        schedule_per: Literal["epoch", "step"] = "epoch",
        warmup_steps: Annotated[int, ">= 0"] = 0,
        tensorboard: bool = True,
        writers: list[Literal["tensorboard", "wandb", "mlflow"]] | None = None,
        draw: list[Literal["graph", "histograms", "images", "pr_curves"]] | None = None,
        config: dict[str, Any] | None = None,
    ):
        self.model = model
        self.device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        self.optimizer: Any = optimizer  # None, if it shall only evaluate
        self.lr_scheduler = lr_scheduler
        self.epochs = epochs
        self.monitor_mode, _, self.monitor = monitor.partition(" ")
        self.early_stop = early_stop
        self.saving = {"save_period": save_period, "save_every_steps": save_every_steps, "keep_last": keep_last}
        self.writers: list[str] = [*(["tensorboard"] if tensorboard else []), *(writers or [])]
        self.draw = draw or []
        self.config = snapshot(config or {})
        self.schedule = Schedule(optimizer, lr_scheduler, schedule_per, warmup_steps, lambda: self.step, monitor)
        parts = {"model": model, "optimizer": optimizer, "lr_scheduler": lr_scheduler}
        self.stateful: dict[str, Any] = {name: part for name, part in parts.items() if part is not None}
        self.writer = Writers(lambda: self.step)
        self.history = History()  # of a training without a folder
        self.logger = logging.getLogger(type(self).__module__)  # for a subclass's own words
        self.to_close: list[Any] = []  # data loaders, whose worker processes end with the training
        self.stop_signals = StopSignals()
        self.run_dir: Path | None = None
        self.checkpoints: CheckpointWriter | None = None  # of that folder
        self.checkpoint_writer, self.gathered = CheckpointWriter, whole  # others, if checkpoints are sharded
        self.on_step: Callable[[], Any] | None = None
        self.bar: RunBar | None = None  # on a terminal
        self.steps_per_epoch = 1  # that the bar counts

        self.epoch = 0  # epochs completed
        self.batch = 0  # batches done of the epoch under way
        self.step = 0  # optimizer steps in all
        self.best: float | None = None
        self.epochs_since_best = 0
        self.saved_numbers = ["epoch", "batch", "step", "best", "epochs_since_best"]  # in a checkpoint

    @abstractmethod
    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch, from batch `self.batch` on, and return its metrics by name."""

    # ----------------------------------------------------------------------------------------------- the loop

    def train(
        self,
        run_dir: Path | None = None,
        on_epoch: Callable[[dict[str, float]], Any] | None = None,
        on_step: Callable[[], Any] | None = None,
    ) -> Any:
        """Train until the last epoch, or until the monitored metric no longer improves.

        run_dir: a folder for logs and checkpoints. None, as in a notebook: write nothing, and return a DataFrame with
            the numbers of each epoch. To go on, raise `epochs` and call it again.
        on_epoch, on_step: called after each epoch, with its record of the log, and after each step.
        Raises TrainingInterrupted after SIGINT or SIGTERM, with a checkpoint saved at the next step boundary.
        """
        if run_dir is None and not logging.getLogger().handlers:
            setup_logging()
        if self._is_finished():
            logger.info("Nothing left to train after epoch %d; go on with -s trainer.epochs=N or trainer.early_stop=N; "
                        "in a notebook with trainer.epochs = N.", self.epoch)  # fmt: skip
            return self.history.table() if run_dir is None else None
        if self.early_stop > 0 and self.monitor_mode == "off":
            logger.warning("trainer.early_stop has no effect without a trainer.monitor, such as 'min loss'.")
        self.on_step = on_step
        self.first_epoch, self.first_step = self.epoch + 1, self.step
        self.schedule.begin()
        self.model.train()
        with ExitStack() as stack:
            for loader in self.to_close:
                stack.callback(loader.close)
            self.run_dir = self.checkpoints = None
            if run_dir is not None:
                stack.enter_context(self.stop_signals)
                self._open_run_dir(Path(run_dir), stack)
            n_done = self.epoch * self.steps_per_epoch + self.batch
            self.bar = stack.enter_context(run_bar(self.epochs, self.steps_per_epoch, n_done, self.monitor))
            self.run_log = stack.enter_context(RunLog(self.run_dir, self.epoch, self.epochs, self.writer))
            while not self._is_finished():
                record = self._run_epoch()
                if on_epoch is not None:
                    on_epoch(record)
        return self.history.table() if run_dir is None else None

    def _run_epoch(self) -> dict[str, float]:
        """Train, judge, log and save an epoch. Returns its record of the log."""
        start = time.perf_counter()
        self.stop_signals.obey()
        try:
            log = self._train_epoch(self.epoch + 1)
        except WorkerDied:  # of the signal that is to stop the whole run, before a batch was there
            if world_size() == 1:
                self.stop_signals.obey()
            raise
        if not isinstance(log, dict):
            raise TypeError(f"{type(self).__name__}._train_epoch must return a dict of numbers, not {log!r}")
        log = from_main({name: float(value) for name, value in log.items()})  # all decide by the same numbers
        self.epoch += 1
        if self.epoch == self.first_epoch:
            self.after_first_epoch()
        self.batch = 0
        is_best = self._judge(log)
        seconds = time.perf_counter() - start
        record = {"epoch": self.epoch, "step": self.step, **log, "lr": float(self.schedule.lr), "seconds": seconds}
        self.schedule.end_epoch(log)
        self.run_log.write(record, is_best)
        if self.bar is not None:
            self.bar.end_epoch(record, self.best)
        if self.checkpoints is not None:
            self.checkpoints.end_epoch(self.epoch, is_best)
        else:
            self.history.end_epoch(record, self._parts(), is_best)
        return record

    def end_step(self) -> None:
        """Count a step that is done. This is the boundary at which a signal stops the training."""
        self.step += 1
        self.batch += 1
        self.schedule.end_step()
        self.stop_signals.obey()
        if self.checkpoints is not None:
            self.checkpoints.end_step(self.step)
        if self.bar is not None:
            self.bar.end_step()
        if self.on_step is not None:
            self.on_step()

    def after_first_epoch(self) -> None:  # noqa: B027 (a subclass may have nothing to look at)
        """Called once per training, before the epoch's batches and steps are forgotten."""

    def _is_finished(self) -> bool:
        if 0 < self.early_stop <= self.epochs_since_best:
            logger.info("Early stop: no better %s for %d epochs.", self.monitor, self.epochs_since_best)
        return self.epoch >= self.epochs or 0 < self.early_stop <= self.epochs_since_best

    def _judge(self, log: dict[str, float]) -> bool:
        """Whether this epoch is the best so far. NaN and infinity never are."""
        if self.monitor_mode == "off":
            return False
        if self.monitor not in log:
            raise UserError(f"trainer.monitor: {self.monitor!r} is not logged; logged are {', '.join(log)}")
        value = log[self.monitor]
        is_better = self.best is None or (value < self.best if self.monitor_mode == "min" else value > self.best)
        is_best = is_better and math.isfinite(value)
        self.best = value if is_best else self.best
        self.epochs_since_best = 0 if is_best else self.epochs_since_best + 1
        return is_best

    # ------------------------------------------------------------------------------------------- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs; a checkpoint holds the config and the state of the random generators beside it."""
        progress = {name: vars(self)[name] for name in self.saved_numbers}
        return {"optimizer": None, "lr_scheduler": None, "lr": self.schedule.lr} | progress | states_of(self._parts())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`. Raises UserError when the model is of another architecture."""
        load_states(self._parts(), state)
        load_numbers(self.saved_numbers, state, vars(self))
        self.schedule.lr = float(state["lr"])

    def restore_best(self) -> None:
        """Give the model the weights of the best epoch, by `monitor`; of a moving average, those. Else ValueError."""
        self.history.restore_best(self.model, self.checkpoints and self.checkpoints.run_dir)

    def _parts(self) -> dict[str, Any]:
        """What `stateful` names: the attribute of that name where there is one, which may have been replaced since."""
        return {name: vars(self).get(name, part) for name, part in self.stateful.items()}

    def resume(self, checkpoint: dict[str, Any]) -> list[str]:
        """Go on from a checkpoint; this trainer's config wins. Returns lines to show. UserError if it does not fit."""
        with has_to_fit():
            if changes_schedule(checkpoint["config"], self.config):
                self.schedule.wind_forward(checkpoint["epoch"], checkpoint["step"])
            fresh = self.state_dict() | {"random": random_state(), "model": None}  # the checkpoint's is taken
            state, notes = take_over_changes(checkpoint, self.config, snapshot(fresh))
            self.load_state_dict(state)
            set_random_state(state["random"])
        return [*notes, f"Resumed after epoch {self.epoch}, step {self.step}."]

    def _take_state(self) -> dict[str, Any] | None:
        """A copy of what this process writes of a checkpoint: rank 0 all, others nothing or, if sharded, their rows."""
        state = self.gathered(self.state_dict() | {"random": random_state()})
        return state and snapshot(state) | {"config": self.config, "run": self._run_mark}

    def _open_run_dir(self, run_dir: Path, stack: ExitStack) -> None:
        """Begin to keep checkpoints and to draw charts. What is not written yet is, when `stack` ends."""
        if rank() == 0:
            if not run_dir.exists():
                run_dir.mkdir(parents=True)
            self.run_dir = run_dir
            self.writer.open(self.writers, run_dir, self.config, lambda: draw_extras(self, self.draw))
        self._run_mark = on_main(run_mark)(run_dir)
        weights, flush = dict(self.model.named_parameters()).keys(), lambda: self.run_log.flush()
        self.checkpoints = self.checkpoint_writer(run_dir, self._take_state, weights, flush, **self.saving)
        if self.step > 0:
            self.checkpoints.go_back()
        stack.enter_context(self.checkpoints)
