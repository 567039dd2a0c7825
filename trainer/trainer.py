"""Supervised training: batch -> output -> loss -> step."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from base import BaseDataLoader, BaseTrainer
from utils.checkpoint import load_model, trained_weights
from utils.data import n_samples, split_batch, to_channels_last
from utils.errors import TrainingInterrupted, UserError
from utils.loop import (
    Compilation,
    Metric,
    MetricTracker,
    MovingAverage,
    SkippingStep,
    choosing_threads,
    compare,
    divergence,
    fit_state,
    forward,
    parameters_of,
    smaller_part,
    using_threads,
)
from utils.parallel import world_size
from utils.seed import random_state, set_random_state

BAR_SECONDS = 0.5  # an epoch shorter than this needs no progress bar, which would cost it 0.2 milliseconds
AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer(BaseTrainer):
    """Trains a model on batches of (data, target).

    To change something, override the smallest ring that holds it:
    `compute_loss` (what the loss is), `train_step` (how weights are updated), `_train_epoch` (what an epoch is).

    model: already on the device where it shall be trained.
    criterion: function (output, target) -> 0-d tensor, a mean over the batch.
    metrics: see MetricTracker.
    optimizer, data_loader: None if the trainer shall only evaluate.
    valid_data_loader: evaluated after each epoch; its metrics are logged as val_<name>.
    accumulate: work through each batch in so many parts and add up their gradients: less memory, the same step but for
        a batch norm, which sees a part at a time. When memory does not suffice, the trainer halves the parts itself.
    amp: "bf16" or "fp16": compute in half precision where torch holds it to be safe; None: in the model's own.
    channels_last: keep images with their channels last in memory, which is faster for convolutions on a GPU.
    clip_grad_norm: scale the gradients down to this norm, all together, when theirs is larger; None: never.
    compile: see Compilation.
    ema: evaluate, and keep in checkpoints, a moving average of the weights with this decay, such as 0.999; None: none.
    on_nan: "stop" the training when the loss is NaN or infinite, or "skip" every step whose gradients are.
    threads: CPU threads; None: see choosing_threads.
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
        *,
        accumulate: Annotated[int, ">= 1"] = 1,
        amp: Literal["bf16", "fp16"] | None = None,
        channels_last: bool = False,
        clip_grad_norm: Annotated[float, "> 0"] | None = None,
        compile: bool = False,
        ema: Annotated[float, "> 0", "< 1"] | None = None,
        on_nan: Literal["stop", "skip"] = "stop",
        threads: int | None = None,
        **options: Any,
    ):
        super().__init__(model, optimizer, lr_scheduler, **options)
        self.criterion = criterion
        self.data_loader = data_loader
        self.valid_data_loader = valid_data_loader
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self._check_loaders()
        self._check_schedule()

        self.accumulate = accumulate
        self.part_size: int | None = None  # of a batch that is worked through in parts
        if amp is not None:  # whoever calls it, and whichever class has written it
            self.compute_loss = torch.autocast(self.device.type, AMP_TYPES[amp])(self.compute_loss)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=amp == "fp16")  # disabled, it only hands on
        self.channels_last = channels_last
        if channels_last:
            model.to(memory_format=torch.channels_last)
        if optimizer is not None:
            fit_state(optimizer)
        self.clip_grad_norm = clip_grad_norm
        self.compilation = Compilation(model) if compile else None
        self.skipping = SkippingStep(model, optimizer) if on_nan == "skip" else None
        self.ema = None if ema is None or optimizer is None else MovingAverage(model, ema)
        self.threads = threads
        self.metrics = list(metrics)
        self.train_metrics = MetricTracker(self.metrics, self.device, skip_bad=on_nan == "skip")
        self.shows_progress = sys.stderr.isatty()

    @property
    def evaluated_model(self) -> nn.Module:
        """The model that `evaluate` runs: the moving average, if there is one."""
        return self.model if self.ema is None else self.ema.model

    def train(self, run_dir: Path | None = None) -> None:
        self.model.train()
        with ExitStack() as stack:
            for loader in filter(None, (self.data_loader, self.valid_data_loader)):
                stack.callback(loader.close)
            stack.enter_context(using_threads(self.threads))
            super().train(run_dir)

    # ---------------------------------------------------------------------------------- from the inside out

    def compute_loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The loss of a batch, the model's output and the target."""
        data, target = batch
        output = forward(self.model, data)
        return compare("loss", self.criterion, output, target), output, target

    def train_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Update the weights once. Returns what `compute_loss` returns."""
        self.zero_grad()
        loss, output, target = self.forward_backward(batch)
        self.scaler.unscale_(self.optimizer)
        if self.clip_grad_norm is not None:
            clip_grad_norm_(parameters_of(self.optimizer), self.clip_grad_norm)
        if self.skipping is None:
            self.scaler.step(self.optimizer)
        else:
            self.skipping.step(self.scaler)
        self.scaler.update()
        return loss, output, target

    def zero_grad(self) -> None:
        """What torch's `optimizer.zero_grad()` does, without the profiling around it, which takes longer than the work.

        Override it for an optimizer that has a `zero_grad` of its own.
        """
        for parameter in parameters_of(self.optimizer):
            parameter.grad = None

    def forward_backward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Add up the gradients of a batch, part by part. Returns what `compute_loss` returns of the whole."""
        if self.skipping is not None:
            self.skipping.remember()
        if self.part_size is None and self.accumulate > 1:
            self.part_size = math.ceil(n_samples(batch) / self.accumulate)
        while True:
            try:
                if self.part_size is None:
                    return self._forward_backward(batch)
                results = [self._forward_backward(part, share) for part, share in split_batch(batch, self.part_size)]
                losses, outputs, targets = zip(*results, strict=True)
                return sum(losses), torch.cat(outputs), torch.cat(targets)
            except torch.OutOfMemoryError:
                self.part_size = smaller_part(self.part_size, n_samples(batch), self.step + 1)
            self.zero_grad()  # only here is the memory of the pass that failed free: the exception held it

    def _forward_backward(self, batch: tuple[Tensor, Tensor], share: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        loss, output, target = self.compute_loss(batch)
        if share != 1.0:
            loss = loss * share
        self.scaler.scale(loss).backward()
        return loss, output, target

    def train_on_batch(self, batch: Any) -> None:
        """`train_step`, and what belongs to a step whatever that does."""
        if self.compilation is not None:
            self.compilation.before_step(self.step)
        if self.threads is None and self.device.type == "cpu":
            with choosing_threads(self.model):
                loss, output, target = self.train_step(batch)
            self.threads = torch.get_num_threads()
        else:
            loss, output, target = self.train_step(batch)
        if self.ema is not None:
            self.ema.update(self.model, is_first=self.step == 0)
        self.train_metrics.update(loss, output, target)

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """Train on every batch that is left of the epoch, then validate."""
        if self.optimizer is None or self.data_loader is None:
            raise ValueError("to train, a Trainer needs an optimizer and a data_loader")
        self.data_loader.set_position(epoch, self.batch)
        for batch in self._batches(self.data_loader, epoch):
            self.train_on_batch(batch)
            self.end_step()
        log = self.train_metrics.compute()
        if not math.isfinite(log["loss"]):
            first_bad_step = self.step - self.batch + 1 + (self.train_metrics.first_bad_batch() or 0)
            raise divergence(epoch, first_bad_step, self.schedule.lr)
        if self.valid_data_loader is not None:
            self.valid_data_loader.set_position(epoch)
            log |= {f"val_{name}": value for name, value in self.evaluate(self.valid_data_loader).items()}
        self.train_metrics.reset()
        return log | self._numbers_of_options()

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics over all samples of some batches, by name. The model's mode stays what it was."""
        if isinstance(batches, BaseDataLoader):
            batches.to(self.device)
        metrics = MetricTracker(self.metrics, self.device)
        with self._evaluating():
            for batch in self._batches(batches):
                metrics.update(*self.compute_loss(batch))
                if world_size() == 1:  # else the processes' shares may differ in length
                    self.stop_signals.obey()
        return metrics.compute()

    # ------------------------------------------------------------------------------------------------ helpers

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Inside the block, `model` is the evaluated one, in its evaluation mode."""
        before, trained, self.model = random_state(), self.model, self.evaluated_model
        was_training = self.model.training
        self.model.eval()
        try:
            yield
        except TrainingInterrupted:
            set_random_state(before)  # the resumed run evaluates from the start
            raise
        finally:
            self.model.train(was_training)
            self.model = trained

    def _numbers_of_options(self) -> dict[str, float]:
        numbers = {}
        if self.skipping is not None:
            numbers["skipped_steps"] = self.skipping.n_skipped.item()
        if self.device.type == "cuda":
            numbers["peak_gpu_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
            torch.cuda.reset_peak_memory_stats(self.device)
        return numbers

    def _check_loaders(self) -> None:
        for loader in filter(None, (self.data_loader, self.valid_data_loader)):
            if not isinstance(loader, BaseDataLoader):
                raise TypeError(f"a {type(loader).__name__} cannot be resumed; make it a base.BaseDataLoader")
            loader.to(self.device)
        if self.data_loader is not None and len(self.data_loader) == 0:
            raise ValueError("the data loader has no batch: fewer samples than batch_size, and drop_last is on")
        if self.data_loader is not None and self.valid_data_loader is None and self.monitor.startswith("val_"):
            raise ValueError(f"{self.monitor} cannot be monitored without validation data; set validation_split")

    def _check_schedule(self) -> None:
        if self.data_loader is not None:
            n_epochs = self.epochs - self.epoch
            self.schedule.check_length(n_epochs, n_epochs * len(self.data_loader) - self.batch)

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state["train_metrics"] = self.train_metrics.state_dict()
        state["part_size"] = self.part_size
        state["threads"] = self.threads
        state["scaler"] = self.scaler.state_dict()
        if self.skipping is not None:
            state["n_skipped"] = self.skipping.n_skipped
        if self.ema is not None:
            state["ema"] = self.ema.model.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if not 0 <= self.batch <= len(self.data_loader):
            raise UserError(f"the checkpoint says batch {self.batch} of an epoch that has {len(self.data_loader)}")
        fit_state(self.optimizer)
        self.train_metrics.load_state_dict(state["train_metrics"])
        self.part_size = state["part_size"]
        self.threads = state["threads"]
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        if self.skipping is not None and "n_skipped" in state:
            self.skipping.n_skipped.copy_(state["n_skipped"])
        if self.ema is not None:
            load_model(self.ema.model, trained_weights(state))
        if self.compilation is not None:
            self.compilation.resume(self.step)
        self._check_schedule()

    def _batches(self, batches: Iterable[Any], epoch: int | None = None) -> Iterable[Any]:
        """The batches as the model wants them, with a bar on a terminal. Of a short epoch, its line says it all.

        epoch: the one that they are trained in; None: they are evaluated.
        """
        placed = map(to_channels_last, batches) if self.channels_last else batches
        if not self.shows_progress or self.epoch_seconds < BAR_SECONDS:
            return placed
        title, n_done = ("evaluate", 0) if epoch is None else (f"epoch {epoch}/{self.epochs}", self.batch)
        total = len(batches) if isinstance(batches, BaseDataLoader) else None
        return tqdm(placed, title, total, initial=n_done, leave=False)
