"""Several processes train one model: each has a copy of it and a share of every batch; gradients are averaged."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer.parallel.fully_sharded import is_sharded
from utils.data import n_samples
from utils.errors import UserError
from utils.parallel import from_main, gather, rank, world_size
from utils.seed import derive_seed, seed_everything


def share_steps(trainer: Any, base: type, batches: Iterable[Any]) -> Iterable[Any]:
    """An epoch's batches, for a `trainer` that descends from `base`, Trainer. In one process, nothing is added."""
    if world_size() == 1:
        return batches
    trainer.replicas = trainer.replicas or DataParallel(trainer, base)
    return trainer.replicas.steps(batches)


def share_evaluation(trainer: Any, loader: Any, batches: Iterable[Any]) -> Iterable[Any]:
    """A loader's batches, of which each process has its share: `trainer.weight` says whether it has one."""
    return batches if world_size() == 1 else _weighted(trainer, loader, batches, 0)


def _weighted(trainer: Any, loader: Any, batches: Iterable[Any], n_done: int) -> Iterator[Any]:
    """The batches. While one is worked on, `trainer.weight` is what its mean counts in the mean of all processes'.

    It is 1 where all have equally many samples, and 0 where a last batch has none for this process.
    """
    place, n_processes = getattr(loader, "place", (0, 1))
    n_left = loader.sampler.length - n_done * loader.batch_size if n_processes > 1 else 0
    for batch in batches:
        n = max(1, min(loader.batch_size, n_left))
        trainer.weight = (n // n_processes + (place < n % n_processes)) * n_processes / n
        n_left -= n
        yield batch
    trainer.weight = 1.0


def check_same(what: str, value: Any) -> None:
    """Raise UserError if a process has another value than rank 0."""
    values = gather(value)
    if differing := [number for number, other in enumerate(values) if other != values[0]]:
        raise UserError(f"process {differing[0]} and process 0 do not have the same {what}")


class DataParallel:
    """What a Trainer does besides when it is one of several processes; `compute_loss` is to be called for its own.

    A model may be sharded already (fully_sharded.py): then it averages its gradients itself.
    With a train_step of its own, a trainer's `backward` averages each gradient by itself, and not by torch's
    DistributedDataParallel, which has to know each model's forward. With an `evaluate` of its own, every process
    evaluates all samples.
    """

    def __init__(self, trainer: Any, base: type):
        self.trainer, self.loader = trainer, trainer.data_loader
        if self.loader.batch_size < world_size():
            raise UserError(f"batch_size {self.loader.batch_size} is less than one sample for each of {world_size()} "
                            "processes; start fewer, or set data_loader.args.batch_size")  # fmt: skip
        if type(trainer).evaluate is not base.evaluate and trainer.valid_data_loader is not None:
            trainer.valid_data_loader.place = 0, 1
        if trainer.sync_batchnorm:
            if trainer.device.type == "cpu":
                raise UserError("trainer.sync_batchnorm: torch has it for GPUs only")
            trainer.model = nn.SyncBatchNorm.convert_sync_batchnorm(trainer.model)
        has_own_step = type(trainer).train_step is not base.train_step
        self.compute_loss = trainer.compute_loss if has_own_step else self._compute_loss
        self.is_sharded = is_sharded(trainer.model)
        if self.is_sharded:
            if has_own_step:
                raise UserError(f"trainer.parallel: fsdp is for Trainer's train_step, {type(trainer).__name__} has "
                                "its own; use ddp")  # fmt: skip
            return
        if not has_own_step:
            # DDP is around the loss, not around the model, so that the trainer's `model` stays what it is in one
            # process. Any parameter may get no gradient, as there. This also fixes the order in which gradients are
            # summed, which else a resumed run could not repeat.
            self._ddp = DistributedDataParallel(
                _Loss(trainer.model, trainer.compute_loss), find_unused_parameters=True, gradient_as_bucket_view=True
            )
            return
        for parameter in {p for module in self._modules() for p in module.parameters() if p.requires_grad}:
            parameter.register_hook(lambda gradient: self._sum(gradient * (trainer.weight / world_size())))

    def steps(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches of an epoch. Each step has random numbers of its own, so that it can be repeated."""
        for batch in _weighted(self.trainer, self.loader, batches, self.trainer.batch):
            self._n_left = n_samples(batch)
            seed_everything(derive_seed(self.loader.seed, self.trainer.step, rank() + 1, 1) % 2**32)
            yield batch
        self._share_state()

    def _compute_loss(self, part: Any) -> tuple[Tensor, Any, Any]:
        """The loss, output and target of a part of the batch. The last part's `backward` averages all gradients."""
        self._n_left -= n_samples(part)
        is_last, weight = self._n_left == 0, self.trainer.weight
        if self.is_sharded:
            self.trainer.model.set_requires_gradient_sync(is_last)
            loss, *rest = self.trainer.compute_loss(part)
        else:
            with nullcontext() if is_last else self._ddp.no_sync():
                loss, rest = self._ddp(part)
            rest = rest()
        loss.register_hook(lambda gradient: gradient * weight)
        return loss, *rest

    @staticmethod
    def _sum(gradient: Tensor) -> Tensor:
        dist.all_reduce(gradient)
        return gradient

    @torch.no_grad()
    def _share_state(self) -> None:
        """Give everyone rank 0's buffers, such as a batch norm's. Raises UserError if the weights have gone apart."""
        modules = self._modules()
        if not self.is_sharded:
            sums = [str(parameter.double().sum().item()) for module in modules for parameter in module.parameters()]
            check_same("weights: a gradient made without `backward` is not averaged; train in one process", sums)
        buffers = [buffer for module in modules for buffer in module.buffers()]
        for buffer, main in zip(buffers, from_main([buffer.cpu() for buffer in buffers]), strict=True):
            buffer.copy_(main)

    def _modules(self) -> list[nn.Module]:
        return [part for part in self.trainer._parts().values() if isinstance(part, nn.Module)]


class _Loss(nn.Module):
    def __init__(self, model: nn.Module, compute_loss: Callable[[Any], tuple[Tensor, Any, Any]]):
        super().__init__()
        self.model, self.compute_loss = model, compute_loss
        self.unused = nn.Parameter(torch.zeros((), device=next(model.parameters()).device))  # else torch would warn

    def forward(self, batch: Any) -> tuple[Tensor, Callable[[], list[Any]]]:
        loss, *rest = self.compute_loss(batch)
        return loss, lambda: rest  # a function, as torch shall look for parameters behind the loss alone
