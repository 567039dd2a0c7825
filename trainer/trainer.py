"""Supervised training: batch -> output -> loss -> step."""

import itertools
import math
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from base import BaseDataLoader, BaseTrainer
from utils.checkpoint import load_checkpoint, save_checkpoint, snapshot
from utils.errors import TrainingInterrupted, UserError
from utils.metric_tracker import Metric, MetricTracker
from utils.seed import random_state, set_random_state


class Trainer(BaseTrainer):
    """Trains a model on batches of (data, target).

    To change something, override the smallest ring that holds it:
    `compute_loss` (what the loss is), `train_step` (how weights are updated), `_train_epoch` (what an epoch is).

    model: already on the device where it shall be trained.
    criterion: function (output, target) -> 0-d tensor, a mean over the batch.
    metrics: see MetricTracker.
    optimizer, data_loader: None if the trainer shall only evaluate.
    valid_data_loader: evaluated after each epoch; its metrics are logged as val_<name>.
    options: those of BaseTrainer.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Callable[[Tensor, Tensor], Tensor],
        metrics: Iterable[Metric] = (),
        optimizer: torch.optim.Optimizer | None = None,
        data_loader: BaseDataLoader | None = None,
        valid_data_loader: BaseDataLoader | None = None,
        lr_scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
        **options: Any,
    ):
        super().__init__(model, optimizer, lr_scheduler, **options)
        self.criterion = criterion
        self.data_loader = data_loader
        self.valid_data_loader = valid_data_loader
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.metrics = list(metrics)
        self.shows_progress = sys.stderr.isatty()
        self.train_metrics = MetricTracker(self.metrics, self.device)
        for loader in (data_loader, valid_data_loader):
            if not isinstance(loader, BaseDataLoader | None):
                raise TypeError(
                    f"a {type(loader).__name__} cannot be resumed; make a base.BaseDataLoader of its dataset"
                )
        if data_loader is not None and len(data_loader) == 0:
            raise ValueError("the data loader has no batch: fewer samples than batch_size, and drop_last is on")
        if data_loader is not None and valid_data_loader is None and self.monitor.startswith("val_"):
            raise ValueError(f"{self.monitor} cannot be monitored without validation data; set validation_split")

    def train(self, run_dir: Path | None = None) -> None:
        self.model.train()
        try:
            super().train(run_dir)
        finally:
            for loader in filter(None, (self.data_loader, self.valid_data_loader)):
                loader.close()

    # ---------------------------------------------------------------------------------- from the inside out

    def compute_loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The loss of a batch, the model's output and the target."""
        data, target = batch
        output = self.model(data)
        return self.criterion(output, target), output, target

    def train_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Update the weights once. Returns what `compute_loss` returns."""
        self.optimizer.zero_grad()
        loss, output, target = self.compute_loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss, output, target

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """Train on every batch that is left of the epoch, then validate."""
        self.data_loader.set_position(epoch, self.batch)
        for batch in self._progress(self.data_loader, f"epoch {epoch}/{self.epochs}", done=self.batch):
            loss, output, target = self.train_step(self.to_device(batch))
            self.train_metrics.update(loss, output, target)
            self.end_step()
        log = self.train_metrics.compute()
        if not math.isfinite(log["loss"]):
            raise UserError(self._name_divergence(epoch))
        if self.valid_data_loader is not None:
            self.valid_data_loader.set_position(epoch)
            log |= {f"val_{name}": value for name, value in self.evaluate(self.valid_data_loader).items()}
        self.train_metrics.reset()
        return log

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics over all samples of some batches, by name. The model's mode stays what it was."""
        was_training = self.model.training
        self.model.eval()
        metrics = MetricTracker(self.metrics, self.device)
        before = random_state()
        try:
            for batch in self._progress(batches, "evaluate"):
                metrics.update(*self.compute_loss(self.to_device(batch)))
                self.stop_if_asked()
        except TrainingInterrupted:
            set_random_state(before)  # the resumed run evaluates from the start
            raise
        finally:
            self.model.train(was_training)
        return metrics.compute()

    # ------------------------------------------------------------------------------------------------ helpers

    def to_device(self, batch: Any) -> Any:
        """A batch with its tensors, also those in lists, tuples and dicts, moved to the model's device."""
        if isinstance(batch, Tensor):
            return batch.to(self.device, non_blocking=True)
        if isinstance(batch, dict):
            return {key: self.to_device(value) for key, value in batch.items()}
        if isinstance(batch, list | tuple):
            return [self.to_device(part) for part in batch]
        return batch  # such as a file's name

    def check(self) -> None:
        """Try everything once: a training batch, a validation batch, saving and reloading. Leaves no file."""
        self.data_loader.set_position(epoch=1)
        self.train_step(self.to_device(next(iter(self.data_loader))))
        self.evaluate(itertools.islice(self.valid_data_loader or self.data_loader, 1))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "checkpoint.pth"
            save_checkpoint(snapshot(self.state_dict()) | {"config": self.config}, path)
            self.load_state_dict(load_checkpoint(path))

    def _name_divergence(self, epoch: int) -> str:
        step = self.step - self.batch + 1 + (self.train_metrics.first_bad_batch() or 0)
        return (
            f"the loss is NaN or infinite in epoch {epoch}, from step {step} on, with learning rate "
            f"{self.optimizer.param_groups[0]['lr']:g}. Try a tenth of it (--lr), look for NaN or very large values in "
            "the data, or scale the features. The checkpoints of earlier epochs are intact."
        )

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"train_metrics": self.train_metrics.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if not 0 <= self.batch <= len(self.data_loader):
            raise UserError(f"the checkpoint says batch {self.batch} of an epoch that has {len(self.data_loader)}")
        self.train_metrics.load_state_dict(state["train_metrics"])

    def _progress(self, batches: Iterable[Any], description: str, done: int = 0) -> Iterable[Any]:
        """A bar on a terminal; nothing elsewhere, where the line at the epoch's end says it all."""
        if not self.shows_progress:
            return batches
        total = len(batches) if isinstance(batches, BaseDataLoader) else None
        return tqdm(batches, description, total, initial=done, leave=False)
