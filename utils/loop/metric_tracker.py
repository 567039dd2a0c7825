"""Averages over an epoch, gathered without slowing the step down."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any

import torch
from torch import Tensor

from utils.loop.fitting import compare, name_of

Metric = Callable[[Tensor, Tensor], Tensor]
Values = list[float] | Tensor  # numbers, on a GPU in a tensor of one dimension

# How many batches are kept before the metrics are computed for all of them at once, and how many numbers at most.
MAX_BATCHES = 64
MAX_NUMBERS = 1 << 22


def per_epoch(metric: Metric) -> Metric:
    """Mark a metric that is no mean over samples, such as F1: it is called once, with the whole epoch, on the CPU."""
    metric.per_epoch = True
    return metric


class MetricTracker:
    """The mean of the loss and of each metric over the samples seen since `reset()`.

    metrics: functions (output, target) -> 0-d tensor, a mean over the batch; or marked with `per_epoch`.
    device: where the batches lie.
    skip_bad: leave out batches whose loss is NaN or infinite. The metrics are then computed batch by batch.

    `update` only keeps references. Metrics are computed for up to 64 batches at once and stay on a GPU until `compute`
    reads them, so a step neither pays for them nor waits.
    """

    def __init__(self, metrics: Iterable[Metric], device: torch.device | str = "cpu", skip_bad: bool = False):
        metrics = list(metrics)
        self.means = [metric for metric in metrics if not getattr(metric, "per_epoch", False)]
        self.wholes = [metric for metric in metrics if getattr(metric, "per_epoch", False)]
        self.names = ["loss", *map(name_of, metrics)]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"two columns of the log have one name: {', '.join(self.names)}")
        self.device = torch.device(device)
        self.skip_bad = skip_bad
        self._shapes: tuple[torch.Size, torch.Size] | None = None  # of the batches kept
        self._limit = MAX_BATCHES
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._pending: list[tuple[float | Tensor, Tensor, Tensor]] = []
        # of each group of equally large batches: how large they are, their losses, the metrics' means
        self._groups: list[tuple[int, Values, Values]] = []
        self._epoch: list[tuple[Tensor, Tensor]] = []  # what the per-epoch metrics will see

    def update(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        """Count a batch: its mean loss, the model's output and the target, each (batch, ...)."""
        if (output.shape, target.shape) != self._shapes:
            self._close_group()
            self._expect(output, target)
        self._pending.append((self._kept(loss), output.detach(), target))
        if len(self._pending) >= self._limit:
            self._close_group()

    def _kept(self, value: Tensor) -> float | Tensor:
        """A tensor's one number or, where reading it would wait for a GPU, a 0-d tensor there."""
        return value.item() if self.device.type == "cpu" else value.detach().to(self.device).reshape(())

    def _expect(self, output: Tensor, target: Tensor) -> None:
        """Begin a group of batches of these shapes."""
        self._shapes = output.shape, target.shape
        max_batches = 1 if self.skip_bad else MAX_BATCHES
        self._limit = min(max_batches, MAX_NUMBERS // (output.numel() + target.numel() + 1))

    def compute(self) -> dict[str, float]:
        """The means, and the metrics of the whole epoch, by name. Waits for the GPU."""
        self._close_group()
        groups, epoch = self._groups, self._epoch
        if self.skip_bad:
            is_good = [all(map(math.isfinite, _numbers(losses))) for _, losses, _ in groups]
            groups, epoch = list(compress(groups, is_good)), list(compress(epoch, is_good))
        n_samples, loss_sum, sums = 0, 0.0, [0.0] * len(self.means)
        for size, losses, means in groups:
            n_samples += size * len(losses)
            loss_sum += size * sum(_numbers(losses))
            sums = [old + size * len(losses) * mean for old, mean in zip(sums, _numbers(means), strict=True)]
        n_samples = n_samples or math.nan
        values = {"loss": loss_sum / n_samples}
        for metric, metric_sum in zip(self.means, sums, strict=True):
            values[name_of(metric)] = metric_sum / n_samples
        if not math.isfinite(values["loss"]):  # scikit-learn refuses NaN, which would hide that the loss diverged
            return dict.fromkeys(self.names, math.nan) | values
        for metric in self.wholes:
            output, target = (_readable(torch.cat(parts)) for parts in zip(*epoch, strict=True))
            values[name_of(metric)] = float(compare("metrics", metric, output, target))
        return {name: values[name] for name in self.names}

    def first_bad_batch(self) -> int | None:
        """The number, from 0, of the first batch whose loss is NaN or infinite; None if all are finite."""
        losses = [loss for _, losses, _ in self._groups for loss in _numbers(losses)]
        return next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)

    def state_dict(self) -> dict[str, Any]:
        """All that was gathered, so that an interrupted epoch ends with the same numbers, bit by bit."""
        return {"pending": self._pending, "groups": self._groups, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict()`."""
        self.reset()
        for loss, output, target in state["pending"]:
            loss = torch.as_tensor(loss, dtype=torch.float64, device=self.device)
            self._pending.append((self._kept(loss), output.to(self.device), target.to(self.device)))
        if self._pending:
            self._expect(*self._pending[0][1:])
        self._groups = [
            (int(size), [float(loss) for loss in losses], [float(mean) for mean in means])
            for size, losses, means in state["groups"]
        ]
        self._epoch = [tuple(part.to(self.device) for part in batch) for batch in state["epoch"]]

    def _close_group(self) -> None:
        """Compute the metrics of the batches kept, which are all of one shape, at once."""
        if not self._pending:
            return
        losses, outputs, targets = zip(*self._pending, strict=True)
        self._pending = []
        means = []
        if self.means or self.wholes:
            output, target = torch.cat(outputs), torch.cat(targets)
            means = [self._kept(_call(metric, output, target)) for metric in self.means]
            if self.wholes:
                self._epoch.append((output, target))
        self._groups.append((targets[0].shape[0], _gathered(losses), _gathered(means)))


def _gathered(values: Sequence[float | Tensor]) -> Values:
    return torch.stack(values) if values and isinstance(values[0], Tensor) else list(values)


def _numbers(values: Values) -> list[float]:
    return values.tolist() if isinstance(values, Tensor) else values


def _readable(tensor: Tensor) -> Tensor:
    """On the CPU, and in no half precision, of which NumPy knows but one."""
    return tensor.cpu().float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor.cpu()


def _call(metric: Metric, output: Tensor, target: Tensor) -> Tensor:
    value = torch.as_tensor(compare("metrics", metric, output, target), dtype=torch.float64)
    if value.dim() > 0:
        raise ValueError(f"the metric {name_of(metric)} gave a tensor of shape {tuple(value.shape)}, not one number")
    return value
