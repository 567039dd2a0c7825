"""What is said and done when a training cannot go on: unfit data loaders, a loss that is NaN, too little memory."""

import logging
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from base import BaseDataLoader
from utils.config import RANGES, accepts, trainer_keys
from utils.data import n_samples
from utils.errors import MEMORY_ADVICE, UserError
from utils.parallel import largest

logger = logging.getLogger(__name__)


def check_options(options: dict[str, Any]) -> None:
    """Raise ValueError for options of Trainer that are given in code, and that a config could not give either."""
    keys = {name: key for name, key in trainer_keys().items() if name in options}
    found = {name: accepts(RANGES.get(f"trainer.{name}", key.annotation), options[name]) for name, key in keys.items()}
    faults = [f"{name} is {options[name]!r}, not {accepted}" for name, (fits, accepted) in found.items() if not fits]
    if faults:
        raise ValueError("; ".join(faults))


def take_loaders(trainer: Any) -> None:
    """Move a trainer's loaders to its device. Raises TypeError, ValueError or UserError if they do not fit it."""
    trainer.data_loader = _resumable(trainer.data_loader, training=True)
    trainer.valid_data_loader = _resumable(trainer.valid_data_loader, training=False)
    for loader in filter(None, (trainer.data_loader, trainer.valid_data_loader)):
        trainer.to_close.append(loader.to(trainer.device))
    kind: Any = type(trainer)
    is_evaluated = trainer.valid_data_loader is not None or trainer.optimizer is None
    own = {method.__module__ for method in (kind._train_epoch, kind.compute_loss, kind.evaluate)}
    if type(trainer.model) is nn.ModuleDict and is_evaluated and own == {"trainer.trainer"}:
        raise ValueError("several models need a compute_loss or evaluate of your own, for validation and test")
    if trainer.data_loader is None:
        return
    trainer.steps_per_epoch = len(trainer.data_loader)
    if trainer.steps_per_epoch == 0:
        raise ValueError("the data loader has no batch: fewer samples than batch_size, and drop_last is on")
    if trainer.valid_data_loader is None and trainer.monitor.startswith("val_"):
        raise ValueError(f"{trainer.monitor} cannot be monitored without validation data; set validation_split")
    lr_scheduler, per = trainer.lr_scheduler, trainer.schedule.per
    n_needed = trainer.epochs * (trainer.steps_per_epoch if per == "step" else 1)
    if isinstance(lr_scheduler, OneCycleLR) and lr_scheduler.total_steps < n_needed:  # better now than in hours
        raise UserError(f"lr_scheduler.args.total_steps: OneCycleLR ends after {lr_scheduler.total_steps} steps; one "
                        f"per {per}, this training needs {n_needed}")  # fmt: skip


def _resumable(loader: Any, training: bool) -> BaseDataLoader | None:
    """The loader itself; of a torch DataLoader whose samples and batches are the usual ones, a BaseDataLoader of them.

    Raises TypeError, with what to write, for others: nobody knows where in their epoch they are.
    """
    if loader is None or isinstance(loader, BaseDataLoader):
        return loader
    sampler: Any = getattr(loader, "sampler", None)
    is_plain = type(loader) is DataLoader and type(loader.batch_sampler) is BatchSampler and not loader.worker_init_fn
    in_order = type(sampler) is SequentialSampler
    at_random = type(sampler) is RandomSampler and not sampler.replacement and len(sampler) == len(sampler.data_source)
    if not is_plain or not (in_order or at_random):
        raise TypeError(f"a {type(loader).__name__} like this one cannot be resumed; say base.BaseDataLoader(dataset, "
                        "batch_size=32), with a dataset that has __len__ and __getitem__")  # fmt: skip
    return BaseDataLoader(
        loader.dataset,
        loader.batch_size or 1,
        shuffle=not in_order,
        num_workers=loader.num_workers,
        drop_last=loader.drop_last,
        training=training,
        collate_fn=loader.collate_fn,
    )


def divergence(trainer: Any, epoch: int) -> UserError:
    """The loss of an epoch is NaN or infinite: from which step on, and what to do."""
    losses = trainer.train_metrics.losses()
    n_good = -largest(-next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses)))
    step = trainer.step - trainer.batch + 1 + (n_good if n_good < len(losses) else 0)
    return UserError(f"the loss is NaN or infinite in epoch {epoch}, from step {step} on, with learning rate "
                     f"{trainer.schedule.lr:g}. Try a tenth of it (--lr), look for NaN or very large values in the "
                     "data, or scale the features. Checkpoints of earlier epochs are intact.")  # fmt: skip


def skip_if_bad(trainer: Any, parameters: list[Tensor], buffers: list[Tensor]) -> None:
    """Drop gradients that are NaN or infinite, and put `buffers` back: a batch norm has seen them."""
    gradients: list[Any] = [p.grad for p in parameters if p.grad is not None]
    gradients = [g.to_local() if hasattr(g, "to_local") else g for g in gradients]  # this process's part of it
    norm = get_total_norm([g for g in gradients if g.numel() > 0], math.inf)
    if not largest(not norm.isfinite()):
        return
    trainer.n_skipped += 1
    with torch.no_grad():
        for buffer, old in zip(trainer.model.buffers(), buffers, strict=True):
            buffer.copy_(old)
    trainer.optimizer.zero_grad()  # a step without gradients changes nothing


def halve_parts(trainer: Any, batch: Any) -> None:
    """Work through batches in smaller parts from here on, since memory ran out. UserError if they cannot be smaller."""
    size = min(trainer.part_size or n_samples(batch), n_samples(batch))
    if size == 1:
        raise UserError(f"out of memory in step {trainer.step + 1} even with one sample at a time. {MEMORY_ADVICE}")
    if trainer.replicas is not None:  # the others wait for gradients, of which some have been sent
        raise UserError(f"out of memory in step {trainer.step + 1} on one of several processes. Work through batches "
                        f"in parts: trainer.accumulate={2 * trainer.accumulate}, or more. {MEMORY_ADVICE}")  # fmt: skip
    trainer.part_size = (size + 1) // 2
    logger.warning("Out of memory in step %d: from here on, batches are worked through in parts of at most %d "
                   "samples.", trainer.step + 1, trainer.part_size)  # fmt: skip
