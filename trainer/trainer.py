"""Supervised training: batch -> output -> loss -> step."""

import logging
import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from base import BaseDataLoader, BaseTrainer
from trainer.faults import check_options, divergence, halve_parts, skip_if_bad, take_loaders
from trainer.parallel import DataParallel, recompute_blocks, shard_checkpoints, share_evaluation, share_steps
from trainer.report import loss_of, report_output, report_own_code
from utils.data import WorkerDied, cat_batches, n_samples, split_batch, to_channels_last
from utils.errors import TrainingInterrupted, has_to_fit
from utils.loop import Metric, MetricTracker
from utils.parallel import largest, rank
from utils.seed import random_state, set_random_state

AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
logger = logging.getLogger(__name__)


class Trainer(BaseTrainer):
    """Trains a model on batches of (data, target). Outputs and targets are tensors, or tuples and dicts of tensors.

    To change something, override the smallest method that holds it: `compute_loss`, `train_step`, `_train_epoch`.

    model: already on the device where it shall be trained.
    criterion: function (output, target) -> 0-d tensor, a mean over the batch.
    metrics: see MetricTracker.
    optimizer, data_loader: None if the trainer shall only evaluate.
    valid_data_loader: evaluated after each epoch; its metrics are logged as val_<name>.
    accumulate: work through a batch in so many parts: less memory, the same step.
    amp: half precision where it is safe: "bf16" or "fp16"; None: the model's own.
    channels_last: images with their channels last in memory, which is faster for convolutions on a GPU.
    clip_grad_norm: the largest norm of all gradients together; None: any.
    compile: compile the model with torch.compile.
    ema: validate and test a moving average of the weights with this decay, such as 0.999; None: the weights.
    recompute_activations: keep no activations of a block, compute them again in the backward pass: less memory.
    sharded_checkpoints: with `parallel: fsdp`, let each process write its own rows of a checkpoint.
    sync_batchnorm: of several processes, let batch norms see the whole batch, not each its share; on GPUs.
    on_nan: "stop" at a NaN or infinite loss, or "skip" the steps with NaN or infinite gradients.
    options: those of BaseTrainer.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Callable[[Any, Any], Tensor],
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
        recompute_activations: bool = False,
        sharded_checkpoints: bool = False,
        sync_batchnorm: bool = False,
        on_nan: Literal["stop", "skip"] = "stop",
        **options: Any,
    ):
        own = {"accumulate": accumulate, "amp": amp, "clip_grad_norm": clip_grad_norm, "ema": ema, "on_nan": on_nan}
        check_options(own | options)
        super().__init__(model, optimizer, lr_scheduler, **options)
        self.criterion: Any = criterion
        self.metrics = list(metrics)
        self.data_loader: Any = data_loader  # None, if it shall only evaluate
        self.valid_data_loader: Any = valid_data_loader
        take_loaders(self)

        self.accumulate = accumulate
        self.part_size: int | None = None  # samples of a batch that are worked through at once; None: all
        self.autocast = torch.autocast(self.device.type, AMP_TYPES[amp]) if amp else nullcontext()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=amp == "fp16")  # disabled, it only hands on
        self.channels_last = channels_last
        if channels_last:
            model.to(memory_format=torch.channels_last)
        self.clip_grad_norm = clip_grad_norm
        self.sync_batchnorm = sync_batchnorm
        self.replicas: DataParallel | None = None  # of several processes
        self.weight = 1.0  # of this one's share of a batch, among theirs
        self.on_nan = on_nan
        self.n_skipped = 0  # steps left out for their gradients
        self.grad_norm: Tensor | None = None  # of the last step, if it was clipped
        self.has_stepped = self.has_updated = False  # by the code of this class
        self.saved_numbers += ["part_size", "n_skipped"]
        self.ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema)) if ema and optimizer else None
        self.train_metrics = MetricTracker(self.metrics, self.device, getattr(data_loader, "in_original_units", None))
        self.tracker = self.train_metrics  # which `log` adds to
        if optimizer is not None:
            self.stateful |= {"scaler": self.scaler, "train_metrics": self.train_metrics}
        if self.ema is not None:
            self.stateful["ema"] = self.ema
        if recompute_activations:
            recompute_blocks(model)
        if sharded_checkpoints:
            shard_checkpoints(self)
        if compile:
            model.compile(dynamic=False)

    def compute_loss(self, batch: Any) -> tuple[Tensor, Any, Any]:
        """The loss of a batch, the model's output and the target."""
        data, target = batch
        output = self.model(data)
        return loss_of(self.criterion, output, target), output, target

    def train_step(self, batch: Any) -> tuple[Tensor, Any, Any]:
        """Update the weights once. Returns the loss, the model's output and the target of the whole batch."""
        self.has_stepped = True
        if self.part_size is None and self.accumulate > 1:
            self.part_size = math.ceil(n_samples(batch) / self.accumulate)
        buffers = [buffer.clone() for buffer in self.model.buffers()] if self.on_nan == "skip" else []
        compute_loss = self.compute_loss if self.replicas is None else self.replicas.compute_loss
        results: list[tuple[Tensor, Any, Any]] = []
        while not results:
            self.optimizer.zero_grad()
            try:
                for part, share in split_batch(batch, self.part_size):
                    with self.autocast:
                        loss, output, target = compute_loss(part)
                    loss = loss if share == 1 else loss * share
                    self.scaler.scale(loss).backward()
                    results.append((loss, output, target))
            except torch.OutOfMemoryError:
                loss = output = None  # of the part that failed: they hold its memory
                results.clear()
                halve_parts(self, batch)
        self._update_weights(buffers)
        if len(results) == 1:
            return results[0]
        losses, outputs, targets = zip(*results, strict=True)
        return torch.stack(losses).sum(), cat_batches(outputs), cat_batches(targets)

    def log(self, name: str, value: Any) -> None:
        """Log a number, or a tensor with one, with the epoch or the evaluation: the mean over all calls in it."""
        self.tracker.add(name, value)

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """Train on every batch that is left of the epoch, then validate."""
        if self.optimizer is None or self.data_loader is None:
            raise ValueError("to train, a Trainer needs an optimizer and a data_loader")
        self.data_loader.set_position(epoch, self.batch)
        for batch in share_steps(self, Trainer, self._batches(self.data_loader, f"epoch {epoch}/{self.epochs}")):
            loss, output, target = self.train_step(batch)
            if self.ema is not None:
                self.ema.update_parameters(self.model)
            if self.step == self.first_step:
                report_output(self.criterion, output, target)
            is_bad = self.on_nan == "skip" and largest(not loss.isfinite())
            if self.weight > 0 and not is_bad:
                self.train_metrics.update(loss, output, target)
            self.end_step()
        log = self.train_metrics.compute()
        if not math.isfinite(log["loss"]):
            raise divergence(self, epoch)
        if self.valid_data_loader is not None:
            self.valid_data_loader.set_position(epoch)
            log |= {f"val_{name}": value for name, value in self.evaluate(self.valid_data_loader).items()}
        self.train_metrics.reset()
        if self.on_nan == "skip":
            log["skipped_steps"] = self.n_skipped
        if self.device.type == "cuda":
            log["peak_gpu_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
            torch.cuda.reset_peak_memory_stats(self.device)
        return log

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics over all samples of some batches, by name. The model's mode stays what it was."""
        if isinstance(batches, BaseDataLoader):
            batches.to(self.device)
        metrics = MetricTracker(self.metrics, self.device, getattr(batches, "in_original_units", None))
        before, trained = random_state(), self.model
        self.model, self.tracker = self.evaluated_model, metrics
        was_training = self.model.training
        self.model.eval()
        try:
            for batch in share_evaluation(self, batches, self._batches(batches, "evaluate")):
                with self.autocast:
                    results = self.compute_loss(batch)
                if self.weight > 0:  # else the samples are another process's
                    metrics.update(*results)
                self.stop_signals.obey()
        except (TrainingInterrupted, WorkerDied):
            set_random_state(before)  # the resumed run evaluates from the start
            raise
        finally:
            self.model.train(was_training)
            self.model, self.tracker = trained, self.train_metrics
        return metrics.compute()

    @property
    def evaluated_model(self) -> nn.Module:
        """The model that `evaluate` runs: the moving average, if there is one."""
        return self.model if self.ema is None or self.ema.n_averaged == 0 else self.ema.module

    def after_first_epoch(self) -> None:
        report_own_code(self)

    def _update_weights(self, buffers: list[Tensor]) -> None:
        """The optimizer's step. One that is skipped puts `buffers` back: a batch norm has seen the NaN."""
        self.has_updated = True
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.scaler.unscale_(self.optimizer)
        if self.on_nan == "skip":
            skip_if_bad(self, parameters, buffers)
        if self.clip_grad_norm is not None:
            self.grad_norm = clip_grad_norm_(parameters, self.clip_grad_norm)
        with has_to_fit() if 0 < self.step == self.first_step else nullcontext():  # what a checkpoint remembers
            self.scaler.step(self.optimizer)
        self.scaler.update()

    def _batches(self, batches: Iterable[Any], title: str) -> Iterable[Any]:
        """The batches as the model wants them, with a bar on a terminal where there is none for the whole run."""
        placed = map(to_channels_last, batches) if self.channels_last else batches
        total = len(batches) if isinstance(batches, BaseDataLoader) else None
        if self.bar is not None or total == 1:
            return placed
        return tqdm(placed, title, total, leave=False, delay=0.5, disable=None if rank() == 0 else True)
