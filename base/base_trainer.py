"""The loop over epochs: what every training does, whatever the task."""

import logging
import math
import time
from abc import ABC, abstractmethod
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from logger.run_log import RunLog
from utils.checkpoint import CheckpointWriter, changes_schedule, load_model, snapshot, take_over_changes
from utils.errors import TrainingInterrupted, UserError
from utils.loop import Schedule, StopSignals, WeightsReader
from utils.parallel import rank
from utils.seed import random_state, set_random_state

logger = logging.getLogger(__name__)


class BaseTrainer(ABC):
    """Trains epoch by epoch, keeps the best and the last state, stops early, resumes bit by bit. Knows no task.

        while epochs are left and the monitored metric still improves:
            log = _train_epoch(epoch)            <- a subclass's work
            step the learning rate scheduler
            write the log: a line, metrics.jsonl, TensorBoard
            keep the state if it is the best so far; save checkpoints

    epochs: how many epochs in all, those before a resume included.
    monitor: "min NAME" or "max NAME" of what `_train_epoch` returns decides what is best; "off": nothing does.
    early_stop: stop after that many epochs in a row that did not improve; 0: never.
    save_period, save_every_steps, keep_last: see CheckpointWriter.
    schedule_per, warmup_steps: see Schedule.
    tensorboard: write TensorBoard's files too.
    config: a plain dict, kept in the checkpoints.

    Raises ValueError for an option out of range, and for a monitor that does not fit the scheduler.
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
        config: dict[str, Any] | None = None,
    ):
        self.model = model
        self.optimizer = optimizer
        self.epochs = epochs
        self.monitor_mode, _, self.monitor = monitor.partition(" ")
        self.early_stop = early_stop
        self.save_period = save_period
        self.save_every_steps = save_every_steps
        self.keep_last = keep_last
        self.tensorboard = tensorboard
        self.config = snapshot(config or {})
        self.schedule = Schedule(optimizer, lr_scheduler, schedule_per, warmup_steps, lambda: self.step, monitor)
        self._read_weights = WeightsReader(model)

        self.epoch = 0  # epochs completed
        self.batch = 0  # batches done of the epoch under way
        self.step = 0  # optimizer steps in all
        self.best: float | None = None
        self.epochs_since_best = 0
        self.epoch_seconds = math.inf  # how long the last whole epoch took

        self.run_dir: Path | None = None
        self.writer: CheckpointWriter | None = None
        self.stop_signals = StopSignals()

    @property
    def lr_scheduler(self) -> LRScheduler | None:
        """torch's scheduler, which `schedule` steps."""
        return self.schedule.lr_scheduler

    @abstractmethod
    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch, from batch `self.batch` on, and return its metrics by name."""

    # ----------------------------------------------------------------------------------------------- the loop

    def train(self, run_dir: Path | None = None) -> None:
        """Train until the last epoch, or until the monitored metric no longer improves.

        run_dir: a folder for logs and checkpoints; None, as in a notebook: write nothing. Of several
            processes, the first writes.
        Raises TrainingInterrupted after SIGINT or SIGTERM, with a checkpoint saved at the next step boundary.
        """
        self.run_dir = Path(run_dir) if run_dir is not None and rank() == 0 else None
        if self.run_dir is not None and not self.run_dir.exists():
            self.run_dir.mkdir(parents=True)
        if self._is_finished():
            logger.info("Nothing left to train after epoch %d; go on with -s trainer.epochs=N or "
                        "trainer.early_stop=N.", self.epoch)  # fmt: skip
            return
        if self.early_stop > 0 and self.monitor_mode == "off":
            logger.warning("trainer.early_stop has no effect without a trainer.monitor, such as 'min loss'.")
        weights = {name for name, _ in self.model.named_parameters()}
        self.writer = CheckpointWriter(self.run_dir, self.config, self.save_period, self.save_every_steps,
                                       self.keep_last, weights, lambda: self.run_log.flush())  # fmt: skip
        if self.step > 0:
            self.writer.start_from(self.state_dict)
        signals = nullcontext() if run_dir is None else self.stop_signals
        with RunLog(self.run_dir, self.epoch, self.epochs, self.tensorboard) as self.run_log, signals:
            try:
                while not self._is_finished():
                    self.stop_signals.obey()
                    start, is_whole = time.perf_counter(), self.batch == 0
                    log = self._train_epoch(self.epoch + 1)
                    seconds = time.perf_counter() - start
                    self.epoch_seconds = seconds if is_whole else math.inf
                    is_best = self._end_epoch(log, seconds)
                    self.writer.keep(self.state_dict, self.epoch, is_best)
            except TrainingInterrupted as interrupted:
                self.writer.save(self.state_dict())
                logger.warning("%s after step %d; go on with -r %s", interrupted, self.step, run_dir)
                raise
            except Exception:
                self.writer.save_best()
                raise
            self.writer.save(self.state_dict())

    def end_step(self) -> None:
        """Count a step that is done. This is the boundary at which a signal stops the training."""
        self.step += 1
        self.batch += 1
        self.schedule.end_step()
        self.stop_signals.obey()
        if self.writer is not None:
            self.writer.end_step(self.state_dict, self.step)

    def _is_finished(self) -> bool:
        if self.epoch >= self.epochs:
            return True
        if 0 < self.early_stop <= self.epochs_since_best:
            logger.info("Early stop: no better %s for %d epochs.", self.monitor, self.epochs_since_best)
            return True
        return False

    def _end_epoch(self, log: dict[str, float], seconds: float) -> bool:
        """Judge and log an epoch; returns whether it is the best so far."""
        if not isinstance(log, dict):
            raise TypeError(f"{type(self).__name__}._train_epoch must return a dict of numbers, not {log!r}")
        log = {name: float(value) for name, value in log.items()}
        self.epoch += 1
        self.batch = 0
        lr = self.schedule.lr
        is_best = self._judge(log)
        self.schedule.end_epoch(log)
        self.run_log.write({"epoch": self.epoch, "step": self.step, **log, "lr": lr, "seconds": seconds}, is_best)
        return is_best

    def _judge(self, log: dict[str, float]) -> bool:
        """Whether this epoch is the best so far. NaN and infinity never are."""
        if self.monitor_mode == "off":
            return False
        if self.monitor not in log:
            raise UserError(f"trainer.monitor: {self.monitor!r} is not logged; logged are {', '.join(log)}")
        value = log[self.monitor]
        sign = 1 if self.monitor_mode == "min" else -1
        if math.isfinite(value) and (self.best is None or sign * value < sign * self.best):
            self.best = value
            self.epochs_since_best = 0
            return True
        self.epochs_since_best += 1
        return False

    # ------------------------------------------------------------------------------------------- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on as if it had never stopped. Subclasses add keys.

        A checkpoint holds the config and the states of the random generators beside it.
        """
        return {
            "model": self._read_weights(),
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": None if self.lr_scheduler is None else self.lr_scheduler.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "lr": self.schedule.noted_lr,
            "best": self.best,
            "epochs_since_best": self.epochs_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`. Raises UserError when the model is of another architecture."""
        load_model(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.lr_scheduler is not None:
            self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        self.epoch = state["epoch"]
        self.batch = state["batch"]
        self.step = state["step"]
        self.schedule.noted_lr = state["lr"]
        self.best = state["best"]
        self.epochs_since_best = state["epochs_since_best"]

    def resume(self, checkpoint: dict[str, Any]) -> list[str]:
        """Go on from a checkpoint. Where this trainer's config differs from the checkpoint's, this one wins.

        Returns lines to be shown: a table of these differences, and where the training goes on.
        Raises UserError when the checkpoint does not fit this trainer's model, optimizer or own state.
        """
        try:
            if changes_schedule(checkpoint["config"], self.config):
                self.schedule.wind_forward(checkpoint["epoch"], checkpoint["step"])
            state, notes = take_over_changes(
                checkpoint, self.config, fresh=self.state_dict() | {"random": random_state()}
            )
            self.load_state_dict(state)
            set_random_state(state["random"])
        except torch.OutOfMemoryError:
            raise
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"the checkpoint does not fit this run: {type(error).__name__}: {error}") from error
        return [*notes, f"Resumed after epoch {self.epoch}, step {self.step}."]
